"""photonet: the light of one photograph on another, sharp, in one pass (arXiv 1907.03118, 1912.02398).

Names are loaded when first used, so that importing the package does not import torch.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
