"""Fronts: which results no other one dominates, and how much of the plane they cover."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from claimkit.errors import InputError


def non_dominated(points: ArrayLike) -> NDArray[np.intp]:
    """Indices of the points that no other is as good as everywhere and better than somewhere; low is good.

    Of equal points the first stays.

    >>> non_dominated([[1, 3], [2, 2], [3, 1], [3, 3], [1, 3]]).tolist()
    [0, 1, 2]
    """
    x = _points(points)
    no_worse = (x[:, None] <= x[None]).all(2)
    better = (x[:, None] < x[None]).any(2)
    earlier = np.arange(len(x))[:, None] < np.arange(len(x))[None]
    dominated = (no_worse & (better | earlier)).any(0)
    return np.flatnonzero(~dominated)


def hypervolume(points: ArrayLike, reference: Sequence[float]) -> float:
    """Area that points of two objectives dominate up to ``reference``; low is good.

    >>> hypervolume([[1, 3], [2, 2], [3, 1]], (4, 4))
    6.0
    """
    x = _points(points)
    if x.shape[1] != 2 or len(reference) != 2:
        raise InputError(f"the hypervolume here is that of two objectives, not of {x.shape[1]}")
    if np.isnan(reference).any():
        raise InputError(f"the reference {tuple(reference)} is no point: give a bad value of each objective")
    x = x[(x < np.asarray(reference)).all(1)]
    if not len(x):
        return 0.0
    x = x[non_dominated(x)]
    x = x[x[:, 0].argsort()]
    right = np.append(x[1:, 0], reference[0])
    return float(((right - x[:, 0]) * (reference[1] - x[:, 1])).sum())


def _points(points: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(points, dtype=float)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise InputError(f"points are rows of finite values of each objective, not an array of shape {x.shape}")
    return x
