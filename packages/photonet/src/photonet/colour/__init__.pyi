from .grades import Grade as Grade
from .methods import METHODS as METHODS
from .methods import ColourExecutor as ColourExecutor
