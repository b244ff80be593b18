"""The projection of features: the operator, its fast kernels, styles as sorted features, and the transforms beside it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["kernels"])
