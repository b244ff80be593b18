"""The score that splitting wants: how much action is left until a path leaves a region.

``W(x)`` is the least action of any path from x out of the region, zero on its boundary; the mean exit time is
``exp(W / eps)`` at the attractor, and the chance to leave before coming back about ``exp(-W(x) / eps)``. Lines of W keep the
variance of splitting from growing exponentially (Dean and Dupuis 2009), lines of the quasi-potential only where all of their
points are equally near to an exit. W is found roughly, by Dijkstra's method on a coarse grid of straight segments: any score
is unbiased.
"""

from collections.abc import Callable

import numpy as np

from ..fields import evaluate_region
from ..plane.mesh import Mesh
from .exits import Tables

_REACH = 5
"""Segments go to points so many spacings away, in all directions that differ."""


def remaining_action(problem: Tables, region: Callable, count: int = 97) -> np.ndarray:
    """W on the half-grid ``(2 ny - 1, 2 nx - 1)`` of a mesh, zero outside of the region.

    Args:
        problem: a ``Solution`` or the result of ``tabulate``.
        region: function of points ``(..., 2)``, negative inside.
        count: points a side of the coarse grid.
    """
    from scipy.interpolate import RegularGridInterpolator
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import dijkstra

    mesh = problem.mesh
    coarse = Mesh(mesh.domain, (count, count))
    axes = tuple(np.linspace(*ends, count) for ends in mesh.domain)
    fine = tuple(np.linspace(*ends, 2 * n - 1) for ends, n in zip(mesh.domain, mesh.shape, strict=True))
    read = lambda table: RegularGridInterpolator(fine[::-1], table)(coarse.points[..., ::-1])  # noqa: E731
    b = read(problem.drift)
    d = problem.diffusion.reshape(1, 1, 4) if problem.diffusion.ndim == 2 else read(problem.diffusion)
    low = np.sqrt(d[..., 0])
    mixed = d[..., 1] / low
    high = np.sqrt(d[..., 3] - mixed**2)
    white = lambda v: np.stack([v[..., 0] / low, (v[..., 1] - mixed * v[..., 0] / low) / high], -1)  # noqa: E731
    pull = white(b)
    signed = evaluate_region(region, coarse.points)
    signed[[0, -1]] = np.maximum(signed[[0, -1]], 0.0)
    signed[:, [0, -1]] = np.maximum(signed[:, [0, -1]], 0.0)
    number, exit_node = np.arange(count * count).reshape(count, count), count * count
    entries = []
    for dj in range(-_REACH, _REACH + 1):
        for di in range(-_REACH, _REACH + 1):
            if np.gcd(di, dj) != 1:
                continue
            here = slice(max(0, -dj), count - max(0, dj)), slice(max(0, -di), count - max(0, di))
            there = slice(max(0, dj), count - max(0, -dj)), slice(max(0, di), count - max(0, -di))
            way = white(np.broadcast_to(np.array([di, dj]) * coarse.spacing, b.shape))[here]
            middle = 0.5 * (pull[here] + pull[there])
            cost = np.linalg.norm(middle, axis=-1) * np.linalg.norm(way, axis=-1) - np.sum(middle * way, -1)
            s, t = signed[here], signed[there]
            inside, leaves = s < 0, (s < 0) & (t >= 0)
            share = np.where(leaves, s / np.where(leaves, s - t, 1.0), 1.0)
            source = np.where(leaves, exit_node, number[there])
            entries.append((source[inside], number[here][inside], (share * np.maximum(cost, 0.0))[inside] + 1e-14))
    source, target, cost = (np.concatenate(part) for part in zip(*entries, strict=True))
    keep = np.lexsort((cost, target, source))
    source, target, cost = source[keep], target[keep], cost[keep]
    first = np.append(True, (np.diff(source) != 0) | (np.diff(target) != 0))  # the cheapest of several ways out
    graph = coo_matrix((cost[first], (source[first], target[first])), shape=(exit_node + 1,) * 2).tocsr()
    left = dijkstra(graph, indices=exit_node)[:-1].reshape(count, count)
    left = np.where(signed >= 0, 0.0, left)
    left = np.where(np.isfinite(left), left, left[np.isfinite(left)].max())
    return RegularGridInterpolator(axes[::-1], left)(np.stack(np.meshgrid(*fine), -1)[..., ::-1])
