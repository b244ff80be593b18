"""SGD as a small-noise system: its drift is minus the gradient, its diffusion the covariance of one sample's gradient.

A step of size eta on a batch of b samples has mean ``-eta grad f`` and covariance ``eta^2 C / b``: the noise is
``eps = eta / b`` and
``D = C(theta)`` (arXiv 1901.06054). ``sgd_problem`` tabulates both, ``run_sgd`` runs the algorithm itself for
comparison.
"""

from .gradients import plane_gradients, torch_gradients
from .local import LocalSgd, local_quasipotential
from .network import torch_batches
from .problem import gradient_covariance, sgd_problem
from .regression import NoisyRegression
from .run import SgdExits, run_sgd, sgd_exits

__all__ = [
    "LocalSgd",
    "NoisyRegression",
    "SgdExits",
    "gradient_covariance",
    "local_quasipotential",
    "plane_gradients",
    "run_sgd",
    "sgd_exits",
    "sgd_problem",
    "torch_batches",
    "torch_gradients",
]
