"""Q15: how long mini-batch SGD stays in a minimum, against the action of its escape path and the loss barrier alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit import figures
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from quasipotential import plotting
from quasipotential.paths.action import minimum_action_path
from quasipotential.rates.prefactor import transition_rate
from quasipotential.sgd import NoisyRegression, gradient_covariance, sgd_exits


@dataclass(frozen=True)
class Leaving(Settings):
    """Step eta, the batch sizes in the quieter (left) and the noisier (right) well, replicas, and steps at most."""

    step: float = 0.2
    quiet: tuple[int, ...] = (2, 3, 4, 5)
    noisy: tuple[int, ...] = (4, 5, 6, 7)
    replicas: int = 300
    most: int = 60_000


def predict(model: NoisyRegression, side: int):
    """Action and rate of the escape from one well over the saddle at the origin, with D the covariance of one gradient."""
    drift = lambda p: -model.gradients(p).mean(1)  # noqa: E731
    noise = lambda p: gradient_covariance(model.gradients(p.reshape(-1, 2))).reshape(*p.shape, 2)  # noqa: E731
    path = minimum_action_path(drift, np.stack([model.wells()[side], np.zeros(2)]), diffusion=noise)
    return transition_rate(drift, path, diffusion=noise)


def leave(model: NoisyRegression, side: int, batches: tuple[int, ...], s: Leaving, seed: int) -> dict:
    """Mean steps until SGD's first parameter has the other sign, at several batch sizes, and what is predicted."""
    start = np.repeat(model.wells()[side][None], s.replicas, 0)
    inward = np.sign(start[0, 0])
    exits = [
        sgd_exits(
            model.gradient, 8, start, lambda t: -inward * t[:, 0], step=s.step, batch=b, most=s.most, seed=seed + 10 * k
        )
        for k, b in enumerate(batches)
    ]
    found = predict(model, side)
    return {
        "batches": list(batches),
        "mean": [e.mean for e in exits],
        "exits": [int(e.left.sum()) for e in exits],
        "action": found.barrier,
        "predicted": [found.mean_exit_time(s.step / b) / s.step for b in batches],
    }


def measure(s: Leaving, job: Job) -> Values:
    """Both wells, and the wells of a regression whose labels are equally noisy: the control."""
    model, even, seed = NoisyRegression(), NoisyRegression(noise=(4.0, 4.0)), 1000 * job.seed
    loss = model.loss(np.stack([*model.wells(), np.zeros(2)]))
    return {
        "step": s.step,
        "loss_barriers": [float(loss[2] - loss[0]), float(loss[2] - loss[1])],
        "wells": {
            "quiet": leave(model, 0, s.quiet, s, seed),
            "noisy": leave(model, 1, s.noisy, s, seed + 100),
            "even, left": leave(even, 0, s.noisy, s, seed + 200),
            "even, right": leave(even, 1, s.noisy, s, seed + 300),
        },
    }


def slope(values: Sequence[Values], well: str) -> tuple[float, float]:
    """Weighted least-squares slope of log mean exit time against b / eta, over all seeds, and its standard error.

    NaN where a batch size has no exit at all.
    """
    rows = [v["wells"][well] for v in values]
    x = np.array(rows[0]["batches"]) / values[0]["step"]
    exits = np.sum([r["exits"] for r in rows], 0)
    steps = np.sum([np.multiply(r["mean"], r["exits"]) for r in rows], 0)
    logs = np.log(steps / np.where(exits > 0, exits, np.nan))
    centred = x - np.sum(exits * x) / exits.sum()
    total = float(np.sum(exits * centred**2))
    return float(np.sum(exits * centred * logs) / total), total**-0.5


