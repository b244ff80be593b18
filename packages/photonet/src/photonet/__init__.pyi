from . import cost as cost
from . import transforms as transforms
from .architecture import PRESETS as PRESETS
from .architecture import Architecture as Architecture
from .executor import Executor as Executor
from .network import Decoder as Decoder
from .network import PhotoNet as PhotoNet
from .objective import objective as objective
from .stylizer import PhotoStylizer as PhotoStylizer

__version__: str
