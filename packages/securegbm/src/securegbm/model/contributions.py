"""What each column adds to a row's score: path-dependent tree SHAP (Lundberg, Erion, Lee, arXiv 1802.03888, algorithm 2).

phi_i = sum over leaves of v (o_i - z_i) sum_k w_k, where along the leaf's path z_i is the share of rows that follow the
splits on column i, o_i is 1 if the row itself does, and w_k weights the subsets of k columns. Only decisions, row counts
and leaf values enter: the label party needs no edge of the other party, and names its columns by number.
"""

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError
from securegbm.model.halves import Flags, Floats, LabelHalf
from securegbm.trees.tree import Tree

Path = dict[int, tuple[float, Flags]]
"""Per column on the way to a leaf: the share of rows that go that way, and `(rows,)` whether a row does."""


def contributions(half: LabelHalf, values: Floats, other: Flags) -> Floats:
    """SHAP values of the raw scores.

    Args:
        half: The label party's half.
        values: `(rows, label party's columns)`.
        other: `(rows, splits of the feature party)`, all of its decisions.

    Returns:
        `(num_class, rows, columns of both parties + 1)`; the last one is the expected score, and each row sums to the
        row's score.
    """
    n_columns = len(half.names) + half.n_other
    out = np.zeros((half.objective.num_class, len(values), n_columns + 1))
    out[:, :, -1] = half.initial[:, None]
    for number, tree in enumerate(half.trees):
        found = out[number % half.objective.num_class]
        counts = np.array(tree.count, dtype=np.float64)
        if not counts.sum():
            raise SecureGBMError("a tree of this model holds no row counts, so columns cannot be given their shares")
        found[:, -1] += counts @ np.array(tree.value) / counts.sum()
        if tree.num_nodes:
            for leaf, path in _paths(tree, half.decisions(number, values, other)[0]):
                _add_leaf(found, path, tree.value[leaf])
    return out


def _paths(tree: Tree, left: Flags) -> list[tuple[int, Path]]:
    """Every leaf, with the columns on its way."""
    found: list[tuple[int, Path]] = []
    open_: list[tuple[int, Path]] = [(0, {})]
    while open_:
        node, path = open_.pop()
        if node < 0:
            found.append((~node, path))
            continue
        feature, total = tree.feature[node], tree.node_count[node]
        share, follows = path.get(feature, (1.0, np.ones(len(left), dtype=bool)))
        for child, side in ((tree.left[node], left[:, node]), (tree.right[node], ~left[:, node])):
            count = tree.count[~child] if child < 0 else tree.node_count[child]
            open_.append((child, path | {feature: (share * count / max(total, 1), follows & side)}))
    return found


def _add_leaf(out: Floats, path: Path, value: float) -> None:
    """Add one leaf's part to `(rows, columns + 1)`."""
    rows, length = len(out), len(path)
    weight = np.zeros((length + 1, rows))
    weight[0] = 1.0
    for size, (share, follows) in enumerate(path.values(), 1):
        for k in range(size, 0, -1):
            weight[k] = share * weight[k] * (size - k) / (size + 1) + follows * weight[k - 1] * k / (size + 1)
        weight[0] *= share * size / (size + 1)
    for feature, (share, follows) in path.items():
        out[:, feature] += value * (follows - share) * _without(weight, share, follows)


def _without(weight: Floats, share: float, follows: Flags) -> npt.NDArray[np.float64]:
    """The sum of the weights of all subsets of the other columns, for a column that a row does or does not follow."""
    length = len(weight) - 1
    total, carried = np.zeros(weight.shape[1]), weight[length]
    for k in range(length - 1, -1, -1):
        taken = carried * (length + 1) / (k + 1)
        passed = weight[k] * (length + 1) / (max(share, np.finfo(float).tiny) * (length - k))
        total += np.where(follows, taken, passed if share > 0.0 else 0.0)
        carried = weight[k] - taken * share * (length - k) / (length + 1)
    return total
