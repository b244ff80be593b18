"""Pictures; matplotlib is imported when one is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from claimkit.figures import figure, save
from claimkit.transfer.loop import Result
from dtnh.guard.conflicts import COLUMNS, smoothed

COLOURS = {"l2": "#000000", "plain": "#c1272d", "guard": "#0072b2", "symmetric": "#e69f00", "random": "#999999"}
NAMES = {"l2": "plain L2", "plain": "base", "guard": "base, guarded", "symmetric": "PCGrad", "random": "random direction"}
MARKERS = {"l2": "_", "plain": "o", "guard": "D", "symmetric": "^", "random": "x"}
SOURCES = {"appropriate": "#009e73", "other domain": "#e69f00", "inappropriate": "#cc79a7"}
OTHERS = ("#0072b2", "#c1272d", "#009e73", "#e69f00", "#984ea3", "#56b4e9", "#666666", "#b8860b")
Cell = tuple[str, str, str, float]


def spread(x: np.ndarray) -> float:
    """Two standard errors of a mean; zero of one value."""
    return 2 * float(x.std(ddof=1)) / np.sqrt(len(x)) if len(x) > 1 else 0.0


def cells(found: Mapping[Cell, Mapping[str, np.ndarray]], path: Path) -> None:
    """Test accuracy of every way against the weight; a row a task and regulariser, a column a source."""
    rows = list(dict.fromkeys((c[0], c[2]) for c in found))
    columns = list(dict.fromkeys(c[1] for c in found))
    canvas, axes = figure(len(rows), len(columns), (3.6, 2.9), squeeze=False)
    for i, (task, base) in enumerate(rows):
        for j, source in enumerate(columns):
            axis = axes[i, j]
            here = sorted((c for c in found if (c[0], c[2], c[1]) == (task, base, source)), key=lambda c: c[3])
            if not here:
                axis.set_visible(False)
                continue
            accuracy(axis, {c[3]: found[c] for c in here})
            axis.set_title(f"{task}, {source}", fontsize=9)
            axis.set_xlabel(f"weight of {base}", fontsize=8)
        axes[i, 0].set_ylabel("test accuracy, %", fontsize=8)
    axes[0, 0].legend(fontsize=7)
    save(canvas, path)


def accuracy(axis: Any, by_alpha: Mapping[float, Mapping[str, np.ndarray]]) -> None:
    """Mean test accuracy of every way against the weight, with two standard errors; plain L2 as a line."""
    alphas = list(by_alpha)
    l2 = by_alpha[alphas[0]].get("l2")
    if l2 is not None:
        axis.axhline(l2.mean(), color=COLOURS["l2"], lw=1, ls="--", label=NAMES["l2"])
        axis.axhspan(l2.mean() - spread(l2), l2.mean() + spread(l2), color="black", alpha=0.06, lw=0)
    for k, how in enumerate(("plain", "guard", "symmetric", "random")):
        at = [a for a in alphas if how in by_alpha[a]]
        if at:
            x = np.array(at) * (1 + 0.06 * (k - 1.5))
            means, errors = zip(*((by_alpha[a][how].mean(), spread(by_alpha[a][how])) for a in at), strict=True)
            line = "-" if len(at) > 1 else "none"
            marker = MARKERS[how]
            axis.errorbar(x, means, errors, fmt=marker, ls=line, ms=5, capsize=2, color=COLOURS[how], label=NAMES[how])
    _weights(axis, alphas)
    axis.tick_params(labelsize=8)


def gains(gain: Mapping[Cell, np.ndarray], path: Path) -> None:
    """Guard minus base against the weight, a line a source, a panel a task and regulariser."""
    panels = list(dict.fromkeys((c[0], c[2]) for c in gain))
    canvas, axes = figure(1, len(panels), (4.0, 3.2), squeeze=False)
    for axis, (task, base) in zip(axes[0], panels, strict=True):
        for source in dict.fromkeys(c[1] for c in gain):
            here = sorted(c for c in gain if (c[0], c[1], c[2]) == (task, source, base))
            if here:
                x, means = [c[3] for c in here], [gain[c].mean() for c in here]
                errors = [spread(gain[c]) for c in here]
                axis.errorbar(x, means, errors, marker="o", capsize=3, color=SOURCES.get(source), label=source)
        axis.axhline(0, color="black", lw=0.8)
        axis.axhline(-0.5, color="black", lw=0.8, ls=":")
        _weights(axis, sorted({c[3] for c in gain if (c[0], c[2]) == (task, base)}))
        axis.set_xlabel(f"weight of {base}")
        axis.set_title(task, fontsize=10)
    axes[0, 0].set_ylabel("guard - base, points (± 2 s.e.)")
    axes[0, 0].legend(fontsize=8)
    save(canvas, path)


def mechanism(curves: Mapping[Cell, np.ndarray], differences: Mapping[Cell, np.ndarray], path: Path) -> None:
    """Conflict rate over training on the left; on the right, how much lower the guarded step leaves the batch's loss."""
    canvas, (left, right) = figure(1, 2, (5.8, 4.4))
    bases = list(dict.fromkeys((c[0], c[2]) for c in curves))
    for cell, curve in curves.items():
        task, source, base, alpha = cell
        style = ("-", "--", ":", "-.")[bases.index((task, base)) % 4]
        x = (np.arange(len(curve)) + 0.5) / len(curve)
        left.plot(x, curve, ls=style, color=SOURCES.get(source), lw=1.5, label=f"{task}, {source}, {base} {alpha:g}")
    left.set(xlabel="share of training done", ylabel="conflict rate", ylim=(-0.03, 1.03))
    left.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    for i, (cell, d) in enumerate(differences.items()):
        right.scatter(-d, i + np.linspace(-0.3, 0.3, len(d)), s=3, color=SOURCES.get(cell[1]), alpha=0.4)
    names = [f"{task}, {source}, {base} {alpha:g}" for task, source, base, alpha in differences]
    right.set_yticks(range(len(names)), names, fontsize=7)
    right.set_ylim(len(names) - 0.5, -0.5)
    right.axvline(0, color="black", lw=0.8)
    right.set_xscale("symlog", linthresh=1e-6)
    right.set_xticks([-1e-3, 0, 1e-5, 1e-3, 1e-1])
    right.set_xlabel("loss after the plain step minus after the guarded")
    save(canvas, path)