def judge(values: Sequence[Values]) -> Verdict:
    """Both slopes within 15 % of their actions with their intervals, the even wells equal, and power."""
    found = {well: slope(values, well) for well in values[0]["wells"]}
    actions = {well: values[0]["wells"][well]["action"] for well in found}
    share = {well: (found[well][0] / actions[well], 1.96 * found[well][1] / actions[well]) for well in ("quiet", "noisy")}
    gap = found["quiet"][0] - found["noisy"][0]
    wide = 1.96 * float(np.hypot(found["quiet"][1], found["noisy"][1]))
    tie = found["even, left"][0] - found["even, right"][0]
    loose = 1.96 * float(np.hypot(found["even, left"][1], found["even, right"][1]))
    told = "; ".join(f"{well} well {c:.3f} [{c - h:.3f}, {c + h:.3f}]" for well, (c, h) in share.items())
    reason = (
        f"Slope of the log exit time in b / eta over the action: {told}; the loss barriers are equal, and the slopes differ "
        f"by {gap:.3f} +- {wide:.3f} (actions: {actions['quiet'] - actions['noisy']:.3f}), with even labels by {tie:.3f} +- "
        f"{loose:.3f}."
    )
    if not all(np.isfinite(c) and h <= 0.1 for c, h in share.values()):
        return Verdict("not run", f"Too few exits: {reason}")
    if not abs(tie) <= 1.6 * loose:
        return Verdict("not run", f"The control fails: {reason}")
    close = all(abs(c - 1) + h <= 0.15 for c, h in share.values())
    kind = "not reproduced" if gap - wide <= 0 else "reproduced" if close else "direction reproduced"
    worst = max(share.values(), key=lambda ch: abs(ch[0] - 1))
    return Verdict(
        kind, reason, Estimate("slope / action, the further of two", worst[0], worst[0] - worst[1], worst[0] + worst[1])
    )


def draw(values: Sequence[Values], path: Path) -> None:
    """Log exit times against b / eta with the predicted ones, slope and factor."""
    canvas, axes = figures.figure()
    for well, colour in (("quiet", plotting.ACCENT), ("noisy", plotting.SECOND)):
        rows = [v["wells"][well] for v in values]
        x, exits = np.array(rows[0]["batches"]) / values[0]["step"], np.sum([r["exits"] for r in rows], 0)
        mean = np.sum([np.multiply(r["mean"], r["exits"]) for r in rows], 0) / exits
        axes.errorbar(x, mean, 2 * mean / np.sqrt(exits), fmt="o", color=colour, label=f"SGD, {well} well (± 2 s.e.)")
        axes.semilogy(x, rows[0]["predicted"], color=colour, label=f"predicted, action {rows[0]['action']:.3f}")
    axes.set(xlabel="batch / step size", ylabel="mean exit time (steps)", title="Two minima behind equal loss barriers")
    axes.legend(fontsize=8, loc="lower right")
    axes.grid(alpha=0.3)
    figures.save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="Q15",
            title="How long real SGD stays in a minimum",
            paper="1901.06054",
            where="derived",
            statement="Mean exit times of mini-batch SGD from two minima behind equal loss barriers grow with b / eta as "
            "the actions of the escape paths say, which differ by a factor of 1.9; the loss barrier alone makes them "
            "equal.",
            criterion="SGD itself (step 0.2, four batch sizes a well, with replacement) on the regression of Q7: the slope "
            "of the log mean exit time in b / eta is within 15 % of the action of the escape path, D the covariance of one "
            "sample's gradient, with its 95 % interval, in both wells. Direction: the quieter well's slope is larger, with "
            "the interval of the difference. Not run where an interval is wider than 10 % either way, or where the wells of "
            "a regression with even labels differ by more than 1.6 of their 95 % interval.",
            tolerance="The action is that of a diffusion: with these labels the higher cumulants of a sample's gradient add "
            "6 to 7 % to the exponent, however small the step, and a step of 0.2 takes some 4 % away. Power: 300 exits a "
            "batch size give a slope to 2 to 3 %.",
        ),
        {
            "smoke": Leaving(0.2, (1, 2), (2, 3), 50, 2000, seeds=1),
            "small": Leaving(seeds=1, threads=1),
            "full": Leaving(0.1, (2, 3), (3, 4, 5), 400, 300_000, seeds=2),
        },
        measure,
        judge,
        draw,
    )
]
