"""Freidlin and Wentzell's theory of several wells: which one the noise favours, and in which order they are left.

``V[i, j]`` is the quasi-potential of well j with respect to well i. ``W(i)`` is the least total cost of an in-tree:
one arrow out of
every other well, no cycle, all ending at i. The stationary mass of basin i is ``exp(-(W(i) - min W) / eps)`` to
exponential order.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

from paperkit.errors import InputError

from .solution import Solution
from .solver import solve


@dataclass(frozen=True)
class Cycle:
    """A set of wells that the process visits among themselves long before it leaves them.

    Attributes:
        wells: their numbers.
        exit_level: ``lim eps log`` of the mean time to leave them.
        target: the well that is entered then,
            None for the set of all.
    """

    wells: frozenset[int]
    exit_level: float
    target: int | None


@dataclass(frozen=True)
class Wells:
    """Wells with the costs of going between them.

    Attributes:
        attractors: ``(l, 2)``.
        costs: V ``(l, l)``, infinite where there is no direct way.
        levels: W ``(l,)``.
        solutions: one per well.
        saddles: ``(l, l, 2)``, the saddle used, NaN where none.
    """

    attractors: np.ndarray
    costs: np.ndarray
    levels: np.ndarray
    solutions: tuple[Solution, ...]
    saddles: np.ndarray

    @property
    def favoured(self) -> int:
        """Number of the well that keeps the mass as the noise vanishes."""
        return int(np.argmin(self.levels))

    def masses(self, noise: float) -> np.ndarray:
        """Stationary mass of each basin to exponential order, ``exp(-(W - min W) / eps)`` normalised."""
        weights = np.exp(-(self.levels - self.levels.min()) / noise)
        return weights / weights.sum()

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Global quasi-potential ``min_i (W(i) + U_i(x)) - min W`` at points ``(..., 2)``; NaN where no solve came."""
        parts = np.stack([w + s(points) for w, s in zip(self.levels, self.solutions, strict=True)])
        return (
            np.where(np.isnan(parts).all(0), np.nan, np.nanmin(np.where(np.isnan(parts), np.inf, parts), 0))
            - self.levels.min()
        )

    def cycles(self) -> list[Cycle]:
        """The hierarchy of cycles, see ``cycle_hierarchy``."""
        return cycle_hierarchy(self.costs)


def find_wells(
    drift: Callable | np.ndarray,
    attractors,
    domain,
    mesh=257,
    *,
    saddles: Sequence | np.ndarray,
    diffusion=None,
    method: str = "jet",
    progress: bool = False,
) -> Wells:
    """Solve from every attractor and put the barriers together.

    Args:
        drift: function of points ``(..., 2)``.
        attractors: ``(l, 2)``, at least two.
        domain: as for ``solve``.
        mesh: as for ``solve``.
        diffusion: as for ``solve``.
        method: as for ``solve``.
        saddles: the saddles between the basins ``(k, 2)``; the two wells that each one joins are found by following
            the drift down
            from both sides of it.
        progress: show progress bars.

    Returns:
        ``V[i, j]``: the smallest U_i over the saddles that join i and j (the way down is free).

    Raises:
        InputError: when a saddle joins no two of the wells, or a solve did not reach it.
    """
    attractors = np.atleast_2d(np.asarray(attractors, float))
    count = len(attractors)
    if count < 2:
        raise InputError("Give at least two attractors.")
    solutions = tuple(
        solve(drift, point, domain, mesh, diffusion=diffusion, method=method, stop="never", progress=progress)
        for point in attractors
    )
    costs = np.full((count, count), np.inf)
    np.fill_diagonal(costs, 0.0)
    used = np.full((count, count, 2), np.nan)
    for saddle in np.atleast_2d(np.asarray(saddles, float)):
        sides = [_follow_down(solutions[0], attractors, saddle, sign) for sign in (1, -1)]
        if sides[0] == sides[1]:
            raise InputError(
                f"The saddle {saddle.tolist()} does not join two of the wells; both sides lead to well {sides[0]}."
            )
        for i, j in (sides, sides[::-1]):
            height = float(solutions[i](saddle))
            if not np.isfinite(height):
                raise InputError(f"The solve from well {i} did not reach the saddle {saddle.tolist()}; enlarge the domain.")
            if height < costs[i, j]:
                costs[i, j], used[i, j] = height, saddle
    return Wells(attractors, costs, tree_levels(costs), solutions, used)


def _follow_down(solution, attractors, saddle, sign):
    """Number of the attractor that the drift leads to from one side of a saddle."""
    h = solution.mesh.spacing.min()
    jacobian = np.stack(
        [(solution.drift_at(saddle + h * e) - solution.drift_at(saddle - h * e)) / (2 * h) for e in np.eye(2)], -1
    )
    values, vectors = (np.real(v) for v in np.linalg.eig(jacobian))
    if not values.max() > 0 > values.min():
        raise InputError(f"{saddle.tolist()} is not a saddle of the drift (eigenvalues {values.tolist()}).")
    x = saddle + 2 * h * sign * vectors[:, int(np.argmax(values))]
    for _ in range(200 * max(solution.mesh.shape)):
        away = np.linalg.norm(attractors - x, axis=1)
        if away.min() < 2 * h:
            return int(np.argmin(away))
        flow = solution.drift_at(x)
        middle = solution.drift_at(x + 0.25 * h * flow / max(np.linalg.norm(flow), 1e-12))
        x = x + 0.5 * h * middle / max(np.linalg.norm(middle), 1e-12)
        if not solution.mesh.contains(x):
            break
    raise InputError(f"From the saddle {saddle.tolist()} the drift leads to none of the attractors; give all of them.")


