"""The beginning of a path out of a focus, where it winds for ever: what a chain lacks there, and how it gets it."""

from dataclasses import replace

import numpy as np

from ..plane.local import lyapunov_covariance
from .guesses import guesses
from .relax import Forces, geometric_action, relax, spaced

_COUNT, _ZOOMS = 200, 8
_ENDS, _TIGHT = 5, 1e-10


def missing_turns(x: np.ndarray, forces: Forces) -> float:
    """How much more the beginning of a path ``(n, d)`` costs than the quadratic form: turns that it lacks around a focus.

    Of all beginnings up to a twentieth the worst counts: the turns are lost in the first segments, and further out the cubic
    term of U, which may be negative, hides them. Zero where the start is no stable equilibrium.
    """
    jac = np.asarray(forces.jacobian(x[:1]), float)[0]
    if np.linalg.eigvals(jac).real.max() >= 0:
        return 0.0
    form = np.linalg.inv(lyapunov_covariance(jac, _noise(forces, x)))
    excess = 0.0
    for count in range(1, max(2, len(x) // 20) + 1):
        away = x[count] - x[0]
        cost = geometric_action(x[: count + 1], forces.drift, forces.spread)
        excess = max(excess, cost - 0.5 * float(away @ form @ away))
    return excess


def wind(x: np.ndarray, forces: Forces, accuracy: float, tolerance: float, iterations: int) -> tuple[np.ndarray, float, int]:
    """Solve the beginning again on a chain of its own, then the beginning of that, until at most ``accuracy`` is missing.

    Each is the third of the points before it; its first guesses are what is there and the escape of the linearised drift.
    What all of it gains falls about tenfold from one to the next, so that a third of it bounds what the points further out,
    which are denser against the turns there, still lack.

    Args:
        x: the path ``(n, d)``; its first point is the attractor.
        forces: what it moves in.
        accuracy: of the action.
        tolerance: of Newton's method.
        iterations: at most this many steps on each chain.

    Returns:
        The path with denser points at its beginning, how much less it costs, and the Newton steps taken.
    """
    before = geometric_action(x, forces.drift, forces.spread)
    part, gained, steps = len(x), 0.0, 0
    for _ in range(_ZOOMS):
        if missing_turns(x, forces) < 0.1 * accuracy:
            break
        join = part // 3
        chain, more = _again(x[: join + 1], forces, _COUNT, tolerance, iterations)
        steps += more
        wound = np.concatenate([chain, x[join + 1 :]])
        after = geometric_action(wound, forces.drift, forces.spread)
        if after < before - gained:
            x, gained = wound, before - after
        part = _COUNT
    return x, gained, steps


def graded(x: np.ndarray, forces: Forces, count: int) -> np.ndarray:
    """A path between two equilibria on points that are denser towards both, each time on a third of what was there.

    Args:
        x: the path ``(n, d)``, converged.
        forces: what it moves in.
        count: points of each of the thirds.
    """
    x = relax(spaced(x, 2 * count), forces, _TIGHT, 100)[0]
    part = len(x)
    for _ in range(_ENDS):
        join = part // 3
        x = np.concatenate([_again(x[: join + 1], forces, count, _TIGHT, 100)[0], x[join + 1 :]])
        part = count
    part = 2 * count
    for _ in range(_ENDS):
        join = part // 3
        tail = x[-join - 1 :]
        near = replace(forces, scale=_extent(tail))
        x = np.concatenate([x[: -join - 1], relax(spaced(tail, count), near, _TIGHT, 100)[0]])
        part = count
    return x


def _extent(x: np.ndarray) -> float:
    return float(np.ptp(x, axis=0).max())


def _again(x: np.ndarray, forces: Forces, count: int, tolerance: float, iterations: int) -> tuple[np.ndarray, int]:
    """The beginning of a path solved on ``count`` points, from itself and from the linearised escape; and the steps."""
    near = replace(forces, scale=_extent(x))
    starts = [spaced(x, count), guesses(near.drift, near.jacobian, _noise(near, x), x[[0, -1]], count)[-1]]
    chains = [relax(start, near, tolerance, iterations) for start in starts]
    best = min(chains, key=lambda chain: chain[1][-1])
    return best[0], sum(len(chain[1]) - 1 for chain in chains)


def _noise(forces: Forces, x: np.ndarray) -> np.ndarray:
    """D at the first point ``(d, d)``."""
    if forces.spread is None:
        return np.eye(x.shape[1])
    return np.asarray(forces.spread(x[:1]))[0] if callable(forces.spread) else np.asarray(forces.spread)
