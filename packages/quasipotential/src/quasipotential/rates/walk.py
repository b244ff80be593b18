"""Euler-Maruyama on half-grid tables, compiled: paths until they leave a region, and where paths spend their time.

The parallel loops call a function for each path: a loop with an inner exit does not compile as a parallel one.
"""

from numba import njit, prange

from .random import normal, seed_path


@njit(cache=True, error_model="numpy")
def advance(x, y, b, root, dt, amplitude, words):
    """One Euler-Maruyama step in half-grid units; ``root`` is sigma, lower triangular, constant (1, 1, 3) or a table."""
    i = min(max(int(x), 0), b.shape[1] - 2)
    j = min(max(int(y), 0), b.shape[0] - 2)
    s, t = x - i, y - j
    w00, w10, w01, w11 = (1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t
    bx = w00 * b[j, i, 0] + w10 * b[j, i + 1, 0] + w01 * b[j + 1, i, 0] + w11 * b[j + 1, i + 1, 0]
    by = w00 * b[j, i, 1] + w10 * b[j, i + 1, 1] + w01 * b[j + 1, i, 1] + w11 * b[j + 1, i + 1, 1]
    p, words = normal(words)
    q, words = normal(words)
    if root.shape[0] == 1:
        r0, r1, r2 = root[0, 0, 0], root[0, 0, 1], root[0, 0, 2]
    else:
        r0 = w00 * root[j, i, 0] + w10 * root[j, i + 1, 0] + w01 * root[j + 1, i, 0] + w11 * root[j + 1, i + 1, 0]
        r1 = w00 * root[j, i, 1] + w10 * root[j, i + 1, 1] + w01 * root[j + 1, i, 1] + w11 * root[j + 1, i + 1, 1]
        r2 = w00 * root[j, i, 2] + w10 * root[j, i + 1, 2] + w01 * root[j + 1, i, 2] + w11 * root[j + 1, i + 1, 2]
    return x + dt * bx + amplitude * r0 * p, y + dt * by + amplitude * (r1 * p + r2 * q), words


@njit(cache=True, error_model="numpy")
def exit_path(x, y, b, root, region, dt, amplitude, most, seed, path):
    """Steps until one path leaves (minus ``most`` where it does not), and where it is then."""
    words = seed_path(seed, path)
    height, width = region.shape
    for step in range(1, most + 1):
        x, y, words = advance(x, y, b, root, dt, amplitude, words)
        if not (0.0 < x < width - 1 and 0.0 < y < height - 1):
            return step, x, y
        i, j = int(x), int(y)
        s, t = x - i, y - j
        value = (1 - t) * ((1 - s) * region[j, i] + s * region[j, i + 1]) + t * (
            (1 - s) * region[j + 1, i] + s * region[j + 1, i + 1]
        )
        if value >= 0.0:
            return step, x, y
    return -most, x, y


@njit(cache=True, error_model="numpy", parallel=True)
def exit_paths(x, y, b, root, region, dt, amplitude, most, seed, first, steps, places):
    """``exit_path`` for all numbers of paths, in parallel."""
    for path in prange(len(steps)):
        steps[path], places[path, 0], places[path, 1] = exit_path(
            x, y, b, root, region, dt, amplitude, most, seed, first + path
        )


@njit(cache=True, error_model="numpy")
def occupy_path(x, y, b, root, labels, dt, amplitude, burn, steps, every, seed, path, counts):
    """Count, for one path, the looks at each label."""
    words = seed_path(seed, path)
    height, width = labels.shape
    for step in range(1, burn + steps + 1):
        x, y, words = advance(x, y, b, root, dt, amplitude, words)
        x = min(max(x, 0.0), width - 1.0)
        y = min(max(y, 0.0), height - 1.0)
        if step > burn and (step - burn) % every == 0:
            counts[labels[int(y + 0.5), int(x + 0.5)]] += 1


@njit(cache=True, error_model="numpy", parallel=True)
def occupy_paths(starts, b, root, labels, dt, amplitude, burn, steps, every, seed, counts):
    """``occupy_path`` for all starts, in parallel."""
    for path in prange(len(starts)):
        occupy_path(
            starts[path, 0], starts[path, 1], b, root, labels, dt, amplitude, burn, steps, every, seed, path, counts[path]
        )
