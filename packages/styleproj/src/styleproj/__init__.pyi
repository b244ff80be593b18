from . import kernels as kernels
from . import losses as losses
from . import network as network
from .losses import StyleProjectionLoss as StyleProjectionLoss
from .network import Decoder as Decoder
from .network import StyleNetwork as StyleNetwork
from .projection import StyleProjection as StyleProjection
from .projection import project as project
from .projection import project_regions as project_regions
from .sorted_style import SortedStyle as SortedStyle
from .sorted_style import barycentre as barycentre
from .style import Style as Style
from .stylizer import Stylizer as Stylizer

__version__: str
