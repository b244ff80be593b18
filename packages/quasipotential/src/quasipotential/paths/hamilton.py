"""Minimum action paths by Hamilton's equations, for noise that does not reach every direction.

Where D is singular a path has finite action only if ``phi' - b`` lies in D's range, and ``D^{-1}`` does not exist. The least
``1/2 int p^T D p dt`` under ``x' = b(x) + D(x) p`` needs no inverse; p is the multiplier of that constraint and follows

    p' = -J^T p - 1/2 grad_x (p^T D p),   J = db/dx

(the Hamiltonian form, Grafke, Schaefer and Vanden-Eijnden 2017). Both are discretised by the midpoint rule on a time so long
that its end does not matter, and solved for all times at once by Newton's method, a sparse linear system a step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu

from claimkit.errors import InputError

from ..fields import difference
from ..plane.local import lyapunov_covariance

_LIFETIMES = 10.0
"""Length of the time at the start in units of its slowest rate: what is cut off is ``exp(-20)`` of the action."""


@dataclass(frozen=True)
class Hamiltonian:
    """``H(x, p) = 1/2 p^T D p + b p`` and its derivatives at points and momenta ``(n, d)``.

    Attributes:
        drift: b, ``(n, d) -> (n, d)``.
        jacobian: J, ``(n, d) -> (n, d, d)``.
        spread: D, one matrix or a function ``(n, d) -> (n, d, d)``.
        scale: length in whose units differences are taken.
    """

    drift: Callable
    jacobian: Callable
    spread: np.ndarray | Callable
    scale: float

    def noise(self, x: np.ndarray) -> np.ndarray:
        """D ``(n, d, d)``."""
        return (
            np.asarray(self.spread(x))
            if callable(self.spread)
            else np.broadcast_to(self.spread, (len(x), *self.spread.shape))
        )

    def noise_slopes(self, x: np.ndarray) -> np.ndarray | None:
        """``d D_ij / d x_k``, ``(n, d, d, d)``; None where D is constant."""
        return difference(self.spread, x, 1e-5 * self.scale) if callable(self.spread) else None

    def pull(self, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """``dH/dx``, ``(n, d)``."""
        slopes = self.noise_slopes(x)
        pull = np.einsum("nij,ni->nj", self.jacobian(x), p)
        return pull if slopes is None else pull + 0.5 * np.einsum("ni,nijk,nj->nk", p, slopes, p)

    def mixed(self, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """``d^2 H / dp dx``, ``(n, d, d)``."""
        slopes = self.noise_slopes(x)
        jac = np.asarray(self.jacobian(x), float)
        return jac if slopes is None else jac + np.einsum("nijk,nj->nik", slopes, p)

    def bend(self, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        """``d^2 H / dx^2``, ``(n, d, d)``."""
        second = difference(lambda y: self.pull(y, p), x, 1e-4 * self.scale)
        return 0.5 * (second + np.swapaxes(second, 1, 2))


def _residual(x, p, h, field):
    """What is left of both equations, ``(n, d)`` and ``(n - 1, d)``."""
    middle = 0.5 * (x[1:] + x[:-1])
    pull = field.pull(middle, p)
    push = field.drift(middle) + np.einsum("nij,nj->ni", field.noise(middle), p)
    return np.diff(x, axis=0) - h * push, np.diff(p, axis=0) + 0.5 * h * (pull[1:] + pull[:-1])


def _newton_move(x, p, h, field):
    """Newton's correction of the inner points ``(n - 1, d)`` and of the momenta ``(n, d)``."""
    n, d = p.shape
    middle = 0.5 * (x[1:] + x[:-1])
    mixed, bend, one = field.mixed(middle, p), field.bend(middle, p), np.eye(d)
    half, quarter = 0.5 * h * mixed, 0.25 * h * bend
    turned = np.swapaxes(half, 1, 2)
    inner = np.arange(1, n)
    blocks = [  # (rows of the equations, columns of the unknowns, matrices); the ends of x are no unknowns
        (np.arange(n), 2 * np.arange(n) + 2, one - half),
        (np.arange(n), 2 * np.arange(n), -one - half),
        (np.arange(n), 2 * np.arange(n) + 1, -h * field.noise(middle)),
        (n - 1 + inner, 2 * inner + 1, one + turned[1:]),
        (n - 1 + inner, 2 * inner - 1, -one + turned[:-1]),
        (n - 1 + inner, 2 * inner, quarter[1:] + quarter[:-1]),
        (n - 1 + inner, 2 * inner + 2, quarter[1:]),
        (n - 1 + inner, 2 * inner - 2, quarter[:-1]),
    ]
    i, j = np.indices((d, d))
    rows = np.concatenate([(r[:, None, None] * d + i).ravel() for r, _, _ in blocks])
    columns = np.concatenate([(c[:, None, None] * d + j).ravel() for _, c, _ in blocks])
    values = np.concatenate([np.broadcast_to(m, (len(r), d, d)).ravel() for r, _, m in blocks])
    kept = (columns >= d) & (columns < 2 * n * d)
    matrix = coo_matrix((values[kept], (rows[kept], columns[kept] - d)), shape=((2 * n - 1) * d,) * 2).tocsc()
    first, second = _residual(x, p, h, field)
    move = splu(matrix).solve(-np.concatenate([first.ravel(), second.ravel()])).reshape(2 * n - 1, d)
    return move[1::2], move[::2]


def _action(x, p, h, field):
    return 0.5 * h * float(np.einsum("ni,nij,nj", p, field.noise(0.5 * (x[1:] + x[:-1])), p))


