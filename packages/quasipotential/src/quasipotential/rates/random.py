"""Random numbers of a path, compiled.

Xoshiro256++ and the ziggurat method for normal numbers (Marsaglia and Tsang 2000).

The state is a tuple of four words that stays in registers; each path has its own, so that results do not depend on
threads.
"""

import math

import numpy as np
from numba import njit

_LAYERS = 256
_TAIL = 3.6541528853610088
"""Right end of the lowest layer's rectangle for 256 layers of equal area."""


def _ziggurat() -> tuple[np.ndarray, np.ndarray]:
    """Right ends of the layers, from the lowest up, and the density (without its constant) there."""
    density = math.exp(-0.5 * _TAIL**2)
    area = _TAIL * density + math.sqrt(math.pi / 2) * math.erfc(_TAIL / math.sqrt(2))
    ends = np.zeros(_LAYERS + 1)
    ends[0], ends[1] = area / density, _TAIL
    for k in range(2, _LAYERS):
        ends[k] = math.sqrt(-2 * math.log(area / ends[k - 1] + math.exp(-0.5 * ends[k - 1] ** 2)))
    return ends, np.exp(-0.5 * ends**2)


_ENDS, _HEIGHTS = _ziggurat()


@njit(cache=True, error_model="numpy")
def _rotate(x, k):
    return (x << np.uint64(k)) | (x >> np.uint64(64 - k))


@njit(cache=True, error_model="numpy")
def seed_path(seed, path):
    """Four words of generator state from the seed and the path's number (splitmix64)."""
    z = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(path) * np.uint64(0xD1342543DE82EF95)
    words = (np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0))
    for _ in range(4):
        z += np.uint64(0x9E3779B97F4A7C15)
        w = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        w = (w ^ (w >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words = (words[1], words[2], words[3], w ^ (w >> np.uint64(31)))
    return words


@njit(cache=True, error_model="numpy")
def _next(words):
    a, b, c, d = words
    result = _rotate(a + d, 23) + a
    t = b << np.uint64(17)
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    return result, (a, b, c, _rotate(d, 45))


@njit(cache=True, error_model="numpy")
def _unit(word):
    """A number in (0, 1)."""
    return (np.float64(word >> np.uint64(11)) + 0.5) * 1.1102230246251565e-16


@njit(cache=True, error_model="numpy")
def uniform(words):
    """One number between 0 and 1 and the new state."""
    word, words = _next(words)
    return _unit(word), words


@njit(cache=True, error_model="numpy")
def normal(words):
    """One standard normal number and the new state."""
    while True:
        word, words = _next(words)
        layer = np.int64(word & np.uint64(255))
        sign = 1.0 - 2.0 * np.float64((word >> np.uint64(8)) & np.uint64(1))
        x = _unit(word) * _ENDS[layer]
        if x < _ENDS[layer + 1]:
            return sign * x, words
        if layer == 0:
            while True:
                one, words = _next(words)
                two, words = _next(words)
                away = -math.log(_unit(one)) / _TAIL
                if -2.0 * math.log(_unit(two)) > away * away:
                    return sign * (_TAIL + away), words
        word, words = _next(words)
        if _HEIGHTS[layer] + _unit(word) * (_HEIGHTS[layer + 1] - _HEIGHTS[layer]) < math.exp(-0.5 * x * x):
            return sign * x, words


@njit(cache=True, error_model="numpy")
def normals(seed, path, count):
    """``count`` normal numbers of one path, for tests."""
    words = seed_path(seed, path)
    values = np.empty(count)
    for k in range(count):
        values[k], words = normal(words)
    return values
