"""``find_cycle``: a periodic orbit near a point, by Newton's method on the return map of a straight section.

The section goes through the point across the drift, m is its unit normal. From ``x0 = near + s e`` the drift comes back to
``x1 = near + P(s) e``; in the plane the slope of P is known without a second orbit (Liouville):
``P'(s) = <b(x0), m> / <b(x1), m> exp(int div b dt)``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from claimkit.errors import InputError

from ...fields import evaluate
from .orbit import LimitCycle

STEPS = {1e-7: 300, 1e-12: 20_000}
"""Steps of the integrator at each accuracy after which an orbit counts as one that does not come back."""

HUGE = 1e100
"""Rates are cut there: a step of the integrator that is far too long shall be seen as that, and never be NaN."""

TURNING = 0.3
"""Length that a turn by one radian counts for in the spacing of a cycle's samples, in units of the cycle's extent."""

SAMPLES = (256, 512, 1024)
"""Samples of a cycle: the fewest that resolve it."""


def find_cycle(drift: Callable[[np.ndarray], np.ndarray], near, *, turn=(0.0, 0.0)) -> LimitCycle:
    """A limit cycle of a planar drift near a point, stable or unstable.

    Args:
        drift: b, function of points ``(..., 2)``.
        near: a point near the cycle ``(2,)``, from which the drift comes back beside itself.
        turn: what the orbit gains in one period, for one that runs round an angle: ``(2 * pi, 0)``.

    Raises:
        InputError: where there is none, or a family of periodic orbits.

    >>> def hopf(p):
    ...     return np.stack([p[..., 1], -p[..., 0]], -1) + p * (1 - np.sum(p**2, -1, keepdims=True))
    >>> cycle = find_cycle(hopf, (0.9, 0.1))
    >>> round(cycle.period, 6), round(float(cycle.multiplier * np.exp(4 * np.pi)), 6), cycle.stable
    (6.283185, 1.0, True)
    """
    near, turn = np.asarray(near, float), np.asarray(turn, float)
    if near.shape != (2,) or turn.shape != (2,) or not np.isfinite([near, turn]).all():
        raise InputError(f"Give one finite point (2,) near the cycle and a turn (2,); they are {near} and {turn}.")
    where = f"({near[0]:.6g}, {near[1]:.6g})"
    flow = evaluate(drift, near, (2,), "drift")
    if not (np.isfinite(flow).all() and flow.any()):
        raise InputError(f"The drift at {where} is {flow.tolist()}; a cycle needs a point that moves.")
    sections = {sign: _Section(drift, near, sign * flow, sign * turn, sign) for sign in (1, -1)}
    said, found = {}, []
    for sign in (1, -1) if sections[1].attracts() else (-1, 1):
        section = sections[sign]
        for _ in range(3):
            try:
                with np.errstate(all="ignore"):  # an orbit that leaves may overflow; that is seen
                    found.append(section.cycle())
                break
            except _LostError as lost:
                said[sign] = f"{'forwards' if sign > 0 else 'backwards'} in time {lost}"
                if lost.place is None:
                    break
                section = _Section(drift, lost.place, sign * evaluate(drift, lost.place, (2,), "drift"), sign * turn, sign)
        if found and _distance(found[0], near) < 0.02:
            break
    if not found:
        raise InputError(f"There is no limit cycle near {where}: {said[1]}; {said[-1]}.")
    return min(found, key=lambda cycle: _distance(cycle, near))


def _distance(cycle: LimitCycle, point: np.ndarray) -> float:
    """How far a point is from a cycle, as a share of the cycle's extent."""
    return float(np.linalg.norm((cycle.points - point) / cycle.scale, axis=1).min())


class _LostError(Exception):
    """Why an orbit did not lead to a cycle, and where another section may meet it."""

    def __init__(self, reason: str, place: np.ndarray | None = None):
        super().__init__(reason)
        self.place = place


@dataclass(frozen=True)
class _Loop:
    """An orbit from the section back to it.

    Its end, the slope of P, ``int div b dt``, its time, extent and pieces, and the units of its length.
    """

    place: float
    slope: float
    exponent: float
    time: float
    extent: np.ndarray
    pieces: list
    size: np.ndarray


