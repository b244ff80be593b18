"""The noise classes of M-SGD (arXiv 1906.07405): laws of the sampling weights W in ``g = G W``.

``G = [grad l_1, ..., grad l_n]`` is the gradient matrix and W a random vector, independent of the parameters, with
``E W = 1/n``. The noise is ``V = W - 1/n``. Every class here is exchangeable in the samples, so that two numbers say all::

    Cov(V) = (p I + q (I - 11'/n)) / n        Cov(g) = G Cov(V) G' = p F + q C

with ``F = G G'/n`` the empirical Fisher matrix and ``C = F - grad L grad L'`` the gradient covariance. SGD has p = 0.
"""

from msgd.noise.base import Noise, Weights
from msgd.noise.laws import (
    Bernoulli,
    GaussianCov,
    GaussianFisher,
    GradientDescent,
    MiniBatch,
    Multinomial,
    SparseGaussianCov,
    SparseGaussianFisher,
)
from msgd.noise.level import CLASSES, make, match, sgd_level
from msgd.noise.noisy_batch import MiniBatchCov, MiniBatchFisher

__all__ = [
    "CLASSES",
    "Bernoulli",
    "GaussianCov",
    "GaussianFisher",
    "GradientDescent",
    "MiniBatch",
    "MiniBatchCov",
    "MiniBatchFisher",
    "Multinomial",
    "Noise",
    "SparseGaussianCov",
    "SparseGaussianFisher",
    "Weights",
    "make",
    "match",
    "sgd_level",
]
