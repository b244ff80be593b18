"""The two halves of a model, and what each alone can and cannot say."""

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError
from securegbm.tables.binning import ColumnBins
from securegbm.tables.encode import Rule
from securegbm.tables.table import Table
from securegbm.trees.objectives import Objective
from securegbm.trees.tree import Tree

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def _columns_to_dict(columns: dict[int, ColumnBins]) -> dict[str, Any]:
    return {str(index): column.to_dict() for index, column in columns.items()}


def _columns_from_dict(data: dict[str, Any]) -> dict[int, ColumnBins]:
    return {int(index): ColumnBins.from_dict(held) for index, held in data.items()}


@dataclass(frozen=True)
class FeatureSplit:
    """Split `number` of the feature party in a tree: rows with a value of at most `upper`, or in `categories`, go left."""

    tree: int
    number: int
    feature: int
    threshold: int
    upper: float
    default_left: bool
    categories: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class FeatureHalf:
    """The feature party's half: which of its columns split where, without leaf values or topology.

    Args:
        names: Its column names.
        columns: Edges of the columns in use.
        splits: Its splits, in order of (tree, number).
        rules: How its columns that were no numbers became numbers.
    """

    names: tuple[str, ...]
    columns: dict[int, ColumnBins]
    splits: list[FeatureSplit]
    rules: dict[str, Rule] = field(default_factory=dict)

    def check(self, table: Table) -> None:
        """Refuse a table whose values would mean something else than at training.

        Raises:
            SecureGBMError: If its columns are others, or text became numbers by other rules; the sentence names no column,
                for the label party reads it.
        """
        used = {self.names[feature] for feature in self.columns}
        if table.names != self.names or any(table.rules.get(name) != self.rules.get(name) for name in used):
            raise SecureGBMError(
                "the feature party's table has other columns than the model was trained on, or other categories in them; "
                "start `party-b serve` with the training table of that run as --data, and new rows as --serving"
            )

    def decide(self, values: Floats) -> Flags:
        """`(rows, splits)`: who goes left where.

        Args:
            values: `(rows, columns)`, NaN for missing.
        """
        out = np.zeros((len(values), len(self.splits)), dtype=bool)
        for number, split in enumerate(self.splits):
            column = self.columns[split.feature]
            out[:, number] = column.goes_left(values[:, split.feature], split.upper, split.default_left, split.categories)
        return out

    def decide_pairs(self, values: Floats, pairs: npt.NDArray[np.uint32]) -> Flags:
        """`(pairs,)`: decisions for (row, split) pairs only."""
        out = np.zeros(len(pairs), dtype=bool)
        for number in np.unique(pairs[:, 1]):
            split, where = self.splits[int(number)], pairs[:, 1] == number
            own = values[pairs[where, 0], split.feature]
            out[where] = self.columns[split.feature].goes_left(own, split.upper, split.default_left, split.categories)
        return out

    def importance(self) -> dict[str, int]:
        """How often each of its columns is split; what a split gains only the label party knows."""
        found = Counter(self.names[split.feature] for split in self.splits)
        return dict(found.most_common())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "format": "securegbm feature half 2",
            "names": list(self.names),
            "columns": _columns_to_dict(self.columns),
            "splits": [vars(split) | {"upper": repr(split.upper)} for split in self.splits],
            "rules": self.rules,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "FeatureHalf":
        """The inverse of `to_dict`."""
        if data.get("format") != "securegbm feature half 2":
            raise SecureGBMError("this file is no feature party's half of a model; give the file that party wrote")
        splits = [FeatureSplit(**(split | {"upper": float(split["upper"])})) for split in data["splits"]]
        return cls(tuple(data["names"]), _columns_from_dict(data["columns"]), splits, data["rules"])


