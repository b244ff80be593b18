from . import losses as losses
from . import network as network
from .losses import StyleProjectionLoss as StyleProjectionLoss
from .network import Decoder as Decoder
from .network import StyleNetwork as StyleNetwork

__version__: str
