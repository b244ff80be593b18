"""The protocol of C3 and C4: the same splits, heads, batches and augmentation for every method; alpha chosen on validation.

A seed runs every method at every weight of its published grid, on training images from which a validation part is
carved. For each task and method the weight with the best mean validation accuracy over the seeds is chosen, and the
accuracies on the test set, of the last iterate at that weight, are compared in pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from delta.claims.targets import TASKS
from delta.comparison import COLUMNS, Curve, Run, chosen, compare_task, curves
from delta.methods import Method
from paperkit.claims import Values
from paperkit.experiment import Job, Settings
from paperkit.transfer.loop import FineTuning


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
