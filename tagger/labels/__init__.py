"""Labels: what people said of papers, kept in files, merged, audited and checked for agreement."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