def _solve(x, p, h, field, iterations):
    """Newton's method with halved steps; points, momenta and whether the equations hold."""
    size = lambda x, p: float(np.sqrt(sum(np.sum(part**2) for part in _residual(x, p, h, field))))  # noqa: E731
    left = size(x, p)
    for _ in range(iterations):
        try:
            move, kick = _newton_move(x, p, h, field)
        except RuntimeError:  # the factor is exactly singular
            return x, p, False
        for share in (1.0, 0.5, 0.25, 0.125):
            y = x.copy()
            y[1:-1] += share * move
            q = p + share * kick
            now = size(y, q)
            if now < left:
                break
        else:
            return x, p, left < 1e-9 * field.scale
        done = share == 1 and np.abs(move).max() < 1e-8 * field.scale
        x, p, left = y, q, now
        if done:
            return x, p, True
    return x, p, False


def _stretch(field, linear, h, iterations, shares):
    """Paths to the shares of the way to the end, each from the one before; as many as Newton's method reaches.

    ``linear`` holds points and momenta of the linearised drift's escape, which is the path of a small share.
    """
    away, push = linear
    start = away[:1]
    behind, here, found = (start, 0 * push, 0.0), None, []
    share, stride = 0.0, 0.125
    for goal in shares:
        while share < goal:
            to = min(share + stride, goal)
            if here is None:
                x, p = start + to * (away - start), to * push
            else:
                ahead = (to - share) / (share - behind[2])
                x, p = (new + ahead * (new - old) for new, old in zip(here, behind[:2], strict=True))
            x, p, converged = _solve(x, p, h, field, iterations)
            if converged:
                behind = (*here, share) if here else behind
                here, share, stride = (x, p), to, 1.5 * stride
            else:
                stride *= 0.5
                if stride < 0.004:
                    return found
        found.append(here)
    return found


def steer(field: Hamiltonian, ends: np.ndarray, iterations: int = 12) -> tuple[np.ndarray, float, float, bool, int]:
    """Path of least action from a stable equilibrium to a point, where D may be singular.

    The escape of the linearised drift is stretched until it reaches the end. An end at which the drift vanishes is reached
    after infinite time only: there U has no slope, and is extrapolated from the paths to 7/8, 15/16 and 31/32 of the way.

    Args:
        field: the Hamiltonian.
        ends: start and end ``(2, d)``.
        iterations: of Newton's method, for each stretch.

    Returns:
        Points of the path, its action, the error estimated from half as many steps, whether it was found, and the number of
        time steps.

    Raises:
        InputError: where the path does not start at a stable equilibrium, or the noise does not reach every direction even
            through the drift.
    """
    start, end = ends
    jac = np.asarray(field.jacobian(start[None]), float)[0]
    rates = np.linalg.eigvals(jac)
    if rates.real.max() >= 0 or np.linalg.norm(field.drift(start[None])) > 1e-4 * np.abs(rates).max() * field.scale:
        place = ", ".join(f"{v:.6g}" for v in start)
        raise InputError(f"Where D is singular a path must start at a stable equilibrium; ({place}) is none.")
    q = lyapunov_covariance(jac, field.noise(start[None])[0])
    spectrum = np.linalg.eigvalsh(q)
    if not spectrum[0] > 1e-10 * spectrum[-1]:
        raise InputError(
            "The noise does not reach every direction, not even through the drift (the stationary covariance at the start "
            "is singular): the action to most ends is infinite; leave the directions without noise out."
        )
    there = np.linalg.eigvals(np.asarray(field.jacobian(end[None]), float)[0])
    fastest = max(np.abs(rates).max(), np.abs(there).max())
    rests = np.linalg.norm(field.drift(end[None])) < 1e-4 * fastest * field.scale
    duration = _LIFETIMES / -rates.real.max() + (4 / max(np.abs(there.real).min(), 1e-2 * fastest) if rests else 0)
    steps = int(np.clip(duration * fastest / 0.15, 200, 4000))
    shares = (0.875, 0.9375, 0.96875) if rests else (1.0,)
    values, x, found = [], ends, []
    for n in (steps, 2 * steps):
        h = duration / n
        if n == steps:
            found = _stretch(field, _linear_escape(start, end, jac, q, h, n), h, iterations, shares)
        else:
            found = [_solve(_finer(x), np.repeat(p, 2, axis=0), h, field, iterations)[:2] for x, p in found]
        if len(found) < len(shares):
            return x, float("nan"), float("inf"), False, n
        actions = [_action(x, p, h, field) for x, p in found]
        x = found[-1][0]
        # U = c_0 + c_2 r^2 + c_3 r^3 at the distances r = 4, 2, 1
        values.append(float(np.linalg.solve([[1, r**2, r**3] for r in (4, 2, 1)], actions)[0]) if rests else actions[0])
    extrapolated = (4 * values[1] - values[0]) / 3
    return np.concatenate([x, ends[1:]]), extrapolated, abs(values[1] - values[0]) / 3, True, 2 * steps


def _finer(x):
    fine = np.empty((2 * len(x) - 1, x.shape[1]))
    fine[::2], fine[1::2] = x, 0.5 * (x[1:] + x[:-1])
    return fine


def _linear_escape(start, end, jac, q, h, steps):
    """Points and momenta of the linearised drift's escape, ``x(-s) = start + Q exp(J^T s) Q^{-1} (end - start)``."""
    one, rows = expm(h * jac.T), [np.linalg.solve(q, end - start)]
    for _ in range(steps):
        rows.append(one @ rows[-1])
    momenta = np.array(rows[::-1])
    away = momenta @ q
    away[0], away[-1] = 0.0, end - start
    return start + away, 0.5 * (momenta[1:] + momenta[:-1])
