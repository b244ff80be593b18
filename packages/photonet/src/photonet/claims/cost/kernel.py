"""N8: the transform alone, against the double-precision singular values of the public code, and on hard covariances."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.style.transforms import Statistics, wct_map
from photonet.baselines.reference import wct_svd64
from photonet.claims import drawing
from photonet.claims.cost.speed import alternated, ratio
from photonet.execution.lazy import measure as statistics_of

FASTER = 4.0
RESIDUAL = 1e-3
WIDE = 256


@dataclass(frozen=True)
class Kernels(Settings):
    """Features whose covariance has a power-law spectrum turned at random: channels and side, and rounds that count."""

    shapes: tuple[tuple[int, int], ...] = ((64, 256), (128, 128), (256, 64), (512, 64))
    condition: float = 1e7
    """Largest over smallest eigenvalue."""
    rounds: int = 5


def features(channels: int, side: int, condition: float, generator: torch.Generator) -> Tensor:
    """(1, channels, side, side), normal, of that condition number."""
    basis = torch.linalg.qr(torch.randn(channels, channels, generator=generator, dtype=torch.float64)).Q
    eigenvalues = torch.logspace(0, -torch.log10(torch.tensor(condition)).item(), channels, dtype=torch.float64)
    noise = torch.randn(channels, side * side, generator=generator, dtype=torch.float64)
    return (basis @ (eigenvalues.sqrt()[:, None] * noise) + 0.5).float().view(1, channels, side, side)


def ours(x: Tensor, s: Tensor | Statistics) -> Tensor:
    """Statistics, the map, one product: what a transfer costs where it is not folded; of both, or of a style kept before."""
    return wct_map(statistics_of(x), s if isinstance(s, Statistics) else statistics_of(s), "none")(x)


def residual(measured: Statistics, covariance: Tensor) -> float:
    """|Z A Z' - 1|_F / sqrt(C), where Z maps what has the statistics ``measured`` to a covariance of 1."""
    eye = torch.eye(covariance.shape[-1]).to(covariance)
    z = wct_map(measured, Statistics(torch.zeros_like(measured.mean), eye[None]), "none").matrix
    return float((z @ covariance @ z.mT - eye).norm() / len(eye) ** 0.5)


def measure(s: Kernels, job: Job) -> Values:
    """Seconds a round and residuals by shape."""
    generator = torch.Generator().manual_seed(job.seed)
    seconds, given, measured = {}, {}, {}
    for channels, side in s.shapes:
        x, t = (features(channels, side, s.condition, generator) for _ in range(2))
        kept = statistics_of(t)
        work: dict[str, Callable[[], object]] = {
            "ours": lambda x=x, t=t: ours(x, t),
            "ours, style kept": lambda x=x, kept=kept: ours(x, kept),
            "SVD in double precision": lambda x=x, t=t: wct_svd64(x, t, "none"),
        }
        shape = f"{channels} x {side} x {side}"
        seconds[shape] = alternated(work, s.rounds)
        exact = Statistics.of(x.double())
        given[shape] = residual(exact, exact.covariance)
        measured[shape] = residual(statistics_of(x), exact.covariance)
    return {
        "seconds": seconds,
        "residual": given,
        "residual of features": measured,
        "condition": s.condition,
        "threads": torch.get_num_threads(),
    }


def judge_kernel(values: Sequence[Values]) -> Verdict:
    """Ratios where channels are many, residuals everywhere."""
    v = values[0]
    ratios = {n: ratio(t["SVD in double precision"], t["ours"], f"SVD / ours, {n}") for n, t in v["seconds"].items()}
    wide = [e for n, e in ratios.items() if int(n.split()[0]) >= WIDE] or list(ratios.values())
    worst, residual_worst = min(wide, key=lambda e: e.value), max(v["residual"].values())
    end = max(v["residual of features"].values())
    kept = {n: ratio(t["SVD in double precision"], t["ours, style kept"], n).value for n, t in v["seconds"].items()}
    told = ", ".join(f"{e.value:.1f} ({kept[n]:.1f} with the style kept) at {n}" for n, e in ratios.items())
    reason = (
        f"Times faster: {told}; {v['threads']} threads. Whitening residual of a given "
        f"covariance of condition {v['condition']:.0e} {residual_worst:.1g} at most, of single-precision features, whose "
        f"covariance is measured, too, {end:.1g}. Generated features, no encoder."
    )
    exact = residual_worst <= RESIDUAL
    good, some = worst.value >= FASTER and exact, worst.value > 1 and exact
    return Verdict("reproduced" if good else "direction reproduced" if some else "not reproduced", reason, worst)


def draw(values: Sequence[Values], path: Path) -> None:
    """Milliseconds by shape."""
    panels = {n: {k: [1e3 * x for x in v] for k, v in t.items()} for n, t in values[0]["seconds"].items()}
    drawing.bars(panels, path, f"WCT of both sides, milliseconds, {values[0]['threads']} threads")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N8",
            title="The kernel of WCT",
            paper="1912.02398",
            where="derived: the public code transforms by singular values in double precision",
            statement="WCT by eigenvalues, products in single precision, is faster than the public code, and exact.",
            criterion=f"At least {FASTER:g} times faster than float64 SVD at {WIDE} channels and more, medians of ratios of "
            f"the same round; whitening residual |Z A Z - 1|_F / sqrt(C) of a given covariance A of condition 1e7 at most "
            f"{RESIDUAL:g}. Direction: faster, and as exact.",
            tolerance="The bar of exactness is that of a picture: a thousandth of a standard deviation; a quiet machine.",
        ),
        {
            "smoke": Kernels(shapes=((16, 16), (32, 16)), rounds=3),
            "small": Kernels(),
            "full": Kernels(shapes=((64, 512), (128, 256), (256, 128), (512, 64)), rounds=9),
        },
        measure,
        judge_kernel,
        draw,
    )
]
