"""The protocol of C3 and C4: the same splits, heads, batches and augmentation for every method; alpha chosen on validation.

A seed runs every method at every weight of its published grid, on training images from which a validation part is
carved. For each task and method the weight with the best mean validation accuracy over the seeds is chosen, and the
accuracies on the test set, of the last iterate at that weight, are compared in pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from claimkit.claims import Estimate, Values
from claimkit.experiment import Job, Settings
from claimkit.statistics import RESAMPLES, paired_difference
from claimkit.transfer.arena.curves import COLUMNS, Curve, Run, chosen, curves
from claimkit.transfer.loop import FineTuning
from delta.claims.targets import TASKS
from delta.comparison import compare_task
from delta.methods import Method


@dataclass(frozen=True)
class Target:
    """A task and how it is trained; seeds beyond ``seeds`` leave it out.

    The learning rates at full were chosen by hand, in trials of plain L2 on validation images.
    """

    name: str
    per_class: int
    steps: int
    learning_rate: float
    batch: int = 16
    seeds: int = 1_000
    feature_scale: float = 1.0
    """Factor of the weights on feature maps, which are published for networks whose BatchNorm keeps the maps near one."""


DIGITS = Target("digits", 10, 80, 0.02)
FULL = (
    Target("tiny_imagenet", 10, 120, 0.05),
    Target("flowers_mobilenet", 20, 100, 0.001, seeds=5),
    Target("flowers_squeezenet", 20, 100, 0.001, seeds=5, feature_scale=1e-3),  # no BatchNorm: maps far above one
)


@dataclass(frozen=True)
class Protocol(Settings):
    """Tasks and methods; one thread, since the tensors are small and seeds run beside one another."""

    threads: int | None = 1
    tasks: tuple[Target, ...] = (DIGITS,)
    methods: tuple[Method, ...] = ("scratch", "frozen", "l2", "l2sp", "fm", "delta")
    head_decay: float = 0.01
    short: bool = False
    """Only one weight a method: for preset smoke."""


def measure(s: Protocol, job: Job) -> Values:
    """Validation and test accuracy of every task, method and weight."""
    runs: list[Run] = []
    for t in s.tasks:
        if job.seed < t.seeds:
            task = TASKS[t.name](t.per_class, job.assets)
            settings = FineTuning(t.steps, t.batch, t.learning_rate, head_decay=s.head_decay, seed=job.seed)
            scale = t.feature_scale
            runs += compare_task(task, s.methods, settings, device=job.device, short=s.short, feature_scale=scale)
    return {"columns": COLUMNS, "runs": runs}


def table(values: Sequence[Values]) -> dict[str, dict[str, Curve]]:
    """Task, then method, then the curve over the weights."""
    return curves(v["runs"] for v in values)


def accuracies(values: Sequence[Values]) -> dict[str, dict[str, np.ndarray]]:
    """Task, then method, then percent on the test set by seed, at the chosen weight."""
    return {t: {m: 100 * c[chosen(c)][:, 1] for m, c in methods.items()} for t, methods in table(values).items()}


def gain(values: Sequence[Values], ahead: Method, behind: Method, name: str) -> Estimate:
    """Mean paired difference over blocks (task, seed), in points of test accuracy.

    The interval covers two: that of the mean at the chosen weights, and the percentile bootstrap over the blocks in which
    every resample chooses its weights anew. Validation parts are small: which weight is chosen is chance, too.
    """
    a, b = (np.concatenate([t[m] for t in accuracies(values).values()]) for m in (ahead, behind))
    fixed = paired_difference(a, b, name, "points of test accuracy")
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(a), np.full(len(a), 1 / len(a)), RESAMPLES)
    total, first = np.zeros(RESAMPLES), 0
    for methods in table(values).values():
        seeds = len(next(iter(methods[ahead].values())))
        times = drawn[:, first : first + seeds]
        for method, sign in ((ahead, 1), (behind, -1)):
            runs = np.stack([methods[method][alpha] for alpha in sorted(methods[method])])
            validation, test = times @ runs[..., 0].T, times @ runs[..., 1].T
            best = validation.round(9).argmax(1)[:, None]
            total += sign * 100 * np.take_along_axis(test, best, 1)[:, 0]
        first += seeds
    low, high = np.quantile(total / len(a), (0.025, 0.975))
    value = round(fixed.value, 9)  # sums of equal parts leave 1e-18, which is no sign
    return replace(fixed, value=value, low=min(float(low), fixed.low or 0), high=max(float(high), fixed.high or 0))


def means(values: Sequence[Values], among: Sequence[str]) -> str:
    """One sentence a task: mean test accuracies of some methods, and the weights where there was a choice."""
    sentences = []
    for task, methods in table(values).items():
        said = []
        for method in (m for m in methods if m in among):
            curve = methods[method]
            alpha = chosen(curve)
            weight = f" (alpha {alpha:g})" if len(curve) > 1 else ""
            said.append(f"{method} {100 * curve[alpha][:, 1].mean():.1f}{weight}")
        seeds = len(next(iter(next(iter(methods.values())).values())))
        sentences.append(f"{task}, {seeds} seeds: {', '.join(said)}.")
    return " ".join(sentences)
