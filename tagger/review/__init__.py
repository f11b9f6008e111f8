"""The round trip through Label Studio: papers go out for review, labels come back."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
