"""Runs as rows, methods as curves over their weights, and the controls without which a comparison decides nothing."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

COLUMNS = ["task", "method", "alpha", "validation accuracy", "test accuracy", "training loss", "diverged (counts as chance)"]

Run = list[str | float]
"""One fine-tuning run, as :data:`COLUMNS` names it."""
Curve = Mapping[float, np.ndarray]
"""Weight to an array ``(seeds, 2)`` of validation and test accuracy."""


def curves(seeds: Iterable[Sequence[Run]]) -> dict[str, dict[str, Curve]]:
    """Task, then method, then the curve over the weights, from the runs of several seeds."""
    table: dict[str, dict[str, dict[float, list[list[float]]]]] = {}
    for runs in seeds:
        for task, method, alpha, validation, test, *_ in runs:
            by_alpha = table.setdefault(str(task), {}).setdefault(str(method), {})
            by_alpha.setdefault(float(alpha), []).append([float(validation), float(test)])
    return {t: {m: {a: np.array(x) for a, x in c.items()} for m, c in ms.items()} for t, ms in table.items()}


def chosen(curve: Curve) -> float:
    """The weight with the best mean validation accuracy, the smallest of equals."""
    return max(sorted(curve), key=lambda alpha: round(float(curve[alpha][:, 0].mean()), 9))


LIMIT = 3.0
"""Points within which feature maps held at the largest weight must come of a frozen extractor."""
MARGIN = 0.5
"""Points that are judged: the largest half-width of an interval, and how far from the best rate plain L2 may be."""


def doubts(methods: Mapping[str, Curve], both: bool = False) -> list[str]:
    """Why a comparison on one task would decide nothing: one sentence for each negative control that fails.

    As their weight grows, ``fm`` and ``delta`` hold the features where they are, so that they must come within three points
    of ``frozen``; plain ``l2`` must beat ``frozen`` and ``scratch``, or there is nothing to gain by moving weights, or
    nothing in the source; and its rate must be within half a point of the best of ``l2 at other rates`` on validation.

    Args:
        methods: Method to its curve; controls of methods that are not there are left out.
        both: Three points from above as well. Otherwise only from below: from above, more is left to learn than at the
            limit, and a grid of weights that ends there is no fault of the task.
    """
    mean = {m: 100 * float(c[chosen(c)][:, 1].mean()) for m, c in methods.items()}
    found = []
    for method in ("fm", "delta"):
        if method in methods and "frozen" in mean:
            alpha = max(methods[method])
            held = 100 * float(methods[method][alpha][:, 1].mean())
            if held < mean["frozen"] - LIMIT or (both and held > mean["frozen"] + LIMIT):
                found.append(f"{method} at its largest weight {alpha:g} is at {held:.1f}, frozen at {mean['frozen']:.1f}")
    found += [
        f"{other} ({mean[other]:.1f}) is not beaten by l2 ({mean['l2']:.1f})"
        for other in ("frozen", "scratch")
        if other in mean and "l2" in mean and mean["l2"] <= mean[other]
    ]
    if (rates := methods.get("l2 at other rates")) and "l2" in methods:
        best = chosen(rates)
        ahead = 100 * float(rates[best][:, 0].mean() - methods["l2"][chosen(methods["l2"])][:, 0].mean())
        if ahead > MARGIN:
            found.append(f"l2 at a rate of {best:g} is {ahead:.1f} points better on validation than at the rate of the arms")
    return found


def not_decided(methods: Mapping[str, Curve], differences: Sequence[NDArray[np.float64]], margin: float = MARGIN) -> str:
    """Why differences judged on one task decide nothing, in a sentence; empty where they may.

    Args:
        methods: Method to its curve, for the negative controls.
        differences: What is judged: paired differences in points, ``(seeds,)`` each.
        margin: Largest half-width of their 95 % intervals.
    """
    if (seeds := len(differences[0])) < 2:
        return "One seed shows the wiring only: an interval needs at least two."
    if found := doubts(methods, both=True):
        return f"The task decides nothing: {'; '.join(found)}."
    needed = max(seeds_needed(d, margin) for d in differences)
    if needed > seeds:
        return f"{seeds} paired seeds have intervals wider than +-{margin:g} points: {needed} are needed."
    return ""


def seeds_needed(differences: np.ndarray, half_width: float = 0.5, most: int = 100_000) -> int:
    """Paired seeds at which the 95 % interval of a mean difference is at most ``+- half_width``, from a pilot's spread.

    >>> seeds_needed(np.array([0.0, 1.0, -1.0, 0.5, -0.5]))
    13
    """
    from scipy.stats import t

    spread = float(np.std(differences, ddof=1))
    return next((n for n in range(2, most) if t.ppf(0.975, n - 1) * spread <= half_width * n**0.5), most)
