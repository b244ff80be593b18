"""One joint model in LightGBM's text form. It shows each party's edges to whoever holds it, so both must consent."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from securegbm.errors import SecureGBMError
from securegbm.model.halves import FeatureHalf, FeatureSplit, LabelHalf
from securegbm.tables.binning import BinLayout, ColumnBins
from securegbm.trees.tree import Tree

_MISSING = {"none": 0, "zero": 1, "nan": 2}
_OBJECTIVES = {"binary": "binary sigmoid:1", "regression": "regression", "multiclass": "multiclass num_class:{}"}


@dataclass(frozen=True)
class _Node:
    """A split as a reader of the joint model sees it: an edge, or the categories that go left."""

    upper: float
    layout: BinLayout
    default_left: bool
    categories: tuple[int, ...] = ()

    @classmethod
    def of(cls, column: ColumnBins, upper: float, default_left: bool, bins: list[int]) -> "_Node":
        return cls(upper, column.layout, default_left, tuple(int(column.upper[at]) for at in bins))

    @property
    def decision(self) -> int:
        """LightGBM's decision type: categorical, default left, and what is missing."""
        return int(self.layout.categorical) | (2 * self.default_left) | (_MISSING[self.layout.missing] << 2)

    @property
    def words(self) -> list[int]:
        """The categories as bits of 32-bit words."""
        found = [0] * (max(self.categories, default=-1) // 32 + 1)
        for category in self.categories:
            found[category // 32] |= 1 << category % 32
        return found


def _line(name: str, values: list[object]) -> str:
    return f"{name}={' '.join(f'{value:.17g}' if isinstance(value, float) else str(value) for value in values)}\n"


def _tree_text(
    number: int,
    tree: Tree,
    features: list[int],
    bias: float,
    nodes: list[_Node],
    min_gain_to_split: float,
) -> str:
    values = [value + bias for value in tree.value]
    sets = [node.words for node in nodes if node.layout.categorical]
    ends = [sum(map(len, sets[:count])) for count in range(len(sets) + 1)]
    number_of = dict(zip([at for at, node in enumerate(nodes) if node.layout.categorical], range(len(sets)), strict=True))
    stump = tree.num_nodes == 0
    lines = [
        f"Tree={number}\n",
        _line("num_leaves", [tree.num_nodes + 1]),
        _line("num_cat", [len(sets)]),
        _line("split_feature", list(features)),
        _line("split_gain", [gain + min_gain_to_split for gain in tree.gain]),
        _line("threshold", [number_of.get(at, node.upper) for at, node in enumerate(nodes)]),
        _line("decision_type", [node.decision for node in nodes]),
        _line("left_child", list(tree.left)),
        _line("right_child", list(tree.right)),
        _line("leaf_value", list(values)),
        _line("leaf_weight", [] if stump else list(tree.weight)),
        _line("leaf_count", [] if stump else list(tree.count)),
        _line("internal_value", [value + bias for value in tree.node_value]),
        _line("internal_weight", list(tree.node_weight)),
        _line("internal_count", list(tree.node_count)),
        *([_line("cat_boundaries", list(ends)), _line("cat_threshold", [*chain.from_iterable(sets)])] if sets else []),
        _line("is_linear", [0]),
        _line("shrinkage", [1.0 if bias else tree.shrinkage]),
    ]
    return "".join(lines) + "\n\n"


def to_lightgbm_text(label: LabelHalf, feature: FeatureHalf | Sequence[FeatureHalf], consent: bool = False) -> str:
    """Join the halves into a model that `lightgbm.Booster(model_str=...)` reads.

    Args:
        label: The label party's half.
        feature: The feature party's half, or every feature party's in the order of training.
        consent: Both parties agree that the reader sees all edges and leaf values.

    Raises:
        SecureGBMError: Without consent, or when the halves do not belong together.
    """
    if not consent:
        raise SecureGBMError(
            "a joint model shows each party's split values to the other; pass the consent flag when both agree"
        )
    others = [feature] if isinstance(feature, FeatureHalf) else list(feature)
    widths = [width for _, width in label.others]
    if [len(other.names) for other in others] != widths:
        raise SecureGBMError(f"the model is of feature parties with {widths} columns; bring their halves, in their order")
    splits: dict[tuple[int, int], tuple[int, FeatureHalf, FeatureSplit]] = {}
    for partner, other in enumerate(others):
        nodes_of = [label.other_nodes[place] for place in label.places(partner)]
        if [split.tree for split in other.splits] != [tree for tree, _ in nodes_of]:
            raise SecureGBMError("the halves of the model belong to different runs; bring the halves of one run")
        for node, split in zip(nodes_of, other.splits, strict=True):
            splits[node] = (label.starts[partner], other, split)
    own = len(label.names)
    trees = []
    used = set()
    for number, tree in enumerate(label.trees):
        features = list(tree.feature)
        nodes: list[_Node] = []
        for node, index in enumerate(tree.feature):
            if index < own:
                column: ColumnBins = label.columns[index]
                upper = float(column.upper[min(tree.threshold[node], len(column.upper) - 1)])
                bins = tree.categories[node] if tree.categories else []
                nodes.append(_Node.of(column, upper, tree.default_left[node], bins))
            else:
                start, other, split = splits[number, node]
                theirs = other.columns[split.feature]
                nodes.append(_Node.of(theirs, split.upper, split.default_left, split.categories))
                features[node] = start + split.feature
        used.update(features)
        classes = label.objective.num_class
        bias = float(label.initial[number]) if number < classes else 0.0
        trees.append(_tree_text(number, tree, features, bias, nodes, label.min_gain_to_split))
    tables = [label.names, *(other.names for other in others)]
    names = [name.replace(" ", "_") for table in tables for name in table]
    if len(set(names)) != len(names):
        names = [f"{chr(65 + at)}_{name}".replace(" ", "_") for at, table in enumerate(tables) for name in table]
    classes = label.objective.num_class
    header = [
        "tree\nversion=v4\n",
        _line("num_class", [classes]),
        _line("num_tree_per_iteration", [classes]),
        "label_index=0\n",
        _line("max_feature_idx", [len(names) - 1]),
        f"objective={_OBJECTIVES[label.objective.name].format(classes)}\n",
        _line("feature_names", list(names)),
        _line("feature_infos", ["[-inf:inf]" if index in used else "none" for index in range(len(names))]),
        _line("tree_sizes", [len(text.encode()) for text in trees]),
        "\n",
    ]
    tail = "end of trees\n\nfeature_importances:\n\nparameters:\n\nend of parameters\n\npandas_categorical:null\n"
    return "".join(header) + "".join(trees) + tail
