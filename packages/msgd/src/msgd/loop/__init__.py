"""What goes into anybody's training loop: the noisy mean, diagonal Langevin noise, the meter, the rules of scaling."""

from msgd.loop.langevin import DiagonalLangevin as DiagonalLangevin
from msgd.loop.loss import NoisyMean as NoisyMean
from msgd.loop.noise_scale import NoiseScale as NoiseScale
from msgd.loop.scaling import AdaptiveMatch as AdaptiveMatch
