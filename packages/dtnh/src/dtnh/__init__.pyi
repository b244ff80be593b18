from .finetune.finetuning import Fit as Fit
from .finetune.finetuning import fit as fit
from .finetune.guarded import Guarded as Guarded
from .guard.aggregator import ProtectedRow as ProtectedRow
from .guard.conflicts import Conflicts as Conflicts
from .guard.guard import Guard as Guard
from .guard.projection import Info as Info
from .guard.projection import project as project
from .penalties.distillation import FeatureMaps as FeatureMaps
from .penalties.distillation import LogitDistillation as LogitDistillation
from .penalties.distillation import Teacher as Teacher
from .penalties.l2sp import L2SP as L2SP

__version__: str
