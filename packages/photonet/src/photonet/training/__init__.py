"""Training: decoders by gradient descent and by regression, and the encoder that the package ships."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
