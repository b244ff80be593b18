"""Q7: the same choice made by real mini-batch SGD on a regression with two equal minima."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit import figures
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from quasipotential import plotting
from quasipotential.sgd import NoisyRegression, run_sgd, sgd_problem
from quasipotential.wells.graph import find_wells

DOMAIN = ((-6.0, 6.0), (-4.0, 4.0))


@dataclass(frozen=True)
class Replicas(Settings):
    """Steps eta (batch 1), replicas, time, and the mesh of the solver."""

    etas: tuple[float, ...] = (0.12, 0.1, 0.085, 0.075)
    replicas: int = 1000
    time: float = 4000.0
    mesh: int = 193


def occupy(model: NoisyRegression, eta: float, s: Replicas, seed: int, batch: int = 1) -> np.ndarray:
    """Share of time in the left well of each replica, half of them started in each well.

    The first third is not counted.
    """
    steps = int(s.time / eta)
    starts = np.repeat(model.wells(), s.replicas // 2, 0)
    _, shares = run_sgd(
        model.gradient,
        8,
        starts,
        step=eta,
        batch=batch,
        steps=steps,
        burn=steps // 3,
        seed=seed,
        label=lambda p: (p[:, 0] > 0).astype(int),
    )
    return shares[:, 0]


def measure(s: Replicas, job: Job) -> Values:
    """Occupancies of SGD at several steps, the mirrored and the symmetric labels, and the solved quasi-potential."""
    model = NoisyRegression()
    problem = sgd_problem(model.gradients, DOMAIN, s.mesh)
    wells = find_wells(problem.drift, model.wells(), DOMAIN, s.mesh, saddles=[(0.0, 0.0)], diffusion=problem.diffusion)
    shares = [occupy(model, eta, s, 100 * job.seed + k) for k, eta in enumerate(s.etas)]
    control = {}
    for name, noise in {"mirrored": (2.5, 4.0), "equal": (4.0, 4.0)}.items():
        x = occupy(NoisyRegression(noise=noise), s.etas[0], s, 100 * job.seed + 50)
        control[name] = {"left": float(x.mean()), "standard_error": float(x.std(ddof=1) / np.sqrt(len(x)))}
    half = s.replicas // 2
    return {
        "etas": list(s.etas),
        "left": [float(x.mean()) for x in shares],
        "standard_error": [float(x.std(ddof=1) / np.sqrt(len(x))) for x in shares],
        "from_left": [float(x[:half].mean()) for x in shares],
        "from_right": [float(x[half:].mean()) for x in shares],
        "control": control,
        "difference": float(wells.levels[1] - wells.levels[0]),
        "losses": model.loss(model.wells()).tolist(),
    }


def judge(values: Sequence[Values]) -> Verdict:
    """The right well at every step, the flip, the control, and the slope of the log ratio."""
    eps = np.array(values[0]["etas"])
    left = np.mean([v["left"] for v in values], 0)
    slope = float(np.polyfit(1 / eps, np.log(left / (1 - left)), 1)[0])
    truth = values[0]["difference"]
    mirrored, equal = ([v["control"][k] for v in values] for k in ("mirrored", "equal"))
    even = abs(np.mean([c["left"] for c in equal]) - 0.5) / (
        np.sqrt(np.sum([c["standard_error"] ** 2 for c in equal])) / len(equal)
    )
    flips = float(np.mean([c["left"] for c in mirrored])) < 0.5
    there = np.mean([c["left"] for c in mirrored])
    well = bool((left > 0.5).all()) and flips and even <= 4
    good = well and abs(slope / truth - 1) <= 0.15
    reason = (
        f"SGD spends {left[-1]:.1%} of its time in the quieter well at step {eps[-1]:g}, {there:.1%} "
        "in that well when "
        f"the labels are mirrored, and an even share (off by {even:.1f} s.e.) when both are equally noisy; the log "
        f"ratio has slope {slope:.4f} "
        f"in 1/eps, the solved W difference is {truth:.4f}."
    )
    kind = "reproduced" if good else "direction reproduced" if well else "not reproduced"
    return Verdict(kind, reason, Estimate("slope / solved W difference", slope / truth))


def draw(values: Sequence[Values], path: Path) -> None:
    """Log ratio of the occupancies against b / eta, with the slope that the quasi-potential predicts."""
    canvas, axes = figures.figure()
    inverse = 1 / np.array(values[0]["etas"])
    left = np.mean([v["left"] for v in values], 0)
    logs = np.log(left / (1 - left))
    se = np.sqrt(np.sum([np.square(v["standard_error"]) for v in values], 0)) / len(values) / (left * (1 - left))
    axes.errorbar(inverse, logs, 2 * se, fmt="o", color=plotting.ACCENT, label="mini-batch SGD (± 2 s.e.)")
    truth = values[0]["difference"]
    axes.plot(
        inverse,
        logs.mean() + truth * (inverse - inverse.mean()),
        color=plotting.SECOND,
        label=f"slope of the quasi-potential, {truth:.4f}",
    )
    axes.set(xlabel="batch / step size", ylabel="log(time left / time right)", title="Two minima of equal loss: SGD itself")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    figures.save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="Q7",
            title="Real SGD makes the same choice",
            paper="1901.06054",
            where="abstract",
            statement="Among minima of equal loss, mini-batch SGD itself prefers the one with the smaller "
            "quasi-potential, by exp(-difference b / "
            "eta).",
            criterion="Replicas of mini-batch SGD (not its differential equation) on a regression with two minima "
            "of exactly equal loss: they "
            "prefer the solved well at every step size, flip with mirrored label noise, split evenly (4 standard "
            "errors) with equal label "
            "noise, and the log of the occupancy ratio has a slope in b / eta within 15 % of the solved difference of W.",
            tolerance="Step sizes of 0.1 carry corrections of first order in the step to both the slope and the "
            "loss landscape; 15 % covers them "
            "and is far from zero and from the opposite sign.",
        ),
        {
            "smoke": Replicas((0.15, 0.12), 100, 60.0, 97, seeds=1),
            "small": Replicas(),
            "full": Replicas((0.12, 0.1, 0.085, 0.075, 0.065), 4000, 20000.0, 257, seeds=4),
        },
        measure,
        judge,
        draw,
    )
]
