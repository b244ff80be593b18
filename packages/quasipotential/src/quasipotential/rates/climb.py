"""Paths between level lines of a score, compiled, for multilevel splitting in the plane.

A step is Heun's for Stratonovich's form: of second order in the control that the noise is, so that barriers, which mean
exit times contain exponentially, have errors of second order in the step; Euler's of first order would cost ten per cent at
``e^25``. Between two looks a path may have left and come back: with the chance ``exp(-2 s s' / v)`` of a Brownian bridge,
s and s' the signed distances and v the variance across the boundary.
"""

import math

from numba import njit, prange

from .random import normal, seed_path, uniform


@njit(cache=True, error_model="numpy", inline="always")
def _cell(table, x, y):
    i = min(max(int(x), 0), table.shape[1] - 2)
    j = min(max(int(y), 0), table.shape[0] - 2)
    s, t = x - i, y - j
    return i, j, (1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t


@njit(cache=True, error_model="numpy", inline="always")
def _read(table, k, i, j, a, b, c, d):
    return a * table[j, i, k] + b * table[j, i + 1, k] + c * table[j + 1, i, k] + d * table[j + 1, i + 1, k]


@njit(cache=True, error_model="numpy")
def climb_path(x, y, table, root, varies, low, high, dt, amplitude, most, seed, path):
    """Follow one path until its score is at most ``low`` or at least ``high``, or it is outside, or for ``most`` steps.

    ``table`` holds drift (2), score, region and the variance across its boundary in a step, then sigma (3) where it varies.

    Returns:
        How it ended (0 low, 1 high, 2 outside, 3 most), steps, place, and the highest score seen.
    """
    words = seed_path(seed, path)
    height, width = table.shape[0], table.shape[1]
    i, j, a, b, c, d = _cell(table, x, y)
    bx, by = _read(table, 0, i, j, a, b, c, d), _read(table, 1, i, j, a, b, c, d)
    signed = _read(table, 3, i, j, a, b, c, d)
    top = _read(table, 2, i, j, a, b, c, d)
    r0, r1, r2 = root[0], root[1], root[2]
    if varies:
        r0, r1, r2 = _read(table, 5, i, j, a, b, c, d), _read(table, 6, i, j, a, b, c, d), _read(table, 7, i, j, a, b, c, d)
    for step in range(1, most + 1):
        p, words = normal(words)
        q, words = normal(words)
        p, q = amplitude * p, amplitude * q
        kx, ky = dt * bx + r0 * p, dt * by + r1 * p + r2 * q
        i, j, a, b, c, d = _cell(table, x + kx, y + ky)
        gx, gy = _read(table, 0, i, j, a, b, c, d), _read(table, 1, i, j, a, b, c, d)
        if varies:
            s0, s1, s2 = (
                _read(table, 5, i, j, a, b, c, d),
                _read(table, 6, i, j, a, b, c, d),
                _read(table, 7, i, j, a, b, c, d),
            )
            x += 0.5 * (kx + dt * gx + s0 * p)
            y += 0.5 * (ky + dt * gy + s1 * p + s2 * q)
        else:
            x += kx + 0.5 * dt * (gx - bx)
            y += ky + 0.5 * dt * (gy - by)
        if not (0.0 < x < width - 1 and 0.0 < y < height - 1):
            return 2, step, x, y, top
        i, j, a, b, c, d = _cell(table, x, y)
        bx, by = _read(table, 0, i, j, a, b, c, d), _read(table, 1, i, j, a, b, c, d)
        score, before = _read(table, 2, i, j, a, b, c, d), signed
        signed = _read(table, 3, i, j, a, b, c, d)
        if varies:
            r0, r1, r2 = (
                _read(table, 5, i, j, a, b, c, d),
                _read(table, 6, i, j, a, b, c, d),
                _read(table, 7, i, j, a, b, c, d),
            )
        if signed >= 0.0:
            return 2, step, x, y, top
        near = 2.0 * before * signed
        spread = _read(table, 4, i, j, a, b, c, d)
        if near < 20.0 * spread:
            chance, words = uniform(words)
            if chance < math.exp(-near / spread):
                return 2, step, x, y, top
        top = max(top, score)
        if score >= high:
            return 1, step, x, y, top
        if score <= low:
            return 0, step, x, y, top
    return 3, most, x, y, top


@njit(cache=True, error_model="numpy", parallel=True)
def climb_paths(states, table, root, varies, low, high, dt, amplitude, most, seed, first, ends, steps, tops):
    """``climb_path`` for all states ``(n, 2)``, which are moved, in parallel."""
    for path in prange(len(states)):
        ends[path], steps[path], states[path, 0], states[path, 1], tops[path] = climb_path(
            states[path, 0], states[path, 1], table, root, varies, low, high, dt, amplitude, most, seed, first + path
        )