@dataclass(frozen=True)
class LabelHalf:
    """The label party's half: topology, leaf values, its own edges; of the other party's splits only (tag, bin).

    Args:
        job: Name of the training run.
        objective: What was learned.
        initial: `(num_class,)` starting scores.
        names: The label party's column names.
        columns: Edges of its columns in use.
        others: Name and number of columns of every feature party.
        trees: Trees, iteration by iteration, class by class.
        history: Loss on the held-out rows per iteration (empty without early stopping).
        min_gain_to_split: Needed to write gains as LightGBM does.
        run: The run's 16 bytes; they stand in `job.json` beside the half, which is the same byte for byte in every run.
        rules: How its columns that were no numbers became numbers.
        last: What it and each feature party keep of the run's last tree; it stands in `finished.json` beside the half.
    """

    job: str
    objective: Objective
    initial: Floats
    names: tuple[str, ...]
    columns: dict[int, ColumnBins]
    others: list[tuple[str, int]]
    trees: list[Tree]
    history: list[float] = field(default_factory=list)
    min_gain_to_split: float = 0.0
    run: bytes = b""
    rules: dict[str, Rule] = field(default_factory=dict)
    last: str = ""

    @property
    def other_nodes(self) -> list[tuple[int, int]]:
        """(tree, node) of every split on a feature party's column, in order."""
        own = len(self.names)
        return [
            (t, node) for t, tree in enumerate(self.trees) for node in range(tree.num_nodes) if tree.feature[node] >= own
        ]

    def decisions(self, number: int, values: Floats, other: Flags) -> tuple[Flags, dict[int, int]]:
        """Every node's decision in tree `number`, and which column of `other` each of the other party's nodes has."""
        tree = self.trees[number]
        left = np.zeros((len(values), tree.num_nodes), dtype=bool)
        at = sum(feature >= len(self.names) for earlier in self.trees[:number] for feature in earlier.feature)
        columns: dict[int, int] = {}
        for node, feature in enumerate(tree.feature):
            if feature >= len(self.names):
                columns[node] = at
                left[:, node] = other[:, at]
                at += 1
            else:
                column = self.columns[feature]
                upper = float(column.upper[min(tree.threshold[node], len(column.upper) - 1)])
                sets = tree.categories[node] if tree.categories else []
                left[:, node] = column.goes_left(values[:, feature], upper, tree.default_left[node], sets)
        return left, columns

    def scores(self, values: Floats, other: Flags) -> Floats:
        """Raw scores.

        Args:
            values: `(rows, label party's columns)`.
            other: `(rows, splits of all feature parties)`, their decisions.

        Returns:
            `(num_class, rows)`.
        """
        scores = np.repeat(self.initial[:, None], len(values), axis=1)
        for number, tree in enumerate(self.trees):
            left, _ = self.decisions(number, values, other)
            scores[number % self.objective.num_class] += np.array(tree.value)[tree.leaves(left)]
        return scores

    def next_on_path(self, values: Floats, known: Flags, asked: Flags) -> Flags:
        """`(rows, splits of the feature party)`: the first split on each row's path whose answer is not there yet."""
        wanted = np.zeros_like(known)
        for number, tree in enumerate(self.trees):
            left, columns = self.decisions(number, values, known)
            for row, node in tree.first_unknown(left, {node: asked[:, at] for node, at in columns.items()}):
                wanted[row, columns[node]] = True
        return wanted

    @property
    def all_names(self) -> list[str]:
        """The label party's names of all columns; the other party's are numbers."""
        return [*self.names, *(f"{name} #{number}" for name, width in self.others for number in range(width))]

    @property
    def n_other(self) -> int:
        """Columns of all feature parties."""
        return sum(width for _, width in self.others)

    @property
    def starts(self) -> list[int]:
        """The joint number of every feature party's first column, and of what would follow."""
        widths = [width for _, width in self.others]
        return [len(self.names) + sum(widths[:number]) for number in range(len(widths) + 1)]

    def places(self, partner: int) -> npt.NDArray[np.int64]:
        """Where the splits of one feature party, in its order, stand among those of all."""
        first, after = self.starts[partner : partner + 2]
        owner = [first <= self.trees[t].feature[node] < after for t, node in self.other_nodes]
        return np.flatnonzero(owner)

    def importance(self) -> dict[str, dict[str, float]]:
        """Splits and gain by party and, for the own columns, by name; the other party's columns are tags."""
        parties = ["label", *(name.removesuffix(" party") for name, _ in self.others)]
        found: dict[str, dict[str, float]] = {"splits": {}, "gain": {}, "by_party": dict.fromkeys(parties, 0.0)}
        for tree in self.trees:
            for feature, gain in zip(tree.feature, tree.gain, strict=True):
                name, party = self.all_names[feature], parties[bisect_right(self.starts, feature)]
                found["splits"][name] = found["splits"].get(name, 0) + 1
                found["gain"][name] = found["gain"].get(name, 0.0) + gain
                found["by_party"][party] += gain
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "format": "securegbm label half 3",
            "job": self.job,
            "objective": vars(self.objective),
            "initial": self.initial.tolist(),
            "names": list(self.names),
            "columns": _columns_to_dict(self.columns),
            "others": [list(other) for other in self.others],
            "trees": [tree.to_dict() for tree in self.trees],
            "history": self.history,
            "min_gain_to_split": self.min_gain_to_split,
            "rules": self.rules,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any], run: bytes = b"", last: str = "") -> "LabelHalf":
        """The inverse of `to_dict`, with the run's id and what is kept of its last tree."""
        if data.get("format") != "securegbm label half 3":
            raise SecureGBMError("this file is no label party's half of a model; give the file that party wrote")
        return cls(
            data["job"],
            Objective(**data["objective"]),
            np.array(data["initial"]),
            tuple(data["names"]),
            _columns_from_dict(data["columns"]),
            [(str(name), int(width)) for name, width in data["others"]],
            [Tree.from_dict(tree) for tree in data["trees"]],
            list(data["history"]),
            float(data["min_gain_to_split"]),
            run,
            data["rules"],
            last,
        )
