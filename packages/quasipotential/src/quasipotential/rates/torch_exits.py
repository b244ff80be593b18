"""Exit times on a GPU (or a CPU) with torch: all paths in lockstep, any dimension."""

from collections.abc import Callable

import numpy as np

from claimkit.errors import InputError

from ..fields import refuse_not_positive, refuse_outside
from .exits import Exits


def simulate_exits_torch(
    drift: Callable,
    start,
    region: Callable,
    noise: float,
    *,
    root: Callable | None = None,
    paths: int = 100_000,
    step: float = 0.005,
    longest: float = 1e4,
    seed: int = 0,
    device: str = "cpu",
    compact: int = 200,
) -> Exits:
    """Simulate exits of ``dX = b dt + sqrt(eps) sigma dW`` by Euler-Maruyama in float32 batches.

    Args:
        drift: torch function of points ``(n, d)`` to ``(n, d)``.
        start: ``(d,)``.
        region: torch function, negative inside.
        noise: eps.
        root: sigma as a torch function to ``(n, d, d)``; None for the identity.
        paths: as for ``simulate_exits``.
        step: as for ``simulate_exits``.
        longest: as for ``simulate_exits``.
        seed: as for ``simulate_exits``.
        device: of torch.
        compact: steps between two removals of the paths that
            have left; each step costs one elementwise pass over the others.

    Raises:
        InputError: for a start outside of the region, and where a path does not stay finite.
    """
    import torch

    refuse_not_positive(noise=noise, step=step, paths=paths, longest=longest, compact=compact)
    generator = torch.Generator(device).manual_seed(seed)
    begin = torch.as_tensor(np.asarray(start), dtype=torch.float32, device=device)[None]
    refuse_outside(lambda _: region(begin).cpu(), np.asarray(start, float))
    x = begin.expand(paths, -1).clone()
    number = torch.arange(paths, device=device)
    times = torch.full((paths,), float(longest), device=device)
    places = x.clone()
    left = torch.zeros(paths, dtype=torch.bool, device=device)
    total, most = 0, int(longest / step)
    when = torch.full((paths,), most, dtype=torch.int64, device=device)
    amplitude = (noise * step) ** 0.5
    k = 0
    while k < most and len(x):
        for _ in range(min(compact, most - k)):
            k += 1
            kick = torch.randn(x.shape, generator=generator, device=device) * amplitude
            if root is not None:
                kick = torch.einsum("nij,nj->ni", root(x), kick)
            x = torch.where((when < most)[:, None], x, x + step * drift(x) + kick)
            when = torch.where((when == most) & (region(x) >= 0), k, when)
        done = when < most
        times[number[done]] = when[done] * step
        places[number] = x
        left[number[done]] = True
        total += int(torch.where(done, when - (k - min(compact, k)), min(compact, k)).clamp_min(0).sum())
        if not torch.isfinite(x).all():
            raise InputError(
                f"Within {k} steps a path was no longer finite: the drift is not, or the step {step:g} too long."
            )
        x, number, when = x[~done], number[~done], when[~done]
    return Exits(times.cpu().double().numpy(), places.cpu().double().numpy(), int((~left).sum()), total)
