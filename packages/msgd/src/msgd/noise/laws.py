"""The ten laws of W (arXiv 1906.07405), each with the two numbers p and q of its covariance."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from msgd.noise.base import Noise, Weights, require


@dataclass(frozen=True)
class GradientDescent(Noise):
    """No noise: W = 1/n."""

    nonnegative: ClassVar[bool] = True

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, None]:
        """The constant weights."""
        return torch.full((draws, self.n), 1 / self.n, device=_device(generator)), None


@dataclass(frozen=True)
class MiniBatch(Noise):
    """SGD: ``size`` rows without replacement, each of weight 1/size. q = (n - size) / (size (n - 1))."""

    size: int
    nonnegative: ClassVar[bool] = True

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = q C``."""
        return _without_replacement(self.n, self.size)

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rows and their weights 1/size."""
        index = _subsets(self.n, self.size, draws, generator)
        return torch.full(index.shape, 1 / self.size, device=index.device), index

    def on_batch(self, rows: int, generator: Generator | None = None) -> Tensor:
        """1/rows each: the batch is all the noise there is."""
        return torch.full((rows,), 1 / rows, device=_device(generator))


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
        index = torch.randint(self.n, (draws, self.size), generator=generator, device=_device(generator))
        return torch.full(index.shape, 1 / self.size, device=index.device), index

    on_batch = MiniBatch.on_batch


@dataclass(frozen=True)
class Bernoulli(Noise):
    """Each row with probability ``size/n``, of weight 1/size; size need not be whole. p = (1 - size/n) / size."""

    size: int | float
    nonnegative: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse an expected size outside (0, n]."""
        require(self.n >= 1, f"n = {self.n} samples: give at least one")
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
        uniform = torch.rand(draws, self.n, generator=generator, device=_device(generator))
        return (uniform < self.size / self.n) / self.size, None

    def sample(self, generator: Generator | None = None) -> Weights:
        """One draw: only the rows that were chosen (none, now and then)."""
        uniform = torch.rand(self.n, generator=generator, device=_device(generator))
        index = (uniform < self.size / self.n).nonzero().squeeze(1)
        return Weights(torch.full(index.shape, 1 / self.size, device=index.device), index)


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
        return (1 + self.std * _normal(draws, self.n, generator)) / self.n, None


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
        return (1 + self.std * _centre(_normal(draws, self.n, generator), self.n)) / self.n, None


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
        return _scatter(self.n, self.std * _normal(draws, self.size, generator), generator), None


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
        noise = self.std * _centre(_normal(draws, self.size, generator), self.size)
        return _scatter(self.n, noise, generator), None


@dataclass(frozen=True)
class MiniBatchFisher(Noise):
    """[MSGD-Fisher]-B: ``size`` rows without replacement, of weight (1 + std e)/size. p = std^2/size, q as MiniBatch."""

    size: int
    std: float = 1.0

    @property
    def fisher(self) -> float:
        """The p of ``Cov(g) = p F + q C``."""
        return self.std**2 / self.size

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = p F + q C``."""
        return _without_replacement(self.n, self.size)

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rows and their noisy weights."""
        index = _subsets(self.n, self.size, draws, generator)
        return (1 + self.std * _normal(draws, self.size, generator)) / self.size, index

    def on_batch(self, rows: int, generator: Generator | None = None) -> Tensor:
        """(1 + std e)/rows."""
        return (1 + self.std * _normal(1, rows, generator)[0]) / rows


@dataclass(frozen=True)
class MiniBatchCov(Noise):
    """[MSGD-Cov]-B: as MiniBatchFisher, the noise centred within each ghost batch of ``ghost`` rows (None: the whole batch).

    p = 0, q = (n - size) / (size (n - 1)) + std^2 n (ghost - 1) / (ghost size (n - 1)).
    """

    size: int
    std: float = 1.0
    ghost: int | None = None

    def __post_init__(self) -> None:
        """Refuse ghost batches that do not fill the batch."""
        super().__post_init__()
        require(
            self.ghost is None or (self.ghost >= 1 and self.size % self.ghost == 0),
            f"ghost = {self.ghost} does not divide the batch of {self.size} rows: choose a divisor",
        )

    @property
    def centred(self) -> float:
        """The q of ``Cov(g) = q C``."""
        m = self.ghost or self.size
        noise = self.std**2 * self.n * (m - 1) / (m * self.size * max(self.n - 1, 1))
        return _without_replacement(self.n, self.size) + noise

    def draw(self, draws: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rows and their noisy weights; each draw sums to one."""
        index = _subsets(self.n, self.size, draws, generator)
        noise = _centre(_normal(draws, self.size, generator), self.ghost or self.size)
        return (1 + self.std * noise) / self.size, index

    def on_batch(self, rows: int, generator: Generator | None = None) -> Tensor:
        """(1 + std (e - mean e))/rows, the mean over each ghost batch; a last, shorter one is centred by itself."""
        noise = _normal(1, rows, generator)
        whole = rows - rows % (self.ghost or rows)
        parts = [_centre(noise[:, :whole], self.ghost or rows)]
        if whole < rows:
            parts.append(_centre(noise[:, whole:], rows - whole))
        return (1 + self.std * torch.cat(parts, 1)[0]) / rows


def _device(generator: Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device


def _normal(draws: int, rows: int, generator: Generator | None) -> Tensor:
    return torch.randn(draws, rows, generator=generator, device=_device(generator))


def _centre(noise: Tensor, group: int) -> Tensor:
    """Subtract the mean of each consecutive group of columns."""
    grouped = noise.unflatten(1, (-1, group))
    return (grouped - grouped.mean(2, keepdim=True)).flatten(1)


def _without_replacement(n: int, size: int) -> float:
    return (n - size) / (size * max(n - 1, 1))


def _subsets(n: int, size: int, draws: int, generator: Generator | None) -> Tensor:
    """Random subsets without replacement, shape ``(draws, size)``, in random order."""
    device = _device(generator)
    if size == 1:
        return torch.randint(n, (draws, 1), generator=generator, device=device)
    if draws == 1:
        return torch.randperm(n, generator=generator, device=device)[None, :size]
    keys = torch.rand(draws, n, generator=generator, device=device, dtype=torch.float64)
    return keys.topk(size, dim=1).indices if size < n // 4 else keys.argsort(1)[:, :size]


def _scatter(n: int, noise: Tensor, generator: Generator | None) -> Tensor:
    """1/n everywhere, plus noise/n on random rows."""
    index = _subsets(n, noise.shape[1], noise.shape[0], generator)
    return torch.full((noise.shape[0], n), 1 / n, device=noise.device).scatter_add_(1, index, noise / n)
