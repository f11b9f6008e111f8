"""Model versions in MLflow: what each was trained on, how good it is, and which one is in use.

Without ``MLFLOW_TRACKING_URI`` everything is kept in ``mlruns/`` of the current folder: a SQLite
store and the artifacts beside it. A version becomes visible only when all of it has been logged,
and champion only after that.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
