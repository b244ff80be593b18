from . import transforms as transforms
from .execution.executor import Executor as Executor
from .network import cost as cost
from .network.architecture import PRESETS as PRESETS
from .network.architecture import Architecture as Architecture
from .network.auto_encoder import Decoder as Decoder
from .network.auto_encoder import PhotoNet as PhotoNet
from .network.objective import objective as objective
from .stylizer import PhotoStylizer as PhotoStylizer

__version__: str
