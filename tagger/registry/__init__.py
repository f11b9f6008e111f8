"""The registry: training runs and model versions in MLflow, their comparison and promotion.

Without ``MLFLOW_TRACKING_URI`` everything is kept in ``mlruns/`` of the current folder: a SQLite
database and the artifacts. A version is registered only after all its files have been logged, and
becomes champion only after that.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
