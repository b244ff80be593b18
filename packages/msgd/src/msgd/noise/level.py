"""Choosing a class by name and its level by the SGD that it stands for."""

import dataclasses
import math
from typing import TypeVar

from claimkit.errors import InputError
from msgd.noise.base import Noise
from msgd.noise.laws import (
    Bernoulli,
    GaussianCov,
    GaussianFisher,
    GradientDescent,
    MiniBatch,
    MiniBatchCov,
    MiniBatchFisher,
    Multinomial,
    SparseGaussianCov,
    SparseGaussianFisher,
)

N = TypeVar("N", bound=Noise)

CLASSES: dict[str, type[Noise]] = {
    "gd": GradientDescent,
    "sgd": MiniBatch,
    "sgd-replacement": Multinomial,
    "bernoulli": Bernoulli,
    "gauss-fisher": GaussianFisher,
    "gauss-cov": GaussianCov,
    "sparse-fisher": SparseGaussianFisher,
    "sparse-cov": SparseGaussianCov,
    "batch-fisher": MiniBatchFisher,
    "batch-cov": MiniBatchCov,
}
"""The classes under the names that the command line uses."""


def sgd_level(n: int, batch: int, replacement: bool = False) -> float:
    """The q of SGD's ``Cov(g) = q C`` at batch size ``batch``: (n - b)/(b (n - 1)), or 1/b with replacement."""
    law = Multinomial(n, batch) if replacement else MiniBatch(n, batch)
    return law.centred


def match(noise: N, batch: int, replacement: bool = False) -> N:
    """The same class at the level that gives SGD's noise at batch size ``batch``: ``p + q`` as SGD has it.

    For a class with ``std``, solves ``p + q = sgd_level`` for std (sqrt(n/b) for the full Gaussian classes with
    replacement); for one that has only a size, sets that. For Cov classes the covariance of the random gradient is then
    exactly SGD's, for Fisher classes it is ``grad L grad L'`` times SGD's level larger.

    Args:
        noise: A law; its ``std`` (or, for Bernoulli, MiniBatch and Multinomial, its size) is replaced.
        batch: Batch size of the SGD to match, in [1, n].
        replacement: Match SGD with replacement (C/b) instead of without.

    Raises:
        InputError: No level reaches it: the batch of ``noise`` is already noisier than SGD at ``batch``.

    >>> match(GaussianFisher(n=1000), batch=10, replacement=True).std
    10.0
    """
    target = sgd_level(noise.n, batch, replacement)
    if isinstance(noise, Bernoulli):
        return dataclasses.replace(noise, size=1 / (target + 1 / noise.n))
    if isinstance(noise, MiniBatch | Multinomial):
        return dataclasses.replace(noise, size=batch)
    if not hasattr(noise, "std"):
        raise InputError(f"{type(noise).__name__} has no noise level to match: choose another class")
    quiet, unit = (dataclasses.replace(noise, std=s) for s in (0.0, 1.0))
    base = quiet.fisher + quiet.centred
    gain = unit.fisher + unit.centred - base
    if gain <= 0 or target < base * (1 - 1e-12):
        size = getattr(noise, "size", noise.n)
        raise InputError(
            f"{type(noise).__name__} of size {size} cannot have the noise of SGD at batch {batch}: "
            "its own rows bring more already, or one row was centred; match a smaller batch or draw more rows"
        )
    return dataclasses.replace(noise, std=math.sqrt(max(target - base, 0.0) / gain))


def make(name: str, n: int, size: int | None = None, match_batch: int | None = None, ghost: int | None = None) -> Noise:
    """A noise class by its command-line name, at the level of SGD with ``match_batch`` rows where one is given.

    Raises:
        InputError: No such name, or a class without its size.
    """
    if name not in CLASSES:
        raise InputError(f"noise {name!r} is none of {', '.join(CLASSES)}")
    kind = CLASSES[name]
    fields = {f.name for f in dataclasses.fields(kind)}
    options: dict[str, int] = {}
    if "size" in fields:
        if size is None:
            raise InputError(f"noise {name} needs a batch size: say how many rows it draws")
        options["size"] = size
    if ghost is not None and "ghost" in fields:
        options["ghost"] = ghost
    law = kind(n, **options)
    return law if match_batch is None or isinstance(law, GradientDescent) else match(law, match_batch)
