"""Papers: read them from files, identify them, merge entries and find near duplicates."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
