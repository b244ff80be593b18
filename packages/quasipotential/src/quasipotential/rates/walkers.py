"""Who walks in multilevel splitting: compiled on the tables of a plane, or a function of points in any dimension."""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from claimkit.errors import InputError

from ..fields import difference, evaluate, evaluate_region
from .exits import Tables, half_points, scaled
from .remaining import remaining_action

LOW, HIGH, OUT, UNFINISHED = range(4)
"""How a walk ends."""


class Walks(NamedTuple):
    """How each of n walks ended, its steps, its last state ``(n, d)`` and the highest score that it saw."""

    ends: np.ndarray
    steps: np.ndarray
    states: np.ndarray
    tops: np.ndarray


class Walker(Protocol):
    """Moves states until a score is reached."""

    def __call__(self, states: np.ndarray, low: float, high: float, most: int) -> Walks:
        """Walk until the score is at most ``low`` or at least ``high``, or the region is left, or for ``most`` steps."""
        ...


class PlaneWalker:
    """Walks on half-grid tables, compiled; states count half spacings.

    Args:
        problem: a ``Solution`` or the result of ``tabulate``.
        region: function of points ``(..., 2)``, negative inside.
        score: function of points; None for minus the action that is left, see ``remaining``.
        noise: eps.
        step: time step.
        seed: any integer; every walk has its own stream.
    """

    def __init__(self, problem: Tables, region: Callable, score: Callable | None, noise: float, step: float, seed: int):
        drift, root, self.scale = scaled(problem)
        self.corner, self.noise, self.step, self.seed, self.walks = problem.mesh.corner, noise, step, seed, 0
        points = half_points(problem.mesh)
        values = -remaining_action(problem, region) if score is None else np.asarray(score(points), float)
        values = np.where(np.isfinite(values), values, np.nanmax(np.where(np.isfinite(values), values, -np.inf)))
        signed = evaluate_region(region, points)
        slope_y, slope_x = np.gradient(signed)
        across = (root[..., 0] * slope_x + root[..., 1] * slope_y) ** 2 + (root[..., 2] * slope_y) ** 2
        drift = drift.copy()
        self.varies = root.shape[0] > 1
        if self.varies:  # from Ito's form to Stratonovich's
            for k, i in enumerate((0, 1, 1)):  # sigma_00, sigma_10, sigma_11
                along_y, along_x = np.gradient(root[..., k])
                column = (root[..., 0], root[..., 1]) if k < 2 else (0.0, root[..., 2])
                drift[..., i] -= 0.5 * noise * (along_x * column[0] + along_y * column[1])
        parts = [drift, values[..., None], signed[..., None], noise * step * across[..., None]]
        self.table = np.ascontiguousarray(np.concatenate([*parts, root] if self.varies else parts, -1))
        self.root = np.ascontiguousarray(root[0, 0])

    def states_of(self, points: np.ndarray) -> np.ndarray:
        """States of points."""
        return (np.asarray(points, float) - self.corner) / self.scale

    def __call__(self, states: np.ndarray, low: float, high: float, most: int) -> Walks:
        """See ``Walker``."""
        from .climb import climb_paths

        n = len(states)
        walks = Walks(np.empty(n, np.int64), np.empty(n, np.int64), np.array(states, float), np.empty(n))
        climb_paths(
            walks.states, self.table, self.root, self.varies, low, high, self.step, math.sqrt(self.noise * self.step), most,
            self.seed, self.walks, walks.ends, walks.steps, walks.tops,
        )  # fmt: skip
        self.walks += n
        return walks


class FieldWalker:
    """Walks of a drift given as a function, in any dimension, all at once in numpy.

    Args:
        drift: function of points ``(n, d)``.
        region: function of points, negative inside.
        score: function of points.
        noise: eps.
        step: time step.
        seed: any integer.
        diffusion: None for the identity, or a constant matrix ``(d, d)``, positive semidefinite.
        dimension: d.
    """

    def __init__(
        self,
        drift: Callable,
        region: Callable,
        score: Callable,
        noise: float,
        step: float,
        seed: int,
        diffusion,
        dimension: int,
    ):
        self.drift = lambda x: evaluate(drift, x, (dimension,), "drift")
        self.region, self.score, self.noise, self.step = region, score, noise, step
        self.rng = np.random.default_rng(seed)
        matrix = np.eye(dimension) if diffusion is None else np.asarray(diffusion, float)
        values, vectors = np.linalg.eigh(matrix)
        if matrix.shape != (dimension, dimension) or values[0] < -1e-12 * values[-1]:
            raise InputError(f"The diffusion must be a constant positive semidefinite ({dimension}, {dimension}) matrix.")
        self.root = vectors * np.sqrt(np.maximum(values, 0.0))
        self.identity = diffusion is None
        self.steepest = 0.0

    def states_of(self, points: np.ndarray) -> np.ndarray:
        """States of points: themselves."""
        return np.asarray(points, float)

    def _spread(self, x):
        """Variance, in a step, of the region's function."""
        slope = difference(lambda y: np.asarray(self.region(y), float), x, 1e-6)
        return self.noise * self.step * np.sum((slope @ self.root) ** 2, -1)

    def __call__(self, states: np.ndarray, low: float, high: float, most: int) -> Walks:
        """See ``Walker``."""
        n = len(states)
        walks = Walks(np.full(n, UNFINISHED), np.full(n, most), np.array(states, float), np.full(n, -np.inf))
        number, x = np.arange(n), np.array(states, float)
        signed, b = np.asarray(self.region(x), float), self.drift(x)
        for step in range(1, most + 1):
            kick = math.sqrt(self.noise * self.step) * self.rng.standard_normal(x.shape)
            kick = kick if self.identity else kick @ self.root.T
            x = x + kick + 0.5 * self.step * (b + self.drift(x + kick + self.step * b))
            before, signed = signed, np.asarray(self.region(x), float)
            crossed = signed >= 0
            near = ~crossed & (before * signed <= 100 * self.steepest)  # ten times as far as a step's variance tells
            if step == 1 or near.any():
                spread = self._spread(x if step == 1 else x[near])
                self.steepest = max(self.steepest, float(spread.max()))
                spread = spread[near] if step == 1 else spread
                chance = np.exp(-2 * before[near] * signed[near] / np.maximum(spread, 1e-300))
                crossed[near] = self.rng.random(len(spread)) < chance
            score = np.asarray(self.score(x), float)
            walks.tops[number] = np.where(crossed, walks.tops[number], np.maximum(walks.tops[number], score))
            over = crossed | (score >= high) | (score <= low)
            walks.ends[number[over]] = np.where(crossed, OUT, np.where(score >= high, HIGH, LOW))[over]
            walks.steps[number[over]], walks.states[number] = step, x
            number, x, signed = number[~over], x[~over], signed[~over]
            if not len(x):
                break
            b = self.drift(x)
        return walks
