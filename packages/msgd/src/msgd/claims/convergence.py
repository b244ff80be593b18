"""M3: M-SGD and its stochastic differential equation converge strongly, of order one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.func import jacrev

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import power_law
from msgd import plots
from msgd.claims.algebra import logistic_losses
from msgd.noise import Bernoulli, GaussianCov, Multinomial, Noise, match
from msgd.theory.sde import Losses, coupled_paths, weighted_gradient


@dataclass(frozen=True)
class Paths(Settings):
    """Logistic regression in two dimensions with 20 samples, noise of SGD at batch 4, until time 1."""

    threads: int | None = 1
    n: int = 20
    batch: int = 4
    horizon: float = 1.0
    etas: tuple[float, ...] = (0.1, 0.05, 0.025, 0.0125)
    paths: int = 2_000
    substeps: int = 32
    intensity: float = 1.0
    weak_paths: int = 50_000


def converge(s: Paths, job: Job) -> Values:
    """Strong errors with shrinking and with fixed intensity, and weak errors of classes that are not Gaussian.

    The weak error of a class is that of the Gaussian class, measured on coupled paths, plus the difference between the two
    classes, measured on independent ones: the first is then free of most of the Monte-Carlo error.
    """
    generator = Generator().manual_seed(job.seed)
    losses = partial(logistic_losses, torch.randn(s.n, 2, generator=generator, dtype=torch.float64))
    start = torch.tensor([1.0, -1.0], dtype=torch.float64)
    gauss = match(GaussianCov(s.n), s.batch, replacement=True)
    laws: dict[str, Noise] = {
        "bernoulli": match(Bernoulli(s.n, s.batch), s.batch, replacement=True),
        "sgd-replacement": Multinomial(s.n, s.batch),
    }
    strong, fixed = [], []
    weak: dict[str, list[float]] = {name: [] for name in laws}
    for eta in s.etas:
        steps = round(s.horizon / eta)
        together = partial(coupled_paths, losses, start, gauss, eta, steps, s.paths, generator, s.substeps)
        pair = together()
        strong.append(pair.strong_error)
        fixed.append(together(intensity=s.intensity).strong_error)
        coupled = float((losses(pair.discrete) - losses(pair.continuous)).mean())
        reference = _expected_loss(losses, start, gauss, eta, steps, s.weak_paths, generator)
        for name, law in laws.items():
            difference = _expected_loss(losses, start, law, eta, steps, s.weak_paths, generator) - reference
            weak[name].append(abs(coupled + difference))
    return {"etas": list(s.etas), "strong": strong, "fixed_intensity": fixed, "weak": weak}


def _expected_loss(
    losses: Losses, start: Tensor, law: Noise, eta: float, steps: int, paths: int, generator: Generator
) -> float:
    """E of the mean loss after some steps, with a control variate of mean zero.

    The deviation from gradient descent, linearised, obeys ``d <- (I - eta H) d - eta G V`` and has mean zero for every
    class; what it explains of the loss is taken away.
    """

    def loss(x: Tensor) -> Tensor:
        return losses(x[None]).mean()

    x, centre = start.expand(paths, -1), start
    deviation = torch.zeros_like(x)
    for _ in range(steps):
        weight = law.dense(paths, generator).double()
        g, h = jacrev(lambda t: losses(t[None])[0])(centre), jacrev(jacrev(loss))(centre)
        deviation = deviation - eta * (deviation @ h + (weight - 1 / law.n) @ g)
        x = x - eta * weighted_gradient(losses, x, weight)
        centre = centre - eta * jacrev(loss)(centre)
    return float((losses(x).mean(1) - deviation @ jacrev(loss)(centre)).mean())


def _slopes(values: Sequence[Values]) -> dict[str, list[tuple[list[float], list[float], float]]]:
    """Name to (steps, errors, slope), one for each seed."""
    out: dict[str, list[tuple[list[float], list[float], float]]] = {}
    for v in values:
        weak = {f"weak, {k}": (v["etas"], e) for k, e in v["weak"].items()}
        strong = {"strong": (v["etas"], v["strong"]), "strong, fixed intensity": (v["etas"], v["fixed_intensity"])}
        for name, (x, y) in (strong | weak).items():
            out.setdefault(name, []).append((x, y, power_law(x, y).slope))
    return out


def judge(values: Sequence[Values]) -> Verdict:
    """Slopes in their brackets, for every seed."""
    slopes = {name: [slope for _, _, slope in runs] for name, runs in _slopes(values).items()}
    strong, control = slopes["strong"], slopes["strong, fixed intensity"]
    weak = {k: v for k, v in slopes.items() if k.startswith("weak")}
    good = all(0.9 <= s <= 1.15 for s in strong) and all(0.4 <= s <= 0.65 for s in control)
    good_weak = all(min(v) >= 0.9 for v in weak.values())
    reason = (
        f"Fixed intensity gives {_mean(control):.2f} (control), "
        f"weak slopes are {', '.join(f'{_mean(v):.2f} ({k[6:]})' for k, v in weak.items())}."
    )
    v0 = values[0]
    effect = power_law(v0["etas"], v0["strong"]).estimate("strong slope")
    return Verdict("reproduced" if good and good_weak else "not reproduced", reason, effect)


def _mean(x: Sequence[float]) -> float:
    return sum(x) / len(x)


def draw(values: Sequence[Values], path: Path) -> None:
    """Errors against the learning rate, first seed."""
    plots.orders({k: runs[0] for k, runs in _slopes(values).items()}, path, "M-SGD against its SDE on common Brownian paths")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="M3",
            title="Strong convergence to the SDE",
            paper="1906.07405",
            where="abstract (v1): strong convergence of M-SGD to an SDE with Gaussian noise; order derived",
            statement="M-SGD with Gaussian weights converges strongly to its stochastic differential equation; as "
            "the noise shrinks with the learning rate the order is one, and other weights converge weakly with order one.",
            criterion="Slope of log error against log learning rate in [0.9, 1.15]; with an intensity that does not "
            "shrink in [0.4, 0.65] (negative control); weak slopes for Bernoulli and SGD with replacement at least 0.9.",
            tolerance="Four learning rates and 2,000 paths leave about 0.03 of statistical error in the slope, the "
            "finite learning rates about 0.05.",
        ),
        {
            "smoke": Paths(etas=(0.2, 0.1, 0.05), paths=200, weak_paths=2_000, substeps=8),
            "small": Paths(),
            "full": Paths(seeds=5, paths=10_000, weak_paths=200_000),
        },
        converge,
        judge,
        draw,
    )
]
