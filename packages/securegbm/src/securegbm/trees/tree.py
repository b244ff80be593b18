"""A grown tree as the label party holds it: topology, bins, leaf values, and nothing of the other party's edges."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.trees.rules import SplitRules
from securegbm.trees.search import Split


def _near_zero(value: float) -> float:
    """LightGBM rounds leaf values that are its zero."""
    return 0.0 if abs(value) <= float(np.float32(1e-35)) else value


@dataclass
class Tree:
    """A binary tree in LightGBM's numbering: inner nodes in order of creation, `~leaf` for leaves.

    Attributes:
        feature: Joint feature index per inner node (the label party's columns first).
        threshold: Bin index per inner node: rows with a bin at most this go left.
        default_left: Where missing values go.
        left: Left child per inner node, `~leaf` for a leaf.
        right: Right child per inner node.
        gain: Gain of each split.
        value: Leaf values, the learning rate included.
        count: Rows a leaf was grown from.
        weight: Sum of hessians of a leaf.
        node_value: What a node's value was before it was split, the learning rate included.
        node_count: Rows of a node.
        node_weight: Sum of hessians of a node.
        shrinkage: The learning rate.
        categories: Per inner node the bins that go left, for a categorical column; empty for others.
    """

    shrinkage: float
    feature: list[int] = field(default_factory=list)
    threshold: list[int] = field(default_factory=list)
    default_left: list[bool] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    gain: list[float] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    count: list[int] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    node_value: list[float] = field(default_factory=list)
    node_count: list[int] = field(default_factory=list)
    node_weight: list[float] = field(default_factory=list)
    categories: list[list[int]] = field(default_factory=list)

    @property
    def num_nodes(self) -> int:
        """Inner nodes."""
        return len(self.feature)

    def add_root(self, value: float, count: int, weight: float) -> None:
        """Begin with one leaf that holds every row."""
        self.value, self.count, self.weight = [value], [count], [weight]

    def add_split(
        self, leaf: int, split: Split, value: float, parent: int, is_left: bool, left_count: int, right_count: int
    ) -> None:
        """Turn `leaf` into an inner node; its left child keeps the index, the right child gets the next free one."""
        node = self.num_nodes
        if parent >= 0:
            (self.left if is_left else self.right)[parent] = node
        self.feature.append(split.feature)
        self.threshold.append(split.threshold)
        self.default_left.append(split.default_left)
        self.categories.append(list(split.categories))
        self.gain.append(split.gain)
        self.left.append(~leaf)
        self.right.append(~(node + 1))
        self.node_value.append(value * self.shrinkage)
        self.node_count.append(left_count + right_count)
        self.node_weight.append(split.left_hessian + split.right_hessian)
        self.count[leaf] = left_count
        self.count.append(right_count)

    def finish(self, values: list[float], weights: list[float]) -> None:
        """Set the leaf values (before the learning rate) and their sums of hessians."""
        if self.num_nodes == 0:
            self.value = [0.0]
        else:
            self.value = [_near_zero(value * self.shrinkage) for value in values]
        self.weight = weights

    def refit(
        self,
        where: npt.NDArray[np.int32],
        gradient: npt.NDArray[np.float64],
        hessian: npt.NDArray[np.float64],
        rules: SplitRules,
    ) -> None:
        """Set the leaf values from more rows than the tree was grown from.

        Args:
            where: `(rows,)` leaf of each row.
            gradient: `(rows,)`.
            hessian: `(rows,)`.
            rules: Regularisation of the leaf values.
        """
        totals = [np.bincount(where, vector, self.num_nodes + 1).tolist() for vector in (gradient, hessian)]
        self.finish([rules.output(g, h) for g, h in zip(*totals, strict=True)], totals[1])

    def leaves(self, goes_left: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """Leaf of every row, given each node's decision on it.

        Args:
            goes_left: `(rows, inner nodes)`.
        """
        at = np.zeros(len(goes_left), dtype=np.int32)
        if self.num_nodes == 0:
            return at
        left, right = np.array(self.left, dtype=np.int32), np.array(self.right, dtype=np.int32)
        every = np.arange(len(at))
        active = every
        while len(active):
            node = at[active]
            at[active] = np.where(goes_left[active, node], left[node], right[node])
            active = active[at[active] >= 0]
        return ~at

    def first_unknown(
        self, goes_left: npt.NDArray[np.bool_], answered: dict[int, npt.NDArray[np.bool_]]
    ) -> list[tuple[npt.NDArray[np.int64], int]]:
        """Walk every row down to the first node whose decision is not answered.

        Args:
            goes_left: `(rows, inner nodes)`.
            answered: For the nodes that need an answer, `(rows,)` whether it is there.

        Returns:
            (rows, node) pairs of where rows wait.
        """
        waiting: list[tuple[npt.NDArray[np.int64], int]] = []
        open_ = [(np.arange(len(goes_left)), 0)] if self.num_nodes else []
        while open_:
            rows, node = open_.pop()
            if node in answered:
                missing = ~answered[node][rows]
                if missing.any():
                    waiting.append((rows[missing], node))
                rows = rows[~missing]
            for child, side in ((self.left[node], goes_left[rows, node]), (self.right[node], ~goes_left[rows, node])):
                if child >= 0 and side.any():
                    open_.append((rows[side], child))
        return waiting

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, for JSON (floats keep every bit)."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Tree":
        """The inverse of `to_dict`."""
        return cls(**data)
