from . import ablation as ablation
from . import attention as attention
from . import cache as cache
from . import features as features
from . import layers as layers
from . import methods as methods
from . import probe as probe
from . import regularizer as regularizer
from .attention import Attention as Attention
from .attention import channel_attention as channel_attention
from .cache import FeatureCache as FeatureCache
from .layers import layers_for as layers_for
from .methods import fit as fit
from .regularizer import DELTA as DELTA

__version__: str
