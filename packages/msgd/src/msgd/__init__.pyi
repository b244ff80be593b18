from . import covariance as covariance
from . import langevin as langevin
from . import loss as loss
from . import noise as noise
from . import replicas as replicas
from . import sde as sde
from .covariance import GradientMatrix as GradientMatrix
from .langevin import DiagonalLangevin as DiagonalLangevin
from .loss import NoisyMean as NoisyMean
from .loss import weighted_loss as weighted_loss
from .noise import Bernoulli as Bernoulli
from .noise import GaussianCov as GaussianCov
from .noise import GaussianFisher as GaussianFisher
from .noise import GradientDescent as GradientDescent
from .noise import MiniBatch as MiniBatch
from .noise import MiniBatchCov as MiniBatchCov
from .noise import MiniBatchFisher as MiniBatchFisher
from .noise import Multinomial as Multinomial
from .noise import Noise as Noise
from .noise import SparseGaussianCov as SparseGaussianCov
from .noise import SparseGaussianFisher as SparseGaussianFisher
from .noise import Weights as Weights
from .noise import match as match

__version__: str