class _Section:
    """The return map of a section, forwards (sign 1) or backwards (-1) in time."""

    def __init__(self, drift, near, flow, turn, sign):
        self.near, self.turn, self.sign = near, turn, sign
        self.normal = flow / np.linalg.norm(flow)
        self.along = np.array([-self.normal[1], self.normal[0]])
        self.field = lambda p: sign * evaluate(drift, p, (2,), "drift")
        self.size = np.full(2, max(np.abs(near).max(), np.abs(turn).max(), 1e-3))

    def attracts(self) -> bool:
        """Whether orbits beside the first one come nearer to it in this direction of time, or it does not come back."""
        try:
            with np.errstate(all="ignore"):
                return self.loop(0.0, 1e-7).slope < 1
        except _LostError:
            return True

    def cycle(self) -> LimitCycle:
        """The fixed point of P, by Newton's steps where P contracts and by P itself where it does not yet."""
        s, first = 0.0, np.zeros(2)
        for rtol, close in ((1e-7, 1e-5), (1e-12, 1e-10)):
            for _ in range(50):
                loop = self.loop(s, rtol)
                self.size, first = loop.extent, np.maximum(first, loop.extent)
                if (loop.extent < 1e-3 * first).all():
                    raise _LostError("the orbits shrink to a point")
                move = loop.place - s
                unit = float(np.max(np.abs(self.along) / loop.extent))
                if abs(move) * unit < close:
                    break
                step = move / (1 - loop.slope) if loop.slope < 1 - 1e-6 else move
                s += float(np.clip(step, -0.5 / unit, 0.5 / unit))
            else:
                raise _LostError("the orbits come to no end")
        multiplier = float(np.exp(self.sign * loop.exponent))
        if abs(multiplier - 1) < 1e-6:
            raise _LostError("there is a whole family of periodic orbits (Floquet multiplier 1)")
        return LimitCycle(self.samples(loop), loop.time, multiplier, self.sign * self.turn)

    def loop(self, s: float, rtol: float) -> _Loop:
        """The return nearest to where the orbit began: a curve that is not convex crosses the section more than twice."""
        start = self.near + s * self.along
        begins = float(self.field(start[None])[0] @ self.normal)
        if begins <= 0:
            raise _LostError("the section through the point misses it")
        best, pieces, below, found = None, [], bool(self.turn.any()), 0
        low, high, x = start.copy(), start.copy(), start
        for solver in self.orbit(start, rtol):
            x = solver.y[:2]
            low, high = np.minimum(low, x), np.maximum(high, x)
            piece = solver.dense_output()
            pieces.append(piece)
            if below and self.height(x) >= 0:
                time = self.crossing(piece)
                state = piece(time)
                ends = float(self.field(state[None, :2])[0] @ self.normal)
                place = float((state[:2] - self.near - self.turn) @ self.along)
                if best is None or abs(place - s) < 0.999 * abs(best.place - s):
                    slope = begins / max(ends, 1e-300) * np.exp(min(state[2], 700.0))
                    best = _Loop(place, float(slope), float(state[2]), time, high - low, pieces.copy(), self.size)
                found += 1
                if found == (1 if self.turn.any() else 3) or abs(best.place - s) < 1e-3 * (high - low).max():
                    return best
            below = self.height(x) < 0
        raise _LostError("the orbit does not come back", x)

    def height(self, x: np.ndarray) -> float:
        """How far beyond the section (moved by the turn) a point lies."""
        return float((x - self.near - self.turn) @ self.normal)

    def crossing(self, piece) -> float:
        """When a piece of an orbit crosses the section."""
        from scipy.optimize import brentq

        time: Any = brentq(lambda t: self.height(piece(t)[:2]), piece.t_old, piece.t, xtol=1e-15 * piece.t)
        return float(time)

    def rate(self, x: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Rates of (x, y, int div b, length and turning) at points ``(..., 2)``."""
        h = 1e-5 * size
        stencil = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]]) * h
        b = np.moveaxis(self.field(x[..., None, :] + stencil), -2, 0)
        jacobian = np.stack([(b[1] - b[2]) / (2 * h[0]), (b[3] - b[4]) / (2 * h[1])], -1)
        bx, by, jxx, jxy, jyx, jyy = b[0, ..., 0], b[0, ..., 1], *(jacobian[..., i, j] for i in (0, 1) for j in (0, 1))
        vx, vy = bx / size[0], by / size[1]
        square = vx * vx + vy * vy
        turning = (vx * (jyx * bx + jyy * by) / size[1] - vy * (jxx * bx + jxy * by) / size[0]) / np.maximum(square, 1e-300)
        rates = np.stack([bx, by, jxx + jyy, np.sqrt(square + (TURNING * turning) ** 2)], -1)
        return np.clip(np.nan_to_num(rates, nan=HUGE), -HUGE, HUGE)

    def orbit(self, start: np.ndarray, rtol: float):
        """Steps of an orbit with the state (x, y, int div b, length and turning): the solver, again and again."""
        from scipy.integrate import DOP853

        size = self.size
        loose = max(rtol, 1e-8)  # what comes from differences is not exact enough for more
        least = np.array([*(1e-2 * rtol * size), loose, loose])
        tolerance: Any = {"rtol": np.array([rtol, rtol, loose, loose]), "atol": least}
        solver = DOP853(lambda _, y: self.rate(y[:2], size), 0.0, np.array([*start, 0.0, 0.0]), np.inf, **tolerance)
        slow = 1e-7 * np.linalg.norm(self.field(start[None])[0] / size)
        for _ in range(STEPS[rtol]):
            solver.step()
            x = solver.y[:2]
            if solver.status == "failed" or not (np.isfinite(solver.y).all() and (abs(x - start) < 1e4 * size).all()):
                raise _LostError("the orbit leaves")
            if np.linalg.norm(self.field(x[None])[0] / size) < slow:
                raise _LostError(f"the orbit ends at ({x[0]:.6g}, {x[1]:.6g})")
            yield solver

    def samples(self, loop: _Loop) -> np.ndarray:
        """Points of a loop along the flow, equally spaced in its length, ``(n, 2)``."""
        ends = np.array([piece.t for piece in loop.pieces])

        def state(times):
            which = np.minimum(np.searchsorted(ends, times), len(ends) - 1)
            return np.stack([loop.pieces[k](t) for k, t in zip(which, times, strict=True)])

        fine = np.unique(np.concatenate([np.linspace(0, loop.time, 2049), ends[ends < loop.time]]))
        lengths = state(fine)[:, 3]
        points = np.empty((0, 2))
        for n in SAMPLES:
            share = np.arange(n) / n
            times = np.interp(share * lengths[-1], lengths, fine)
            for _ in range(3):
                at = state(times)
                rate = self.rate(at[:, :2], loop.size)[:, 3]
                times = np.clip(times - (at[:, 3] - share * lengths[-1]) / rate, 0, loop.time)
            points = state(times)[:, :2]
            waves = np.abs(np.fft.rfft((points - share[:, None] * self.turn) / self.size, axis=0))
            if waves[2 * len(waves) // 3 :].max() < 1e-9 * waves[1:].max():
                break
        return points if self.sign > 0 else np.concatenate([points[:1], points[:0:-1] - self.turn])