def conflicts(tables: Mapping[str, Sequence[np.ndarray]], path: Path, title: str = "") -> None:
    """Conflict rate, cosine and norms over training; tables of shape ``(steps, 6)``, several runs of a name averaged."""
    canvas, axes = figure(1, 3, (4.0, 3.2), squeeze=False)
    for (name, runs), colour in zip(tables.items(), _endless(len(tables)), strict=True):
        length = min(len(run) for run in runs)
        mean = dict(zip(COLUMNS, np.mean([run[:length] for run in runs], axis=0).T, strict=True))
        axes[0, 0].plot(smoothed(mean["conflict"]), color=colour, label=name)
        axes[0, 1].plot(mean["cos"], color=colour, lw=0.8)
        axes[0, 2].semilogy(mean["grad_norm"] + 1e-12, color=colour, lw=0.8, label=f"{name} loss".strip())
        axes[0, 2].semilogy(mean["reg_norm"] + 1e-12, color=colour, lw=0.8, ls="--", label=f"{name} regulariser".strip())
        axes[0, 2].semilogy(mean["removed_norm"] + 1e-12, color=colour, lw=0.8, ls=":", label=f"{name} removed".strip())
    axes[0, 0].set(xlabel="step", ylabel="conflict rate (last 20 steps)", ylim=(-0.03, 1.03), title=title)
    axes[0, 1].set(xlabel="step", ylabel="cosine of the two gradients")
    axes[0, 1].axhline(0, color="black", lw=0.8)
    axes[0, 2].set(xlabel="step", ylabel="norm of the gradient")
    axes[0, 2].legend(fontsize=6)
    if any(tables):
        axes[0, 0].legend(fontsize=7)
    save(canvas, path)


def demo(results: Mapping[tuple[str, str], Result], tables: Mapping[str, np.ndarray], path: Path) -> None:
    """Training loss by source and way, test accuracy at the end, and the conflict rate."""
    sources = list(dict.fromkeys(source for source, _ in results))
    canvas, (axes,) = figure(1, len(sources) + 1, (4.2, 3.4), squeeze=False)
    for axis, source in zip(axes, sources, strict=False):
        for (where, way), result in results.items():
            if where == source:
                label = f"{NAMES[way]}: test {result.test.accuracy:.1%}"
                axis.semilogy(smoothed(result.losses, 10), color=COLOURS[way], label=label)
        axis.set(xlabel="step", ylabel="training loss (last 10 steps)", title=f"{source} source")
        axis.legend(fontsize=7)
    for source, table in tables.items():
        axes[-1].plot(smoothed(table[:, COLUMNS.index("cos")], 10), color=SOURCES[source], label=source)
    axes[-1].axhline(0, color="black", lw=0.8)
    axes[-1].set(xlabel="step", ylabel="cosine", title="regulariser against loss (below 0: conflict)")
    axes[-1].legend(fontsize=7)
    save(canvas, path)


def _weights(axis: Any, alphas: Sequence[float]) -> None:
    axis.set_xscale("log")
    axis.set_xticks(alphas, [f"{a:g}" for a in alphas])
    axis.minorticks_off()


def _endless(count: int) -> list[str]:
    return [OTHERS[i % len(OTHERS)] for i in range(count)]
