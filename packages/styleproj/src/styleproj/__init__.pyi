from .networks import network as network
from .networks.network import Decoder as Decoder
from .networks.network import StyleNetwork as StyleNetwork
from .operator import kernels as kernels
from .operator.projection import StyleProjection as StyleProjection
from .operator.projection import project as project
from .operator.projection import project_regions as project_regions
from .operator.sorted_style import SortedStyle as SortedStyle
from .operator.sorted_style import barycentre as barycentre
from .pictures.style import Style as Style
from .pictures.stylizer import Stylizer as Stylizer
from .training import losses as losses
from .training.losses import StyleProjectionLoss as StyleProjectionLoss

__version__: str
