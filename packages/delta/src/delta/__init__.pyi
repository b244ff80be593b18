from . import ablation as ablation
from . import attention as attention
from . import methods as methods
from . import probe as probe
from . import regularizer as regularizer
from .attention import Attention as Attention
from .attention import channel_attention as channel_attention
from .methods import fit as fit
from .regularizer import DELTA as DELTA
from .regularizer import FeatureCache as FeatureCache
from .regularizer import Teacher as Teacher
from .regularizer import layers_for as layers_for

__version__: str
