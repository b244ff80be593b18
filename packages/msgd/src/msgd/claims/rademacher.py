"""M9: the random objective of M-SGD is the loss plus an empirical Rademacher process."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings, pooled
from msgd.theory.sde import weighted_gradient


@dataclass(frozen=True)
class Signs(Settings):
    """Samples (all 2^n signs are enumerated), and the grid over the ball of the two parameters."""

    threads: int | None = 1
    n: int = 12
    radius: float = 1.5
    angles: int = 180
    radii: int = 5


def complexity(s: Signs, job: Job) -> Values:
    """E sup over a grid of the ball, and the closed form for linear functions; both exact over all signs."""
    x = torch.randn(s.n, 2, generator=Generator().manual_seed(job.seed), dtype=torch.float64)
    sigma = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=s.n)), dtype=torch.float64)
    angle = torch.linspace(0, 2 * torch.pi, s.angles + 1, dtype=torch.float64)[:-1]
    radius = torch.linspace(0, s.radius, s.radii, dtype=torch.float64)
    grid = (radius[:, None, None] * torch.stack([angle.cos(), angle.sin()], 1)).flatten(0, 1)
    noise = sigma / s.n  # V_i = sigma_i / n
    supremum = (noise @ (x @ grid.T)).max(1).values.mean()
    closed = s.radius / s.n * (sigma @ x).norm(dim=1).mean()
    point = torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    gradient = weighted_gradient(lambda w: w @ x.T, point, noise[:1])[0]
    return {
        "grid": float(supremum),
        "closed_form": float(closed),
        "identity_error": float((gradient - x.T @ noise[0]).norm()),
    }


def judge(values: Sequence[Values]) -> Verdict:
    """Within one percent, and the gradient identity to rounding."""
    pairs = zip(pooled(values, "grid"), pooled(values, "closed_form"), strict=True)
    error = max(abs(a / b - 1) for a, b in pairs)
    identity = max(pooled(values, "identity_error"))
    good = error <= 0.01 and identity <= 1e-12
    reason = f"The gradient of <V, l> equals G V to {identity:.0e}."
    return Verdict("reproduced" if good else "not reproduced", reason, Estimate("relative error", error))


EXPERIMENTS = [
    Experiment(
        Claim(
            id="M9",
            title="The regulariser is a Rademacher complexity",
            paper="1906.07405",
            where="abstract (v1): a data-dependent regulariser like Rademacher complexity; closed form derived",
            statement="M-SGD descends L + <V, l>, whose expected supremum is, for V = signs / n, the empirical "
            "Rademacher complexity of the losses; for linear functions in a ball of radius B that is (B/n) E "
            "|sum of sigma_i x_i|.",
            criterion="Relative error at most 1 % between the supremum over a grid of the ball and the closed form, "
            "over all signs; gradient of <V, l> equal to G V to 1e-12.",
            tolerance="A grid of 180 directions misses at most 1 - cos(1 degree) = 0.02 % of the supremum.",
        ),
        {"smoke": Signs(n=6), "small": Signs(seeds=3)},
        complexity,
        judge,
    )
]
