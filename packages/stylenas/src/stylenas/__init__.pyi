from . import front as front
from . import style as style
from .front import hypervolume as hypervolume
from .front import non_dominated as non_dominated
from .objective import Objective as Objective
from .search.definition import Search as Search
from .search.evolution import AgingEvolution as AgingEvolution
from .search.workers import run_search as run_search
from .space import Space as Space
from .table import Table as Table
from .trials.state import State as State
from .trials.storage import open_storage as open_storage

__version__: str
