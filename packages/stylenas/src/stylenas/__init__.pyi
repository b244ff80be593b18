from . import front as front
from . import style as style
from .evolution import AgingEvolution as AgingEvolution
from .front import hypervolume as hypervolume
from .front import non_dominated as non_dominated
from .objective import Objective as Objective
from .search import Search as Search
from .space import Space as Space
from .state import State as State
from .storage import open_storage as open_storage
from .table import Table as Table
from .workers import run_search as run_search

__version__: str
