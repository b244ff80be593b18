"""Sparse regression with a diagonal linear network: the smallest problem on which SGD's noise visibly generalises.

It has more weights than samples, so that gradient descent reaches zero loss; which of the many solutions it reaches is its
implicit bias, and noise moves it towards sparse ones (arXiv 1906.07405 states the effect for deep networks).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from claimkit.errors import InputError
from msgd.noise import (
    Bernoulli,
    GaussianCov,
    GaussianFisher,
    GradientDescent,
    MiniBatch,
    MiniBatchCov,
    MiniBatchFisher,
    Noise,
    SparseGaussianCov,
    SparseGaussianFisher,
    match,
)
from msgd.theory.replicas import DiagonalLinear


@dataclass(frozen=True)
class SparseRegression:
    """Paired data sets ``y = X beta``, one a replica: X standard normal, the first entries of beta one, the others zero.

    Attributes:
        model: The diagonal linear networks on these data.
        beta: The truth, shape ``(replicas, d)``.
    """

    model: DiagonalLinear
    beta: Float[Tensor, "replicas d"]

    def test_error(self, theta: Float[Tensor, "replicas two_d"]) -> Float[Tensor, " replicas"]:
        """``E (f(x) - <x, beta>)^2 = |u*u - v*v - beta|^2``, exact, as x is standard normal."""
        return (self.model.predictor(theta) - self.beta).square().sum(1)

    def train_loss(self, theta: Float[Tensor, "replicas two_d"]) -> Float[Tensor, " replicas"]:
        """Mean training loss."""
        return self.model.losses(theta).mean(1)


def sparse_regression(replicas: int, n: int = 40, d: int = 100, sparsity: int = 5, seed: int = 0) -> SparseRegression:
    """Data sets of ``n`` samples in ``d`` dimensions, float64.

    Raises:
        InputError: More non-zero entries than dimensions, or sizes below one.
    """
    if min(replicas, n, d, sparsity) < 1 or sparsity > d:
        raise InputError(f"replicas = {replicas}, n = {n}, d = {d}, sparsity = {sparsity}: all positive, sparsity at most d")
    generator = Generator().manual_seed(seed)
    x = torch.randn(replicas, n, d, generator=generator, dtype=torch.float64)
    beta = torch.zeros(replicas, d, dtype=torch.float64)
    beta[:, :sparsity] = 1
    return SparseRegression(DiagonalLinear(x, (x @ beta[:, :, None])[:, :, 0]), beta)


def matched_classes(n: int, batch: int, size: int) -> dict[str, Noise]:
    """GD, SGD at ``batch``, and every class that can have SGD's noise level, at that level.

    ``size`` is the number of rows of the classes that draw some. (With replacement only whole batches exist, at 1/batch.)
    """
    return {
        "gd": GradientDescent(n),
        "sgd": MiniBatch(n, batch),
        "bernoulli": match(Bernoulli(n, batch), batch),
        "gauss-fisher": match(GaussianFisher(n), batch),
        "gauss-cov": match(GaussianCov(n), batch),
        "sparse-fisher": match(SparseGaussianFisher(n, size), batch),
        "sparse-cov": match(SparseGaussianCov(n, size), batch),
        "batch-fisher": match(MiniBatchFisher(n, size), batch),
        "batch-cov": match(MiniBatchCov(n, size), batch),
    }
