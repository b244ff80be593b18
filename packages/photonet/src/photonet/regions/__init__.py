"""Regions of two pictures that belong together: drawn, found, or soft masks; and the filter that feathers them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
