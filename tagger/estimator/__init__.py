"""The estimator: train and tag from Python with scikit-learn's interface."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
