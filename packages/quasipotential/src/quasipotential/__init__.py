"""quasipotential: where small noise drives a system, how it escapes, and how long that takes (arXiv 1901.06054).

Names are loaded when first used, so that importing the package does not import numba.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
