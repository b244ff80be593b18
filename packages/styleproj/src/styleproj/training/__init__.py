"""Training: the losses of the paper, a decoder for an encoder, and how the weights that come with the package were made."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ["losses"])
