"""Pictures; matplotlib is imported when one is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from claimkit.figures import figure, save
from stylenas.front import non_dominated

COLOURS = {"evolution": "#c1272d", "random": "#777777", "nsga2": "#0072b2"}
MARKS = ("*", "D", "^", "s", "P")
PAINT = ("#009e73", "#0072b2", "#984ea3", "#e69f00", "#000000")


def search(best: ArrayLike, points: ArrayLike, names: tuple[str, str], path: Path, title: str) -> None:
    """How the best value fell, and all results with their front.

    Args:
        best: Best value after each evaluation, shape ``(evaluations,)``.
        points: Two terms of every evaluation, shape ``(evaluations, 2)``, in their order.
        names: Of the two terms.
        path: The picture.
        title: Of both.
    """
    canvas, (left, right) = figure(1, 2)
    best = np.asarray(best)
    left.step(np.arange(1, len(best) + 1), best, where="post", color=COLOURS["evolution"])
    left.set(xlabel="evaluations", ylabel="best objective", title=title)
    front(right, points, names, colour_by_order=True)
    save(canvas, path)


def front(
    axis: Any,
    points: ArrayLike,
    names: tuple[str, str],
    colour_by_order: bool = False,
    marked: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """All points, those that no other dominates joined by steps, and named ones marked."""
    x = np.asarray(points, dtype=float)
    colour = np.arange(len(x)) if colour_by_order else "#999999"
    shown = axis.scatter(x[:, 0], x[:, 1], c=colour, cmap="viridis" if colour_by_order else None, s=14, alpha=0.8)
    if colour_by_order:
        axis.figure.colorbar(shown, ax=axis, label="evaluation")
    best = x[non_dominated(x)]
    best = best[best[:, 0].argsort()]
    axis.step(best[:, 0], best[:, 1], where="post", color=COLOURS["evolution"], label="front")
    for i, (name, at) in enumerate((marked or {}).items()):
        axis.scatter(*at, marker=MARKS[i % len(MARKS)], color=PAINT[i % len(PAINT)], s=90, label=name, zorder=4)
    axis.set(xlabel=names[0], ylabel=names[1])
    axis.legend(fontsize=8)


def race(curves: Mapping[str, ArrayLike], axis: Any, title: str) -> None:
    """Best value so far of several searchers, mean over seeds and the band of a standard error.

    Args:
        curves: Name to an array of shape ``(seeds, evaluations)``.
        axis: Where.
        title: What was searched.
    """
    for name, values in curves.items():
        v = np.asarray(values, dtype=float)
        x, mean = np.arange(1, v.shape[1] + 1), v.mean(0)
        error = v.std(0, ddof=1) / np.sqrt(len(v)) if len(v) > 1 else np.zeros_like(mean)
        colour = COLOURS.get(name)
        axis.plot(x, mean, color=colour, label=name)
        axis.fill_between(x, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
    axis.set(xlabel="evaluations", ylabel="best objective (mean, ± s.e.)", title=title)
    axis.legend(fontsize=8)


def relation(
    axis: Any, x: ArrayLike, y: ArrayLike, names: tuple[str, str], title: str, marked: Mapping[str, Any] | None = None
) -> None:
    """One quantity against another, one point a network."""
    axis.scatter(x, y, s=16, color="#0072b2", alpha=0.8)
    for i, (name, at) in enumerate((marked or {}).items()):
        axis.scatter(*at, marker=MARKS[i % len(MARKS)], color=PAINT[i % len(PAINT)], s=90, label=name, zorder=4)
    axis.set(xlabel=names[0], ylabel=names[1], title=title)
    if marked:
        axis.legend(fontsize=8)


def bars(axis: Any, values: Mapping[str, float], label: str, title: str) -> None:
    """One bar a quantity, with its number."""
    shown = axis.barh(list(values), list(values.values()), color="#0072b2", alpha=0.85)
    axis.bar_label(shown, fmt="%.2g", padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.set(xlabel=label, title=title)
