"""Review in Label Studio: push papers to people, pull their labels, serve live suggestions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
