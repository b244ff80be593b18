"""Leaf-wise growth of one tree from exact integer histograms (LightGBM's `serial_tree_learner.cpp`).

Only the smaller child of a split is ever histogrammed; the larger one is parent minus smaller (P4 of the protocol).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError
from securegbm.trees.rules import UNBOUNDED, Bounds, Floats
from securegbm.trees.search import Flags, Split, SplitSearch
from securegbm.trees.tree import Tree

Rows = npt.NDArray[np.int64]
LeafOf = npt.NDArray[np.int32]


@dataclass(frozen=True)
class GrowthConfig:
    """Shape of a tree: `num_leaves` (2 to 4096) and `max_depth` (-1: unlimited)."""

    num_leaves: int = 31
    max_depth: int = -1

    def __post_init__(self) -> None:
        if not 2 <= self.num_leaves <= 4096:
            raise SecureGBMError(f"num_leaves is {self.num_leaves}; give a number from 2 to 4096")
        if self.max_depth == 0 or self.max_depth < -1:
            raise SecureGBMError(f"max_depth is {self.max_depth}; give -1 for no limit or a positive number")


class Columns(Protocol):
    """Where sums and decisions come from: the party itself, or both parties through the encrypted protocol."""

    def sums(self, rows: Rows) -> tuple[Floats, Floats]:
        """Sums of gradients and hessians over `rows` for every (feature, bin), flat `(entries,)`, exact in float64."""
        ...

    def totals(self, rows: Rows) -> tuple[float, float]:
        """Sum of gradients and of hessians over `rows`."""
        ...

    def decide(self, split: Split, rows: Rows) -> Flags:
        """Which of `rows` go left."""
        ...


@dataclass
class _Leaf:
    rows: Rows
    sampled: Rows
    totals: tuple[float, float]
    depth: int
    value: float
    table: tuple[Floats, Floats] | None = None
    best: Split | None = None
    splittable: Flags | None = None
    parent: int = -1
    is_left: bool = True
    bounds: Bounds = UNBOUNDED


@dataclass
class Grower:
    """Grows trees over fixed columns.

    Args:
        search: The threshold search over all features.
        config: Shape of a tree.
        subtract: Derive the larger child's sums from its parent's (off when sums are not additive: `min_bin_rows`, noise).
        columns: `(features,)` which may be split; all when not given.
    """

    search: SplitSearch
    config: GrowthConfig
    subtract: bool = True
    columns: Flags | None = None

    def grow(self, columns: Columns, rows: Rows, sampled: Flags, shrinkage: float) -> tuple[Tree, LeafOf]:
        """Grow one tree.

        Args:
            columns: Sums and decisions.
            rows: Every row the tree must route, ascending.
            sampled: `(all rows,)` the rows whose gradients count.
            shrinkage: Learning rate, multiplied into the leaf values.

        Returns:
            The tree and `(all rows,)` the leaf of each of `rows` (-1 elsewhere).
        """
        tree = Tree(shrinkage=shrinkage)
        members = rows if sampled[rows].all() else rows[sampled[rows]]
        totals = columns.totals(members)
        root = _Leaf(rows, members, totals, 0, 0.0)
        leaves = [root]
        tree.add_root(self.search.rules.output(totals[0], totals[1]), len(members), totals[1])
        self._search_children(columns, None, root, None)
        while len(leaves) < self.config.num_leaves:
            chosen = _best_leaf(leaves)
            if chosen is None:
                break
            leaves.append(self._split(columns, tree, leaves, chosen, sampled))
        tree.finish([leaf.value for leaf in leaves], [leaf.totals[1] for leaf in leaves])
        where = np.full(len(sampled), -1, dtype=np.int32)
        for index, leaf in enumerate(leaves):
            where[leaf.rows] = index
        return tree, where

    def _split(self, columns: Columns, tree: Tree, leaves: list[_Leaf], index: int, sampled: Flags) -> _Leaf:
        leaf = leaves[index]
        best = leaf.best
        assert best is not None
        node = tree.num_nodes
        goes_left = columns.decide(best, leaf.rows)
        left_totals = (best.left_gradient, best.left_hessian)
        right_totals = (best.right_gradient, best.right_hessian)
        left_value, right_value = best.left_value, best.right_value
        parts = [leaf.rows[side] for side in (goes_left, ~goes_left)]
        sides = [(rows, rows if leaf.sampled is leaf.rows else rows[sampled[rows]]) for rows in parts]
        if not self.subtract:
            left_totals, right_totals = columns.totals(sides[0][1]), columns.totals(sides[1][1])
            output, limits = self.search.rules.output, leaf.bounds if self.search.constrained else None
            left_value, right_value = (output(*t, limits) if t[1] > 0 else 0.0 for t in (left_totals, right_totals))
        below, above = _bounded(leaf.bounds, best.monotone, (left_value + right_value) / 2.0)
        left = _Leaf(*sides[0], left_totals, leaf.depth + 1, left_value, parent=node, is_left=True, bounds=below)
        right = _Leaf(*sides[1], right_totals, leaf.depth + 1, right_value, parent=node, is_left=False, bounds=above)
        tree.add_split(index, best, leaf.value, leaf.parent, leaf.is_left, len(left.sampled), len(right.sampled))
        leaves[index] = left
        left_is_smaller = len(left.sampled) < len(right.sampled)
        smaller, larger = (left, right) if left_is_smaller else (right, left)
        fewest = 2 * self.search.rules.min_data_in_leaf
        too_deep = 0 < self.config.max_depth <= left.depth
        too_small = len(left.sampled) < fewest and len(right.sampled) < fewest
        too_small |= not (len(left.sampled) and len(right.sampled))  # noise may choose an edge with nobody beyond it
        is_last = len(leaves) + 1 >= self.config.num_leaves
        if not (too_deep or too_small or is_last):
            self._search_children(columns, leaf, smaller, larger)
        leaf.table = None
        return right

    def _search_children(self, columns: Columns, parent: _Leaf | None, smaller: _Leaf, larger: _Leaf | None) -> None:
        allowed = np.ones(len(self.search.num_bin), dtype=bool) if self.columns is None else self.columns
        if parent is not None and parent.splittable is not None:
            allowed = parent.splittable
        smaller.table = self._build(columns, smaller)
        if larger is not None:
            if self.subtract and parent is not None and parent.table is not None:
                larger.table = (parent.table[0] - smaller.table[0], parent.table[1] - smaller.table[1])
            else:
                larger.table = self._build(columns, larger)
        for leaf in (smaller, larger):
            if leaf is not None and leaf.table is not None:
                found = self.search.best(*leaf.table, leaf.totals, len(leaf.sampled), allowed, leaf.bounds)
                leaf.best, leaf.splittable = found

    def _build(self, columns: Columns, leaf: _Leaf) -> tuple[Floats, Floats]:
        gradient, hessian = columns.sums(leaf.sampled)
        search = self.search
        return search.fix(search.pad(gradient), leaf.totals[0]), search.fix(search.pad(hessian), leaf.totals[1])


def _bounded(bounds: Bounds, monotone: int, middle: float) -> tuple[Bounds, Bounds]:
    """What a split leaves to its children: with a constraint, they lie on either side of the middle of their values."""
    (least, most), (low, high) = bounds, (max(bounds[0], middle), min(bounds[1], middle))
    if monotone == 0:
        return bounds, bounds
    return ((least, high), (low, most)) if monotone > 0 else ((low, most), (least, high))


def _best_leaf(leaves: list[_Leaf]) -> int | None:
    """The leaf whose split gains most; ties go to the smaller feature, then to the older leaf."""
    chosen: int | None = None
    for index, leaf in enumerate(leaves):
        if leaf.best is None:
            continue
        held = leaves[chosen].best if chosen is not None else None
        if held is None or (leaf.best.gain, -leaf.best.feature) > (held.gain, -held.feature):
            chosen = index
    if chosen is None:
        return None
    best = leaves[chosen].best
    return chosen if best is not None and best.gain > 0.0 else None
