"""Where paths spend their time, by simulation, and the barrier that mean exit times show."""

import math
from collections.abc import Callable

import numpy as np

from claimkit.errors import InputError

from ..fields import refuse_not_positive
from .exits import Tables, half_points, longest_step, scaled
from .walk import occupy_paths


def simulate_occupancy(
    problem: Tables,
    starts: np.ndarray,
    label: Callable[[np.ndarray], np.ndarray],
    noise: float,
    *,
    duration: float,
    burn: float = 0.0,
    step: float = 0.005,
    every: int = 10,
    seed: int = 0,
) -> np.ndarray:
    """Share of the time that each path spends in each labelled set, ``(paths, labels)``.

    Args:
        problem: a ``Solution`` or the result of ``tabulate``; paths are held at the edge of its mesh.
        starts: first point of each path ``(n, 2)``.
        label: function of points ``(..., 2)`` returning integers from 0.
        noise: eps.
        duration: time observed, after ``burn``.
        burn: time before that.
        step: time step.
        every: steps between two looks.
        seed: any integer.

    Raises:
        InputError: for a start outside of the mesh, labels that are not integers from 0, noise or times that are not
            positive, a duration without a look, or steps for which Euler's method is unstable.
    """
    refuse_not_positive(noise=noise, duration=duration, step=step, every=every)
    b, root, scale = scaled(problem)
    starts = np.atleast_2d(np.asarray(starts, float))
    for point in starts:
        problem.mesh.refuse_outside(point)
        if step >= longest_step(problem, point):
            raise InputError(f"Steps of {step:g} are so long that Euler's method is unstable at the start; give less.")
    if not burn >= 0 or int(duration / step) < every:
        raise InputError(
            f"Nothing is looked at: burn must not be negative, and duration {duration:g} at least {every} steps of {step:g}."
        )
    found = np.asarray(label(half_points(problem.mesh)))
    labels = found.astype(np.int64)
    if found.shape != problem.drift.shape[:2] or not (labels == found).all() or labels.min() < 0:
        raise InputError("The label's function must return one integer a point, counted from 0.")
    here = (starts - problem.mesh.corner) / scale
    counts = np.zeros((len(here), int(labels.max()) + 1), np.int64)
    occupy_paths(
        here, b, root, labels, step, math.sqrt(noise * step), int(burn / step), int(duration / step), every, seed, counts
    )
    return counts / counts.sum(1, keepdims=True)


def exit_slope(noises: np.ndarray, times: np.ndarray, prefactor_exponent: float = 0.0) -> float:
    """Least-squares slope of ``log(E tau / eps^(m/2))`` against ``1 / eps``: an estimate of the barrier.

    Args:
        noises: eps ``(n,)``.
        times: mean exit times ``(n,)``.
        prefactor_exponent: m; 1 for an isolated lowest point of the boundary, plus the dimension of the set of
            lowest points.

    Raises:
        InputError: unless there are two different noises or more, each with a time, all positive and finite.
    """
    noises, times = np.asarray(noises, float), np.asarray(times, float)
    good = noises.ndim == 1 and noises.shape == times.shape and bool(np.isfinite(noises).all() and np.isfinite(times).all())
    if not good or noises.min(initial=1) <= 0 or times.min(initial=1) <= 0 or len(np.unique(noises)) < 2:
        raise InputError("A slope wants at least two different noises and as many mean exit times, all positive and finite.")
    logs = np.log(times) - 0.5 * prefactor_exponent * np.log(noises)
    return float(np.polyfit(1 / noises, logs, 1)[0])
