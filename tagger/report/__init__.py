"""The report: tagged papers, reviews and the figures of a model version on one HTML page."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
