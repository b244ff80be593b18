"""The two laws for large batches (arXiv 1906.07405, [MSGD-Fisher]-B and [MSGD-Cov]-B): noise on the rows of a batch."""

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from msgd.noise.base import Noise, batch_of, require, whole
from msgd.noise.draws import normal, precise, subsets, without_replacement


@dataclass(frozen=True)
class NoisyBatch(Noise):
    """Rows drawn without replacement, their weights made noisy: what MiniBatchFisher and MiniBatchCov share."""

    size: int
    std: float = 1.0

    @abstractmethod
    def unit(self, rows: int, parts: int = 1) -> float:
        """Level of the noise of std = 1 on ``parts`` passes of ``rows`` rows; that of std is std^2 times as large."""

    def noise(self, draws: int, rows: int, generator: Generator | None) -> Tensor:
        """Noise of std = 1, shape ``(draws, rows)``."""
        return normal(draws, rows, generator)

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rows and their noisy weights."""
        index = subsets(self.n, self.size, draws, generator)
        return (1 + self.std * self.noise(draws, self.size, generator)) / self.size, index

    def std_on(self, rows: int, parts: int = 1) -> float:
        """The std with which ``parts`` passes of ``rows`` rows have the level of this law (std itself on ``size`` rows).

        ``std_on^2 = (level - (n - R)/(R (n - 1))) / unit`` with R = rows parts.

        Raises:
            InputError: These rows alone are noisier already, or are more than there are.
        """
        if rows == self.size and parts == 1:
            return self.std
        total = rows * parts
        missing = self.level - without_replacement(self.n, total)
        unit = self.unit(rows, parts)
        reach = missing >= -1e-9 * self.level and (unit > 0 or missing <= 1e-9 * self.level)
        require(
            1 <= total <= self.n and reach,
            f"a batch of {batch_of(rows, parts)} out of n = {self.n} cannot have the level {self.level:.3g} of "
            f"{type(self).__name__}, that of SGD at about batch {1 / max(self.level, 1e-300):.3g}: "
            "its own rows bring more already, or one row was centred; use drop_last=True, or match a smaller batch",
        )
        return math.sqrt(max(missing, 0.0) / unit) if unit > 0 else 0.0

    def on_batch(self, rows: int, generator: Generator | None = None, parts: int = 1) -> Tensor:
        """(1 + std_on e)/rows."""
        return (1 + self.std_on(rows, parts) * self.noise(1, rows, generator)[0].to(precise(generator))) / rows


@dataclass(frozen=True)
class MiniBatchFisher(NoisyBatch):
    """[MSGD-Fisher]-B: ``size`` rows without replacement, of weight (1 + std e)/size. p = std^2/size, q as MiniBatch."""

    def unit(self, rows: int, parts: int = 1) -> float:
        """1/R on R rows in all."""
        return 1 / max(rows * parts, 1)

    @property
    def fisher(self) -> float:
        """The p of ``Cov(g) = p F + q C``."""
        return self.std**2 * self.unit(self.size)

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = p F + q C``."""
        return without_replacement(self.n, self.size)


@dataclass(frozen=True)
class MiniBatchCov(NoisyBatch):
    """[MSGD-Cov]-B: as MiniBatchFisher, the noise centred within each ghost batch of ``ghost`` rows (None: the whole pass).

    p = 0, q = (n - size) / (size (n - 1)) + std^2 n (size - g) / (size^2 (n - 1)) with g = ceil(size / ghost) ghost
    batches, of which the last may be shorter.
    """

    ghost: int | None = None

    def __post_init__(self) -> None:
        """Refuse ghost batches of no rows."""
        super().__post_init__()
        require(
            self.ghost is None or (whole(self.ghost) and self.ghost >= 1), f"ghost = {self.ghost!r}: give at least one row"
        )

    def unit(self, rows: int, parts: int = 1) -> float:
        """``n (R - g) / (R^2 (n - 1))`` on R rows in g ghost batches."""
        total, ghosts = rows * parts, parts * math.ceil(rows / (self.ghost or max(rows, 1)))
        return self.n * (total - ghosts) / (max(total, 1) ** 2 * max(self.n - 1, 1))

    def noise(self, draws: int, rows: int, generator: Generator | None) -> Tensor:
        """Centred over each ghost batch, so that weights sum to one."""
        e = normal(draws, rows, generator)
        return torch.cat([part - part.mean(1, keepdim=True) for part in e.split(self.ghost or rows, 1)], 1)

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = q C``."""
        return without_replacement(self.n, self.size) + self.std**2 * self.unit(self.size)
