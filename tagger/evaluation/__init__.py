"""Evaluation: metrics of predictions, comparison of two versions, and the promotion gate."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
