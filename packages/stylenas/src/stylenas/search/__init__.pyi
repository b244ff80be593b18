from .definition import Search as Search
from .workers import run_search as run_search
