"""Labels: tags given by people. Store, merge and audit them, and measure agreement."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
