"""Eight of the ten laws of W (arXiv 1906.07405), each with the two numbers p and q of its covariance."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from msgd.noise.base import Noise, Weights, batch_of, require, whole
from msgd.noise.draws import centred, constant, device, normal, precise, scatter, subsets, without_replacement


@dataclass(frozen=True)
class GradientDescent(Noise):
    """No noise: W = 1/n."""

    nonnegative: ClassVar[bool] = True

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, None]:
        """The constant weights."""
        return constant(draws, self.n, 1 / self.n, generator), None


@dataclass(frozen=True)
class MiniBatch(Noise):
    """SGD: ``size`` rows without replacement, each of weight 1/size. q = (n - size) / (size (n - 1))."""

    size: int
    nonnegative: ClassVar[bool] = True

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = q C``."""
        return without_replacement(self.n, self.size)

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rows and their weights 1/size."""
        return constant(draws, self.size, 1 / self.size, generator), subsets(self.n, self.size, draws, generator)

    def on_batch(self, rows: int, generator: Generator | None = None, parts: int = 1) -> Tensor:
        """1/rows each: the batch is all the noise there is, so it must be of ``size`` rows."""
        require(
            rows * parts == self.size,
            f"{type(self).__name__} of size {self.size} adds no noise, and this batch has {batch_of(rows, parts)}, which is "
            "another level: use MiniBatchFisher or MiniBatchCov matched to it, drop_last=True, or losses.mean()",
        )
        return torch.full((rows,), 1 / rows, device=device(generator), dtype=precise(generator))


@dataclass(frozen=True)
class Multinomial(Noise):
    """SGD with replacement: ``size`` rows drawn independently, each of weight 1/size. q = 1/size."""

    size: int
    nonnegative: ClassVar[bool] = True

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = q C``."""
        return 1 / self.size

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rows, some of them perhaps twice, and their weights 1/size."""
        index = torch.randint(self.n, (draws, self.size), generator=generator, device=device(generator))
        return constant(draws, self.size, 1 / self.size, generator), index

    on_batch = MiniBatch.on_batch


@dataclass(frozen=True)
class Bernoulli(Noise):
    """Each row with probability ``size/n``, of weight 1/size; size need not be whole. p = (1 - size/n) / size."""

    size: int | float
    nonnegative: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse an expected size outside (0, n]."""
        require(whole(self.n) and self.n >= 1, f"n = {self.n!r} samples: give a whole number, at least one")
        require(
            0 < self.size <= self.n,
            f"size = {self.size} is not in (0, n = {self.n}]: it is the expected number of rows",
        )

    @property
    def fisher(self) -> float:
        """The p of ``Cov(g) = p F``."""
        return (1 - self.size / self.n) / self.size

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, None]:
        """All n weights, most of them zero."""
        uniform = torch.rand(draws, self.n, generator=generator, device=device(generator), dtype=torch.float32)
        return (uniform < self.size / self.n).float() / self.size, None

    def sample(self, generator: Generator | None = None) -> Weights:
        """One draw: only the rows that were chosen (none, now and then); their number is binomial."""
        count = torch.full((), self.n, dtype=torch.float64, device=device(generator))
        chosen = int(torch.binomial(count, torch.full_like(count, self.size / self.n), generator=generator))
        index = subsets(self.n, chosen, 1, generator)[0]
        return Weights(constant(1, chosen, 1 / self.size, generator)[0], index)


@dataclass(frozen=True)
class GaussianFisher(Noise):
    """MSGD-Fisher: W = (1 + std e)/n with e ~ N(0, I). p = std^2/n."""

    std: float = 1.0

    @property
    def fisher(self) -> float:
        """The p of ``Cov(g) = p F``."""
        return self.std**2 / self.n

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, None]:
        """All n weights."""
        return (1 + self.std * normal(draws, self.n, generator)) / self.n, None


@dataclass(frozen=True)
class GaussianCov(Noise):
    """MSGD-Cov: W = (1 + std (e - mean e))/n with e ~ N(0, I). q = std^2/n."""

    std: float = 1.0

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = q C``."""
        return self.std**2 / self.n

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, None]:
        """All n weights; each draw sums to one."""
        return (1 + self.std * centred(draws, self.n, generator)) / self.n, None


@dataclass(frozen=True)
class SparseGaussianFisher(Noise):
    """[MSGD-Fisher-B]: weight 1/n everywhere, and std e/n more on ``size`` random rows. p = std^2 size/n^2."""

    size: int
    std: float = 1.0

    @property
    def fisher(self) -> float:
        """The p of ``Cov(g) = p F``."""
        return self.std**2 * self.size / self.n**2

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, None]:
        """All n weights; the background 1/n needs every row."""
        return scatter(self.n, self.std * normal(draws, self.size, generator), generator), None


@dataclass(frozen=True)
class SparseGaussianCov(Noise):
    """[MSGD-Cov-B]: as SparseGaussianFisher, the noise centred over its rows. q = std^2 (size - 1) / (n (n - 1))."""

    size: int
    std: float = 1.0

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = q C``."""
        return self.std**2 * (self.size - 1) / (self.n * max(self.n - 1, 1))

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, None]:
        """All n weights; each draw sums to one."""
        noise = self.std * centred(draws, self.size, generator)
        return scatter(self.n, noise, generator), None
