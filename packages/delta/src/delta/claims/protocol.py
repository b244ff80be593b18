"""The protocol of C3 and C4: the same splits, heads, batches and augmentation for every method; alpha chosen on validation.

A seed runs every method at every weight of its published grid, on training images from which a validation part is
carved. For each task and method the weight with the best mean validation accuracy over the seeds is chosen, the smallest
of equals, and the accuracies on the test set, of the last iterate at that weight, are compared in pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from delta.claims.targets import TASKS
from delta.layers import layers_for
from delta.methods import ALPHAS, GRIDS, Method, fine_tune, task_attention
from paperkit.claims import Values
from paperkit.experiment import Job, Settings
from paperkit.transfer.loop import DivergedError, FineTuning


@dataclass(frozen=True)
class Target:
    """A task and how it is trained; seeds beyond ``seeds`` leave it out."""

    name: str
    per_class: int
    steps: int
    learning_rate: float = 0.01
    batch: int = 16
    seeds: int = 1_000


DIGITS = Target("digits", 10, 80, 0.02)
FULL = (
    Target("tiny_imagenet", 10, 120, 0.02),
    Target("flowers_mobilenet", 20, 100, seeds=5),
    Target("flowers_squeezenet", 20, 100, seeds=5),
)


@dataclass(frozen=True)
class Comparison(Settings):
    """Tasks and methods; one thread, since the tensors are small and seeds run beside one another."""

    threads: int | None = 1
    tasks: tuple[Target, ...] = (DIGITS,)
    methods: tuple[Method, ...] = ()
    head_decay: float = 0.01
    short: bool = False
    """Only one weight a method: for preset smoke."""


def measure(s: Comparison, job: Job) -> Values:
    """Validation and test accuracy of every task, method and weight; see :data:`COLUMNS`."""
    rows: list[list[str | float]] = []
    for target in s.tasks:
        if job.seed >= target.seeds:
            continue
        task = TASKS[target.name](target.per_class, job.assets)
        settings = FineTuning(target.steps, target.batch, target.learning_rate, head_decay=s.head_decay, seed=job.seed)
        layers = layers_for(task.source.to(job.device), task.view.test(task.pool.x[:1]).to(job.device))
        attention = task_attention(task, job.seed, layers, device=job.device) if "delta" in s.methods else None
        for method in s.methods:
            grid = GRIDS.get(method, (ALPHAS[method],))
            for alpha in grid[:1] if s.short else grid:
                row: list[str | float] = [task.name, method, alpha]
                try:
                    r = fine_tune(task, method, alpha, settings, layers, attention, job.device).result
                    rows.append([*row, r.validation.accuracy, r.test.accuracy, r.train.loss, 0])
                except DivergedError:
                    chance = 1 / len(task.pool.classes)
                    rows.append([*row, chance, chance, -1.0, 1])
    return {"columns": COLUMNS, "runs": rows}


COLUMNS = ["task", "method", "alpha", "validation accuracy", "test accuracy", "training loss", "diverged (counts as chance)"]

Curve = Mapping[float, np.ndarray]
"""Weight to an array ``(seeds, 2)`` of validation and test accuracy."""


def curves(values: Sequence[Values]) -> dict[str, dict[str, Curve]]:
    """Task, then method, then the curve over the weights."""
    table: dict[str, dict[str, dict[float, list[list[float]]]]] = {}
    for v in values:
        for task, method, alpha, validation, test, *_ in v["runs"]:
            table.setdefault(task, {}).setdefault(method, {}).setdefault(alpha, []).append([validation, test])
    return {t: {m: {a: np.array(x) for a, x in c.items()} for m, c in ms.items()} for t, ms in table.items()}


def chosen(curve: Curve) -> float:
    """The weight with the best mean validation accuracy, the smallest of equals."""
    return max(sorted(curve), key=lambda alpha: round(float(curve[alpha][:, 0].mean()), 9))


def accuracies(values: Sequence[Values]) -> dict[str, dict[str, np.ndarray]]:
    """Task, then method, then percent on the test set by seed, at the chosen weight."""
    table = curves(values)
    return {t: {m: 100 * c[chosen(c)][:, 1] for m, c in methods.items()} for t, methods in table.items()}


def means(values: Sequence[Values]) -> str:
    """One sentence a task: mean test accuracies, and the weights where there was a choice."""
    accuracy, table = accuracies(values), curves(values)
    sentences = []
    for task, methods in accuracy.items():
        said = []
        for method, x in methods.items():
            curve = table[task][method]
            weight = f" (alpha {chosen(curve):g})" if len(curve) > 1 else ""
            said.append(f"{method} {x.mean():.1f}{weight}")
        seeds = len(next(iter(methods.values())))
        sentences.append(f"{task}, {seeds} seeds: {', '.join(said)}.")
    return " ".join(sentences)
