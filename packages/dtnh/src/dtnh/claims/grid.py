"""Every (source, regulariser, weight) with every way of combining gradients, paired by seed: the runs that claims judge."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from claimkit.assets import Assets
from claimkit.claims import Values
from claimkit.experiment import Job, Settings
from claimkit.run import progress
from claimkit.transfer.loop import DivergedError, FineTuning
from claimkit.transfer.tasks import Task
from dtnh.claims import natural_images
from dtnh.claims.witness import Witness
from dtnh.finetune import embedded
from dtnh.finetune.finetuning import fine_tune, regularizer

HOWS = ("plain", "guard", "symmetric", "random")
Cell = tuple[str, str, str, float]
"""Task, source, regulariser and its weight."""


@dataclass(frozen=True)
class Grid(Settings):
    """Sizes of the grid.

    Attributes:
        tasks: Name to sources.
        alphas: Regulariser to its weights, the largest last; rivals run at the largest alone.
        steps: Of fine-tuning.
        batch: Images a step.
        learning_rates: At the start, by task.
    """

    threads: int | None = 1
    tasks: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"digits": embedded.SOURCES})
    alphas: Mapping[str, Sequence[float]] = field(default_factory=lambda: {"l2sp": (0.03, 0.3), "featmap": (1e-3, 1e-2)})
    steps: int = 120
    batch: int = 32
    learning_rates: Mapping[str, float] = field(default_factory=lambda: {"digits": 0.01})


def measure(s: Grid, job: Job) -> Values:
    """All runs of one seed; claims with the same grid share them."""
    for name in s.tasks:
        note(name, job.assets)
    return {"runs": list(_runs(s, job))}


def task(name: str, source: str, assets: Assets) -> Task:
    """A task of the grid, by its name and its source's."""
    return embedded.task(source) if name == "digits" else natural_images.task(name, source, assets)


def note(name: str, assets: Assets) -> None:
    """Remember the data of a task in the record."""
    if name == "digits":
        assets.note("scikit-learn digits", embedded.digest())
    else:
        natural_images.find(name, assets)


def _runs(s: Grid, job: Job) -> Iterable[Values]:
    plans: list[tuple[Cell, str]] = []
    for name, sources in s.tasks.items():
        for source in sources:
            plans.append(((name, source, "l2", 1e-4), "plain"))
            for base, alphas in s.alphas.items():
                for alpha in alphas:
                    hows = HOWS if alpha == alphas[-1] else HOWS[:2]
                    plans += [((name, source, base, alpha), how) for how in hows]
    for cell, how in progress(plans, f"seed {job.seed}", unit="run"):
        name, source, base, alpha = cell
        where, rate = task(name, source, job.assets), s.learning_rates[name]
        settings = FineTuning(s.steps, s.batch, rate, augment=name != "digits", seed=job.seed)
        method = regularizer(base, where.source, alpha, "plain" if how == "guard" else how, seed=job.seed)
        if how == "guard":
            method = Witness(method, rate)
        run: dict[str, Any] = {"task": name, "source": source, "base": base, "alpha": alpha, "how": how}
        try:
            fit = fine_tune(where, method, settings, job.device)
        except DivergedError:  # counts as chance
            classes = len(where.pool.classes)
            yield run | {"test": 100 / classes, "validation": 100 / classes, "train_loss": log(classes), "diverged": True}
            continue
        run |= {
            "test": 100 * fit.result.test.accuracy,
            "validation": 100 * fit.result.validation.accuracy,
            "train_loss": float(np.mean(fit.result.losses[-10:])),
        }
        if isinstance(method, Witness):
            rate = fit.conflicts.column("conflict")
            run |= {
                "conflict": float(rate.mean()),
                "conflict_curve": [round(float(part.mean()), 4) for part in np.array_split(rate, min(20, s.steps))],
                "cos": float(fit.conflicts.column("cos").mean()),
                "alignment": min(method.alignment),
                "differences": [float(f"{d:.4g}") for d in method.differences],
            }
        yield run


def cells(values: Sequence[Values]) -> dict[Cell, dict[str, np.ndarray]]:
    """Test accuracy in percent by cell and way, shape ``(seeds,)``; plain L2 of the same task and source is ``l2``."""
    return collect(values, "test")


def collect(values: Sequence[Values], key: str) -> dict[Cell, dict[str, np.ndarray]]:
    """One number of every run by cell and way, in the order of the seeds."""
    found: dict[Cell, dict[str, list[float]]] = {}
    for v in values:
        l2 = {(r["task"], r["source"]): r[key] for r in v["runs"] if r["base"] == "l2" and key in r}
        for r in v["runs"]:
            if r["base"] == "l2" or key not in r:
                continue
            ways = found.setdefault((r["task"], r["source"], r["base"], r["alpha"]), {})
            ways.setdefault(r["how"], []).append(r[key])
            if r["how"] == "plain":
                ways.setdefault("l2", []).append(l2[r["task"], r["source"]])
    return {cell: {how: np.array(x) for how, x in ways.items()} for cell, ways in found.items()}


def named(cell: Cell) -> str:
    """``digits, appropriate, l2sp 0.3``."""
    name, source, base, alpha = cell
    return f"{name}, {source}, {base} {alpha:g}"


def strongest(found: Iterable[Cell]) -> list[Cell]:
    """The cells with the largest weight of their regulariser."""
    listed = list(found)
    return [c for c in listed if c[3] == max(d[3] for d in listed if d[:3] == c[:3])]


def chosen_on_validation(values: Sequence[Values], how: str) -> dict[tuple[str, str, str], np.ndarray]:
    """Test accuracy at the weight with the best mean validation accuracy, by task, source and regulariser."""
    validation, test = collect(values, "validation"), collect(values, "test")
    best: dict[tuple[str, str, str], Cell] = {}
    for cell in test:
        key = cell[:3]
        if key not in best or validation[cell][how].mean() > validation[best[key]][how].mean():
            best[key] = cell
    return {key: test[cell][how] for key, cell in best.items()}


def markdown(values: Sequence[Values]) -> str:
    """The grid as a table: means over the seeds, and the guard's paired differences."""
    lines = [
        "| task | source | regulariser | plain L2 | base | **guard** | PCGrad | placebo | - base | - L2 | conflicts |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    rates = collect(values, "conflict")
    for cell, x in cells(values).items():
        mean = {how: f"{a.mean():.1f}" for how, a in x.items()}
        gain = f"{(x['guard'] - x['plain']).mean():+.2f}"
        against = f"{(x['guard'] - x['l2']).mean():+.2f}"
        rivals = " | ".join(mean.get(how, "") for how in ("symmetric", "random"))
        rate = f"{rates[cell]['guard'].mean():.0%}" if cell in rates else "diverged"
        name, source, base, alpha = cell
        lines.append(
            f"| {name} | {source} | {base} {alpha:g} | {mean['l2']} | {mean['plain']} | **{mean['guard']}** | {rivals} "
            f"| {gain} | {against} | {rate} |"
        )
    return "\n".join(lines)


def draw(values: Sequence[Values], path: Path) -> None:
    """Test accuracy of every way in every cell."""
    from dtnh import plots

    plots.cells(cells(values), path)
