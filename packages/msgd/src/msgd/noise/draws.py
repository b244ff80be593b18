"""What the laws draw: normal numbers and subsets, on the generator's device."""

import torch
from torch import Generator, Tensor


def device(generator: Generator | None) -> torch.device:
    """Where a generator draws."""
    return torch.device("cpu") if generator is None else generator.device


def precise(generator: Generator | None) -> torch.dtype:
    """What the weights of one batch are computed in, so that the mean of float64 losses is theirs: Metal has no float64."""
    return torch.float32 if device(generator).type == "mps" else torch.float64


def normal(draws: int, rows: int, generator: Generator | None) -> Tensor:
    """Standard normal numbers, shape ``(draws, rows)``."""
    return torch.randn(draws, rows, generator=generator, device=device(generator), dtype=torch.float32)


def constant(draws: int, rows: int, value: float, generator: Generator | None) -> Tensor:
    """One number throughout, shape ``(draws, rows)``; float32 whatever torch's default is, as all weights are."""
    return torch.full((draws, rows), value, device=device(generator), dtype=torch.float32)


def centred(draws: int, rows: int, generator: Generator | None) -> Tensor:
    """Standard normal numbers minus the mean of their draw."""
    noise = normal(draws, rows, generator)
    return noise - noise.mean(1, keepdim=True)


def without_replacement(n: int, size: int | float) -> float:
    """Level of ``size`` rows out of n."""
    return (n - size) / (max(size, 1) * max(n - 1, 1))


def subsets(n: int, size: int, draws: int, generator: Generator | None) -> Tensor:
    """Random subsets without replacement, shape ``(draws, size)``, in random order."""
    place = device(generator)
    if size == 1:
        return torch.randint(n, (draws, 1), generator=generator, device=place)
    if draws == 1:
        few = 8 * size < n
        return (
            distinct(n, size, generator)[None] if few else torch.randperm(n, generator=generator, device=place)[None, :size]
        )
    keys = torch.rand(draws, n, generator=generator, device=place, dtype=torch.float64)
    return keys.topk(size, dim=1).indices if size < n // 4 else keys.argsort(1)[:, :size]


def distinct(n: int, size: int, generator: Generator | None) -> Tensor:
    """The first ``size`` different numbers of a sequence of uniform ones: a subset in O(size), whatever n."""
    drawn = torch.randint(n, (size + size // 4 + 8,), generator=generator, device=device(generator))
    while True:
        value, order = drawn.sort(stable=True)
        new = torch.ones_like(value, dtype=torch.bool)
        new[1:] = value[1:] != value[:-1]
        first = order[new].sort().values
        if len(first) >= size:
            return drawn[first[:size]]
        drawn = torch.cat([drawn, torch.randint(n, (size + 8,), generator=generator, device=device(generator))])


def scatter(n: int, noise: Tensor, generator: Generator | None) -> Tensor:
    """1/n everywhere, plus noise/n on random rows."""
    index = subsets(n, noise.shape[1], noise.shape[0], generator)
    return constant(noise.shape[0], n, 1 / n, generator).scatter_add_(1, index, noise / n)
