"""Taxonomies: facets and tags. Read, change, compare and draft them, and discover missing tags."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
