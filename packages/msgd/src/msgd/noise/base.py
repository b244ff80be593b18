"""What all noise classes share: a draw of W, the exact moments of W, and the checks of its arguments."""

import math
import numbers
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from claimkit.errors import InputError


@dataclass(frozen=True)
class Weights:
    """One draw of W: the weights, and the rows they belong to (None: all rows, in order).

    Attributes:
        weight: Shape ``(rows,)``; the random gradient is ``sum_i weight[i] grad l_{index[i]}``.
        index: Shape ``(rows,)``, or None for all n rows. Rows that are not named have weight zero.
    """

    weight: Float[Tensor, " rows"]
    index: Int[Tensor, " rows"] | None = None

    def take(self, data: Tensor) -> Tensor:
        """The rows of ``data`` (first axis of length n) that have a weight."""
        return data if self.index is None else data[self.index]

    def dense(self, n: int) -> Float[Tensor, " n"]:
        """The weights of all n rows; rows drawn twice add up."""
        if self.index is None:
            return self.weight
        return self.weight.new_zeros(n).index_add_(0, self.index, self.weight)

    def to(self, device: torch.device | str) -> "Weights":
        """The same draw on another device."""
        return Weights(self.weight.to(device), None if self.index is None else self.index.to(device))


@dataclass(frozen=True)
class Noise(ABC):
    """A law of W on n samples. ``n`` is the number of training samples, at least 1."""

    n: int
    nonnegative: ClassVar[bool] = False
    """Whether the class never gives a negative weight."""

    def __post_init__(self) -> None:
        """Refuse sizes that are no sizes and levels that are no levels."""
        size, std = getattr(self, "size", 1), getattr(self, "std", 0.0)
        require(whole(self.n), f"n = {self.n!r} samples: give a whole number, at least one")
        require(whole(size), f"size = {size!r}: give a whole number of rows")
        require(isinstance(std, numbers.Real), f"std = {std!r} is no noise level: give a finite number, zero or more")
        require(self.n >= 1, f"n = {self.n} samples: give at least one")
        require(1 <= size <= self.n, f"size = {size} is not between 1 and the n = {self.n} samples: draw fewer")
        require(std >= 0 and math.isfinite(std), f"std = {std} is no noise level: give a finite number, zero or more")

    @property
    def fisher(self) -> float:
        """The p of ``Cov(g) = p F + q C``; zero where a class does not say otherwise."""
        return 0.0

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = p F + q C``; zero where a class does not say otherwise."""
        return 0.0

    @property
    def level(self) -> float:
        """``p + q``, 1/b for SGD with replacement: equal levels are equal noise, up to Fisher classes' rank-one term."""
        return self.fisher + self.centred

    @abstractmethod
    def draw(
        self, draws: int, generator: Generator | None = None
    ) -> tuple[Float[Tensor, "draws rows"], Int[Tensor, "draws rows"] | None]:
        """Independent draws: weights, and their rows (None: all n rows). float32, on the generator's device."""

    def dense(self, draws: int, generator: Generator | None = None) -> Float[Tensor, "draws n"]:
        """Independent draws as vectors of all n weights."""
        weight, index = self.draw(draws, generator)
        return weight if index is None else weight.new_zeros(draws, self.n).scatter_add_(1, index, weight)

    @property
    def mean(self) -> Float[Tensor, " n"]:
        """E W = 1/n, exact, float64."""
        return torch.full((self.n,), 1 / self.n, dtype=torch.float64)

    @property
    def covariance(self) -> Float[Tensor, "n n"]:
        """Cov(V) = (p I + q (I - 11'/n)) / n, exact, float64; n x n numbers, so for small n."""
        eye = torch.eye(self.n, dtype=torch.float64)
        return (self.fisher * eye + self.centred * (eye - 1 / self.n)) / self.n

    def sample(self, generator: Generator | None = None) -> Weights:
        """One draw of W, on the generator's device (the CPU without one)."""
        weight, index = self.draw(1, generator)
        return Weights(weight[0], None if index is None else index[0])

    def on_batch(self, rows: int, generator: Generator | None = None, parts: int = 1) -> Float[Tensor, " rows"]:
        """Weights for rows that somebody else has drawn (a DataLoader), such that the whole step has the level of this law.

        Args:
            rows: Rows of this pass; the weights have mean 1/rows.
            generator: Source of the noise.
            parts: Passes of so many rows whose gradients are averaged into one step: ranks times accumulated passes.

        Raises:
            InputError: The law cannot have its level on such a batch.
        """
        require(
            rows == self.n and parts == 1,
            f"{type(self).__name__} weighs all n = {self.n} samples, this batch has {batch_of(rows, parts)}: "
            "pass all losses, or draw rows with sample(), or use MiniBatchFisher or MiniBatchCov",
        )
        return self.sample(generator).dense(self.n)

    def check(self, weight: Tensor) -> None:
        """Refuse weights that this class cannot have given: NaN, infinite, or negative where it never is.

        Raises:
            InputError: With the first offending weight.
        """
        bad = ~torch.isfinite(weight) | ((weight < 0) if self.nonnegative else torch.zeros_like(weight, dtype=torch.bool))
        if bad.any():
            at = int(bad.flatten().nonzero()[0])
            kind = "finite and not negative" if self.nonnegative else "finite"
            raise InputError(f"weight {at} is {weight.flatten()[at].item()}: weights of {type(self).__name__} are {kind}")


def require(condition: bool, sentence: str) -> None:
    """Raise the sentence unless the condition holds."""
    if not condition:
        raise InputError(sentence)


def whole(number: object) -> bool:
    """Whether this is a whole number (and no truth value)."""
    return isinstance(number, numbers.Integral) and not isinstance(number, bool)


def batch_of(rows: int, parts: int) -> str:
    """How a sentence names a batch."""
    return f"{rows} rows" if parts == 1 else f"{rows} rows in each of {parts} parts"
