"""Methods compared in pairs: the same splits, heads, batches and augmentation, the weight chosen on validation images."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from claimkit.transfer.loop import DivergedError, FineTuning
from claimkit.transfer.maps.layers import layers_for
from claimkit.transfer.tasks import Task
from delta.methods import ALPHAS, GRIDS, Method, fine_tune, task_attention

COLUMNS = ["task", "method", "alpha", "validation accuracy", "test accuracy", "training loss", "diverged (counts as chance)"]

Run = list[str | float]
"""One fine-tuning run, as :data:`COLUMNS` names it."""
Curve = Mapping[float, np.ndarray]
"""Weight to an array ``(seeds, 2)`` of validation and test accuracy."""


def compare_task(
    task: Task,
    methods: Sequence[Method],
    settings: FineTuning,
    layers: Sequence[str] | None = None,
    device: str = "cpu",
    short: bool = False,
    feature_scale: float = 1.0,
) -> list[Run]:
    """Run every method at every weight of its grid, on the split of ``settings.seed``.

    Args:
        task: The source network and the target images.
        methods: Which; their grids are :data:`delta.methods.GRIDS`.
        settings: How to train, the same for all.
        layers: Where features are kept; :func:`delta.layers_for` when None.
        device: Where.
        short: Only the first weight of each grid.
        feature_scale: Factor of the weights on feature maps, for networks whose maps are not of order one.
    """
    layers = layers or layers_for(task.source.to(device), task.view.test(task.pool.x[:1]).to(device))
    attention = task_attention(task, settings.seed, layers, device=device) if "delta" in methods else None
    runs: list[Run] = []
    for method in methods:
        scale = feature_scale if method in ("fm", "delta") else 1
        grid = [scale * alpha for alpha in GRIDS.get(method, (ALPHAS[method],))]
        for alpha in grid[:1] if short else grid:
            row: Run = [task.name, method, alpha]
            try:
                r = fine_tune(task, method, alpha, settings, layers, attention, device).result
                runs.append([*row, r.validation.accuracy, r.test.accuracy, r.train.loss, 0])
            except DivergedError:
                chance = 1 / len(task.pool.classes)
                runs.append([*row, chance, chance, -1.0, 1])
    return runs


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


def doubts(methods: Mapping[str, Curve]) -> list[str]:
    """Why a comparison on one task would decide nothing: one sentence for each negative control that fails.

    As their weight grows, ``fm`` and ``delta`` hold the features where they are, so that they must come within three points
    of ``frozen``, from below (from above more is left to learn); and plain ``l2`` must beat ``frozen`` and ``scratch``, or
    there is nothing to gain by moving weights, or nothing in the source.

    Args:
        methods: Method to its curve; controls of methods that are not there are left out.
    """
    mean = {m: 100 * float(c[chosen(c)][:, 1].mean()) for m, c in methods.items()}
    found = []
    for method in ("fm", "delta"):
        if method in methods and "frozen" in mean:
            alpha = max(methods[method])
            held = 100 * float(methods[method][alpha][:, 1].mean())
            if held < mean["frozen"] - LIMIT:
                found.append(f"{method} at its largest weight {alpha:g} is at {held:.1f}, frozen at {mean['frozen']:.1f}")
    found += [
        f"{other} ({mean[other]:.1f}) is not beaten by l2 ({mean['l2']:.1f})"
        for other in ("frozen", "scratch")
        if other in mean and "l2" in mean and mean["l2"] <= mean[other]
    ]
    return found


def seeds_needed(differences: np.ndarray, half_width: float = 0.5, most: int = 100_000) -> int:
    """Paired seeds at which the 95 % interval of a mean difference is at most ``+- half_width``, from a pilot's spread.

    >>> seeds_needed(np.array([0.0, 1.0, -1.0, 0.5, -0.5]))
    13
    """
    from scipy.stats import t

    spread = float(np.std(differences, ddof=1))
    return next((n for n in range(2, most) if t.ppf(0.975, n - 1) * spread <= half_width * n**0.5), most)
