"""SecureGBM: two parties train one LightGBM and neither sees the other's columns (arXiv 1911.11997).

Names are loaded when first used, so that importing the package imports neither LightGBM, grpc nor TenSEAL.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
