"""When boosting ends before its last iteration."""

from collections.abc import Callable

import numpy as np

from securegbm.config import TrainConfig
from securegbm.errors import SecureGBMError
from securegbm.trees.objectives import Floats
from securegbm.trees.tree import Tree

Metric = Callable[[Floats, Floats, Floats], float]
"""Of the held-out rows' labels `(rows,)`, predictions `(num_class, rows)` and weights `(rows,)`; smaller is better."""


def watched(config: TrainConfig, metric: Metric | None, scores: Floats, labels: Floats, weights: Floats) -> float:
    """What early stopping watches on the held-out rows: the configured metric, or a function given instead.

    Raises:
        SecureGBMError: If it is no number, which would count as the best one.
    """
    objective = config.objective
    if metric is None:
        found = objective.metric(config.metric, scores, labels, weights)
    else:
        found = float(metric(labels, objective.transform(scores), weights))
    if np.isnan(found):
        raise SecureGBMError("the metric of the held-out rows is not a number; early stopping needs one, smaller is better")
    return found


def stopped(history: list[float], rounds: int) -> bool:
    """Whether the last `rounds` iterations did not improve on the best one (LightGBM's early stopping)."""
    return bool(rounds and history and len(history) - 1 - int(np.argmin(history)) >= rounds)


def is_dead(trees: list[Tree], classes: int, config: TrainConfig) -> bool:
    """LightGBM stops when no tree of an iteration could split; in the approximate modes the next draw may."""
    last = trees[-classes:] if trees else []
    return not config.approximates and bool(last) and all(tree.num_nodes == 0 for tree in last)
