"""msgd: SGD's noise as a multiplicative weight vector (arXiv 1906.07405): choose it, match it, inject it in large batches.

Names are loaded when first used, so that importing the package does not import torch.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
