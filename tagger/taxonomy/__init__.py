"""Taxonomy: facets and tags, how a file of them is read, changed, compared and drafted."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
