"""scikit-learn estimators that run both parties on this machine, with the same messages as between two."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from securegbm.config import TrainConfig
from securegbm.errors import SecureGBMError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty, TreeReport
from securegbm.tables.binning import BinConfig
from securegbm.tables.table import Table
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.objectives import Objective
from securegbm.trees.rules import SplitRules
from securegbm.wire.channel import LocalChannel, Partner


class _SecureGBM(BaseEstimator):
    """What both estimators share.

    Args:
        feature_party_columns: Numbers or, of a data frame, names of the columns that the feature party holds, or a list of
            such for each of several; the second half of the columns when not given.
        n_estimators: Boosting iterations.
        learning_rate: Shrinkage.
        num_leaves: Most leaves of a tree.
        max_depth: Most levels of a tree, -1 for no limit.
        max_bin: Most bins of a column.
        min_data_in_leaf: Fewest rows of a leaf.
        lambda_l1: L1 penalty.
        lambda_l2: L2 penalty.
        row_fraction: Share of the rows each tree sees.
        hide_instances: The feature party never learns which rows are in a node.
        privacy_bits: Fractional bits of the gradients that are sent.
        validation_fraction: Share of the rows held out for early stopping.
        early_stopping_rounds: Stop after so many iterations without progress (0: never).
        encryption: `standard`, `strong`, `toy` or `none`.
        workers: Processes of each party for the arithmetic (0: none beside this one).
        random_state: Seed of row sampling.
    """

    def __init__(
        self,
        feature_party_columns: Any = None,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        num_leaves: int = 31,
        max_depth: int = -1,
        max_bin: int = 255,
        min_data_in_leaf: int = 20,
        lambda_l1: float = 0.0,
        lambda_l2: float = 0.0,
        row_fraction: float = 1.0,
        hide_instances: bool = False,
        privacy_bits: int = 23,
        validation_fraction: float = 0.0,
        early_stopping_rounds: int = 0,
        encryption: Any = "standard",
        workers: int = 0,
        random_state: int = 0,
    ) -> None:
        self.feature_party_columns = feature_party_columns
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.max_bin = max_bin
        self.min_data_in_leaf = min_data_in_leaf
        self.lambda_l1 = lambda_l1
        self.lambda_l2 = lambda_l2
        self.row_fraction = row_fraction
        self.hide_instances = hide_instances
        self.privacy_bits = privacy_bits
        self.validation_fraction = validation_fraction
        self.early_stopping_rounds = early_stopping_rounds
        self.encryption = encryption
        self.workers = workers
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _config(self, objective: Objective) -> TrainConfig:
        return TrainConfig(
            objective=objective,
            n_estimators=self.n_estimators,
            learning_rate=self.learning_rate,
            rules=SplitRules(self.lambda_l1, self.lambda_l2, self.min_data_in_leaf),
            growth=GrowthConfig(self.num_leaves, self.max_depth),
            bins=BinConfig(self.max_bin),
            row_fraction=self.row_fraction,
            hide_instances=self.hide_instances,
            privacy_bits=self.privacy_bits,
            validation_fraction=self.validation_fraction,
            early_stopping_rounds=self.early_stopping_rounds,
            encryption=self.encryption,
            seed=self.random_state or 0,
        )

    def _columns(self, n_columns: int) -> tuple[list[int], list[list[int]]]:
        """Columns of the label party, and of every feature party that holds any."""
        held: Any = self.feature_party_columns
        held = range(n_columns // 2, n_columns) if held is None else held
        several = {np.ndim(part) > 0 for part in held}
        if len(several) > 1:
            raise SecureGBMError("feature_party_columns mix columns and lists of columns; give a list for each party")
        others = [sorted({self._column(c) for c in part}) for part in (held if several == {True} else [held])]
        taken = [i for part in others for i in part]
        if taken and not 0 <= min(taken) <= max(taken) < n_columns:
            wrong = min(taken) if min(taken) < 0 else max(taken)
            raise SecureGBMError(f"feature_party_columns hold {wrong}; the data has columns 0 to {n_columns - 1}")
        if twice := [i for i in taken if taken.count(i) > 1]:
            raise SecureGBMError(f"two feature parties hold column {twice[0]}; give each column to one party")
        return [i for i in range(n_columns) if i not in set(taken)], [part for part in others if part]

    def _column(self, column: Any) -> int:
        """The number of a column that is given by number or name."""
        if isinstance(column, Integral) and not isinstance(column, bool):
            return int(column)
        names = list(getattr(self, "feature_names_in_", ()))
        if column in names:
            return names.index(column)
        known = f"one of the names {', '.join(map(str, names[:10]))}" if names else "but the data has no column names"
        raise SecureGBMError(f"feature_party_columns hold {column!r}; give numbers of columns, or names: {known}")

    def _fit(self, values: Any, target: Any, objective: Objective, sample_weight: Any) -> None:
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, values, dtype=np.float64)
            kept = weights != 0
            if not kept.any():
                raise SecureGBMError("every sample weight is zero; give at least one row a positive weight")
            values, target, sample_weight = values[kept], target[kept], weights[kept]
            if objective.name != "regression" and len(np.unique(target)) < 2:
                raise SecureGBMError("rows with a positive weight hold a single class; a classifier needs two")
        own, others = self._columns(values.shape[1])
        policy = FeaturePolicy(
            allow_plain=self.encryption == "none",
            allow_toy=self.encryption == "toy",
            max_leaves=max(2, self.num_leaves),
            workers=self.workers,
        )
        varied = [part for part in others if any(np.unique(column).size > 1 for column in values[:, part].T)]
        parties = [FeatureParty(Table.of(values[:, part]), policy) for part in varied]
        names = [f"party {number}" for number in range(1, 1 + len(parties))] if len(parties) > 1 else ["feature party"]
        partners = [Partner(LocalChannel(party), name=name) for party, name in zip(parties, names, strict=False)]
        self.tree_reports_: list[TreeReport] = []
        label = LabelParty(
            Table.of(values[:, own]), target, self._config(objective), partners or None, sample_weight,
            workers=self.workers, on_tree=self.tree_reports_.append,
        )  # fmt: skip
        self.label_half_ = label.train()
        self.own_columns_, self.feature_party_columns_, self.feature_halves_ = own, varied, []
        for party in parties:
            party.close()
            self.feature_halves_.append(party.half(label.run))

    def _scores(self, X: Any) -> Any:
        check_is_fitted(self, "label_half_")
        _refuse_words(X)
        values: Any = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        label = self.label_half_
        other = np.zeros((len(values), len(label.other_nodes)), dtype=bool)
        for number, (half, part) in enumerate(zip(self.feature_halves_, self.feature_party_columns_, strict=True)):
            other[:, label.places(number)] = half.decide(values[:, part])
        return label.scores(values[:, self.own_columns_], other)


def _refuse_words(X: Any) -> None:
    """Columns of a data frame that hold no numbers, by name; the numbers behind a category would be taken as ordered."""
    kinds = X.dtypes.items() if hasattr(X, "iloc") and hasattr(X, "columns") else ()
    if odd := [f"{name!r} ({kind})" for name, kind in kinds if str(kind) != "object" and kind.kind not in "biuf"]:
        raise SecureGBMError(
            f"the estimator takes numbers, which these columns are not: {', '.join(odd)}; give dates as days and a column "
            "of 0 and 1 for each category, or use the command line, which reads dates and categories and keeps their rules"
        )


class SecureGBMClassifier(ClassifierMixin, _SecureGBM):
    """Two-party gradient boosting for classes; see the parameters of `_SecureGBM`, which LightGBM names alike.

    Attributes:
        classes_: The classes.
        label_half_: The label party's half of the model.
        feature_halves_: The half of every feature party.
        tree_reports_: Time and bytes of every tree.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train both parties.

        Args:
            X: `(rows, columns)` numbers, NaN for missing.
            y: `(rows,)` classes.
            sample_weight: `(rows,)` positive weights.
        """
        _refuse_words(X)
        values, labels = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2)
        check_classification_targets(labels)
        self.classes_, target = np.unique(labels, return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise SecureGBMError("y holds a single class; a classifier needs at least two")
        objective = Objective("binary") if count == 2 else Objective("multiclass", count)
        self._fit(values, target.astype(np.float64), objective, sample_weight)
        return self

    def predict_proba(self, X: Any) -> Any:
        """`(rows, classes)` probabilities."""
        scores = self._scores(X)
        p = self.label_half_.objective.transform(scores)
        return np.column_stack([1 - p[0], p[0]]) if len(p) == 1 else p.T

    def decision_function(self, X: Any) -> Any:
        """Raw scores, `(rows,)` for two classes, `(rows, classes)` for more."""
        scores = self._scores(X)
        return scores[0] if len(scores) == 1 else scores.T

    def predict(self, X: Any) -> Any:
        """`(rows,)` classes."""
        scores = self._scores(X)
        return self.classes_[(scores[0] > 0).astype(int) if len(scores) == 1 else scores.argmax(axis=0)]


class SecureGBMRegressor(RegressorMixin, _SecureGBM):
    """Two-party gradient boosting of squared error; see the parameters of `_SecureGBM`, which LightGBM names alike.

    Attributes:
        label_half_: The label party's half of the model.
        feature_halves_: The half of every feature party.
        tree_reports_: Time and bytes of every tree.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train both parties.

        Args:
            X: `(rows, columns)` numbers, NaN for missing.
            y: `(rows,)` numbers.
            sample_weight: `(rows,)` positive weights.
        """
        _refuse_words(X)
        values, target = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True, ensure_min_samples=2
        )
        self._fit(values, np.asarray(target, dtype=np.float64), Objective("regression"), sample_weight)
        return self

    def predict(self, X: Any) -> Any:
        """`(rows,)` numbers."""
        return self._scores(X)[0]