def tree_levels(costs: np.ndarray) -> np.ndarray:
    """W of every well by Edmonds' minimum arborescence (arrows reversed), ``(l,)``; infinite where no in-tree exists.

    Args:
        costs: V ``(l, l)``, infinite for no arrow.

    >>> tree_levels(np.array([[0.0, 1.0], [3.0, 0.0]])).tolist()
    [3.0, 1.0]
    """
    count = len(costs)
    levels = np.full(count, np.inf)
    for root in range(count):
        graph = nx.DiGraph()
        graph.add_nodes_from(range(count))
        for i, j in itertools.permutations(range(count), 2):
            if i != root and np.isfinite(costs[i, j]):
                graph.add_edge(j, i, weight=float(costs[i, j]))
        try:
            tree = nx.minimum_spanning_arborescence(graph)
        except nx.NetworkXException:
            continue
        levels[root] = tree.size(weight="weight")
    return levels


def tree_levels_brute(costs: np.ndarray) -> np.ndarray:
    """W of every well by trying all in-trees: the check of ``tree_levels`` for at most seven wells."""
    count = len(costs)
    levels = np.full(count, np.inf)
    for root in range(count):
        others = [i for i in range(count) if i != root]
        for arrows in itertools.product(*[[j for j in range(count) if j != i] for i in others]):
            follow = dict(zip(others, arrows, strict=True))
            reaches = True
            for i in others:
                seen, here = set(), i
                while here != root and here not in seen:
                    seen.add(here)
                    here = follow[here]
                reaches &= here == root
            if reaches:
                levels[root] = min(levels[root], sum(costs[i, j] for i, j in follow.items()))
    return levels


def log_stationary(costs: np.ndarray, noise: float) -> np.ndarray:
    """Logarithms of the stationary vector of the chain with rates ``exp(-V[i, j] / eps)``, ``(l,)``.

    Elimination of states without subtractions (Grassmann, Taksar and Heyman) on logarithms: no overflow and full
    relative accuracy
    however small the noise.
    """
    count = len(costs)
    rates = -np.asarray(costs, float) / noise
    np.fill_diagonal(rates, -np.inf)
    for n in range(count - 1, 0, -1):
        out = np.logaddexp.reduce(rates[n, :n])
        rates[:n, n] -= out
        update = rates[:n, n, None] + rates[None, n, :n]
        rates[:n, :n] = np.logaddexp(rates[:n, :n], update)
        np.fill_diagonal(rates, -np.inf)
    logs = np.zeros(count)
    for n in range(1, count):
        logs[n] = np.logaddexp.reduce(logs[:n] + rates[:n, n])
    return logs - np.logaddexp.reduce(logs)


def cycle_hierarchy(costs: np.ndarray) -> list[Cycle]:
    """Freidlin's hierarchy: from single wells to the cycle of all of them.

    In each round every set points to the one that it leaves to most cheaply; sets that point round a ring merge. The
    cost of
    leaving a merged set from a member is raised by how much longer the set stays than that member does.

    Args:
        costs: V ``(l, l)`` between the wells.

    Returns:
        All cycles, single wells first, the whole set last.
    """
    count = len(costs)
    cycles: list[Cycle] = []
    sets = [frozenset([i]) for i in range(count)]
    # cheapest cost of leaving a set towards a given well, relative to being in its equilibrium
    leave = {s: {j: float(costs[next(iter(s)), j]) for j in range(count) if j not in s} for s in sets}
    while len(sets) > 1:
        owner = {well: s for s in sets for well in s}
        target = {s: min(leave[s], key=lambda j, s=s: (leave[s][j], j)) for s in sets}
        for s in sets:
            if not any(c.wells == s for c in cycles):
                cycles.append(Cycle(s, leave[s][target[s]], target[s]))
        ring = _find_ring({s: owner[target[s]] for s in sets})
        merged = frozenset().union(*ring)
        longest = max(leave[s][target[s]] for s in ring)
        outside = [j for j in range(count) if j not in merged]
        leave[merged] = {j: longest + min(leave[s][j] - leave[s][target[s]] for s in ring) for j in outside}
        sets = [s for s in sets if s not in ring] + [merged]
    cycles.append(Cycle(sets[0], float("inf"), None))
    return cycles


def _find_ring(points_to):
    """The sets on a ring of a map from sets to sets."""
    here = next(iter(points_to))
    for _ in points_to:
        here = points_to[here]
    ring = [here]
    while points_to[ring[-1]] != here:
        ring.append(points_to[ring[-1]])
    return ring
