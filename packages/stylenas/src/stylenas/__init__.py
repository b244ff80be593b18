"""stylenas: multi-objective evolutionary search of style-transfer networks (arXiv 1906.02470) and of any binary space.

Names are loaded when first used, so that importing the package imports neither torch nor optuna.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
