"""Freidlin and Wentzell's theory of several wells, from the costs of going between them.

``W(i)`` is the least total cost of an in-tree: one arrow out of every other well, no cycle, all ending at i. The stationary
mass of basin i is ``exp(-(W(i) - min W) / eps)`` to exponential order.
"""

import itertools
from dataclasses import dataclass

import networkx as nx
import numpy as np

from claimkit.errors import InputError

from ..fields import refuse_not_positive


@dataclass(frozen=True)
class Cycle:
    """A set of wells that the process visits among themselves long before it leaves them.

    Attributes:
        wells: their numbers.
        exit_level: ``lim eps log`` of the mean time to leave them.
        target: the well that is entered then, None for the set of all.
    """

    wells: frozenset[int]
    exit_level: float
    target: int | None


def refuse_bad(costs: np.ndarray) -> np.ndarray:
    """Costs ``(l, l)``, given back; the diagonal is not looked at.

    Raises:
        InputError: for another shape, a cost that is negative or not a number, and wells from which no way leads to a
            common one, so that no stationary mass is defined.
    """
    table = np.asarray(costs, float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not len(table):
        raise InputError(f"The costs must be a square table, a row a well; the shape is {table.shape}.")
    others = ~np.eye(len(table), dtype=bool)
    if not (table[others] >= 0).all():
        raise InputError("Costs of going from well to well must be numbers from 0, infinite where there is no way.")
    ways = nx.from_numpy_array(np.isfinite(table) & others, create_using=nx.DiGraph)
    ends = [c for c in nx.strongly_connected_components(ways) if not any(j not in c for i in c for j in ways[i])]
    if len(ends) > 1:
        raise InputError(f"No way leads from the wells {sorted(ends[0])} to {sorted(ends[1])} or back; give all saddles.")
    return costs


def tree_levels(costs: np.ndarray) -> np.ndarray:
    """W of every well by Edmonds' minimum arborescence (arrows reversed), ``(l,)``; infinite where no in-tree exists.

    Args:
        costs: V ``(l, l)``, infinite for no arrow.

    >>> tree_levels(np.array([[0.0, 1.0], [3.0, 0.0]])).tolist()
    [3.0, 1.0]
    """
    count = len(refuse_bad(costs))
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
    relative accuracy however small the noise.
    """
    refuse_not_positive(noise=noise)
    count = len(refuse_bad(costs))
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

    In each round every set points to the one that it leaves to most cheaply; sets that point round a ring merge. The cost
    of leaving a merged set from a member is raised by how much longer the set stays than that member does.

    Args:
        costs: V ``(l, l)`` between the wells.

    Returns:
        All cycles, single wells first, the whole set last.
    """
    count = len(refuse_bad(costs))
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
