from .aggregator import ProtectedRow as ProtectedRow
from .conflicts import Conflicts as Conflicts
from .distillation import FeatureMaps as FeatureMaps
from .distillation import LogitDistillation as LogitDistillation
from .distillation import Teacher as Teacher
from .finetuning import Fit as Fit
from .finetuning import fit as fit
from .guard import Guard as Guard
from .guarded import Guarded as Guarded
from .l2sp import L2SP as L2SP
from .projection import Info as Info
from .projection import project as project

__version__: str
