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
    Multinomial,
    SparseGaussianCov,
    SparseGaussianFisher,
)
from msgd.noise.noisy_batch import MiniBatchCov, MiniBatchFisher

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


def match(
    noise: N,
    batch: int,
    replacement: bool = False,
    learning_rate: float | None = None,
    small_learning_rate: float | None = None,
    momentum: float = 0.0,
    small_momentum: float = 0.0,
) -> N:
    """The same class at the level that gives SGD's noise at batch size ``batch``: ``p + q`` as SGD has it.

    For a class with ``std``, solves ``p + q = sgd_level`` for std (sqrt(n/b) for the full Gaussian classes with
    replacement); for one that has only a size, sets that. For Cov classes the covariance of the random gradient is then
    exactly SGD's, for Fisher classes it is ``grad L grad L'`` times SGD's level larger.

    What acts on the weights is learning rate times level, and momentum multiplies the learning rate by 1/(1 - momentum).
    With the rates of both runs the level is the one that makes those products equal::

        level = sgd_level(n, batch) (small_learning_rate / (1 - small_momentum)) / (learning_rate / (1 - momentum))

    so that a learning rate scaled with the batch needs no noise. (SGD; for adaptive optimisers see ``msgd.loop.scaling``.)

    Args:
        noise: A law; its ``std`` (or, for Bernoulli, MiniBatch and Multinomial, its size) is replaced.
        batch: Batch size of the SGD to match, in [1, n].
        replacement: Match SGD with replacement (C/b) instead of without.
        learning_rate: Of the run that gets the noise; None with the next: both runs have one rate.
        small_learning_rate: Of the run with batch size ``batch``.
        momentum: Of the run that gets the noise, in [0, 1).
        small_momentum: Of the run with batch size ``batch``, in [0, 1).

    Raises:
        InputError: No level reaches it: the batch of ``noise`` is already noisier than SGD at ``batch``.

    >>> match(GaussianFisher(n=1000), batch=10, replacement=True).std
    10.0
    >>> round(match(MiniBatchFisher(n=10**9, size=1000), 100, learning_rate=1.0, small_learning_rate=0.1).std, 2)
    0.0
    """
    ratio = _rate(small_learning_rate, small_momentum, learning_rate) / _rate(learning_rate, momentum, small_learning_rate)
    target = sgd_level(noise.n, batch, replacement) * ratio
    if isinstance(noise, Bernoulli):
        return dataclasses.replace(noise, size=1 / (target + 1 / noise.n))
    if isinstance(noise, MiniBatch | Multinomial):
        same = ratio == 1 and replacement == isinstance(noise, Multinomial)
        return dataclasses.replace(noise, size=batch if same else _whole_batch(noise, target))
    if not hasattr(noise, "std"):
        raise InputError(f"{type(noise).__name__} has no noise level to match: choose another class")
    base = dataclasses.replace(noise, std=0.0).level
    gain = dataclasses.replace(noise, std=1.0).level - base
    if gain <= 0 or target < base * (1 - 1e-12):
        size = getattr(noise, "size", noise.n)
        rates = "" if ratio == 1 else f" at {1 / ratio:.3g} times its rate"
        raise InputError(
            f"{type(noise).__name__} of size {size} cannot have the noise of SGD at batch {batch}{rates}: "
            "its own rows bring more already, or one row was centred; match a smaller batch or draw more rows"
        )
    return dataclasses.replace(noise, std=math.sqrt(max(target - base, 0.0) / gain))


def _rate(learning_rate: float | None, momentum: float, other: float | None) -> float:
    """Learning rate / (1 - momentum), one where no rate is given."""
    if (learning_rate is None) != (other is None):
        raise InputError("one learning rate was given: give those of both runs, or none where they are equal")
    rate = 1.0 if learning_rate is None else learning_rate
    if not (0 < rate < math.inf and 0 <= momentum < 1):
        raise InputError(f"learning rate {rate}, momentum {momentum}: expected a positive rate and a momentum in [0, 1)")
    return rate / (1 - momentum)


def _whole_batch(noise: MiniBatch | Multinomial, target: float) -> int:
    size = 1 / target if isinstance(noise, Multinomial) else noise.n / (1 + target * (noise.n - 1))
    if abs(size - round(size)) > 1e-6 * size:
        raise InputError(
            f"{type(noise).__name__} has whole batches only, and this level is that of a batch of {size:.4g}: "
            "choose a class with std, or other rates"
        )
    return round(size)


def make(name: str, n: int, size: int | None = None, match_batch: int | None = None, ghost: int | None = None) -> Noise:
    """A noise class by its command-line name, at the level of SGD with ``match_batch`` rows where one is given.

    For ``sgd-replacement`` that SGD draws with replacement, too.

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
    if match_batch is None or isinstance(law, GradientDescent):
        return law
    return match(law, match_batch, replacement=isinstance(law, Multinomial))
