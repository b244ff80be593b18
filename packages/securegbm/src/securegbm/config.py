"""What the label party decides about a training run; all of it but the seed is public between the parties."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError
from securegbm.tables.binning import BinConfig
from securegbm.trees.draws import Draws
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.objectives import Objective
from securegbm.trees.rules import SplitRules

Encryption = Literal["standard", "strong", "toy", "none"]
MetricName = Literal["loss", "auc", "error"]


@dataclass(frozen=True)
class TrainConfig:
    """A training run.

    Args:
        objective: What is learned.
        n_estimators: Boosting iterations.
        learning_rate: Shrinkage of the leaf values, in (0, 1].
        rules: LightGBM's regularisation.
        growth: LightGBM's limits of a tree.
        bins: Binning, the same at both parties.
        boost_from_average: Start from the best constant instead of 0.
        row_fraction: Stochastic mode (the paper's approximation): each tree sees this share of the rows, (0, 1].
        goss: (top, other) shares of LightGBM's gradient-based one-side sampling, or none.
        refit_leaves: Sampled trees take their leaf values from all rows, and `min_data_in_leaf` counts all rows (a leaf
            needs the sampled share of it among the sampled rows). Leaf values never leave the label party, so this costs
            nothing. Off: both from the sampled rows alone, as LightGBM's bagging does.
        hide_instances: The feature party never learns which rows are in a node.
        first_local_trees: Iterations that use the label party's columns only.
        privacy_bits: Fractional bits of the gradients that are sent, 4 to 23; 23 is lossless.
        validation_fraction: Share of the rows held out for early stopping.
        early_stopping_rounds: Stop after so many iterations without progress (0: never).
        encryption: `standard`, `strong`, `toy` (tests, demonstrations) or `none` (no secrecy at all).
        merge_replies: Merge reply ciphertexts: fewer bytes for slow links, more work for the feature party.
        stride: Fixed rows per ciphertext; none chooses for the fewest bytes.
        spot_checks: Cells of the feature party's binned table that are opened after each of its splits, to hold its
            decisions against the table it committed to at the greeting; it must grant them (`open_cells`). A split that
            sends a share q of its node's rows the other way is found with probability 1 - (1 - q)^n or more.
        seed: Of row sampling and of the held-out rows.
        draws: Rows and columns of each tree as LightGBM draws them (`bagging_fraction`, `feature_fraction`).
        metric: What early stopping watches on the held-out rows: `loss` (log loss, root mean squared error), `auc`
            (binary) or `error` (share of wrong classes); a function given to `LabelParty` goes before it.
    """

    objective: Objective = field(default_factory=lambda: Objective("binary"))
    n_estimators: int = 100
    learning_rate: float = 0.1
    rules: SplitRules = field(default_factory=SplitRules)
    growth: GrowthConfig = field(default_factory=GrowthConfig)
    bins: BinConfig = field(default_factory=BinConfig)
    boost_from_average: bool = True
    row_fraction: float = 1.0
    goss: tuple[float, float] | None = None
    refit_leaves: bool = True
    hide_instances: bool = False
    first_local_trees: int = 0
    privacy_bits: int = 23
    validation_fraction: float = 0.0
    early_stopping_rounds: int = 0
    encryption: Encryption = "standard"
    merge_replies: bool = False
    stride: int | None = None
    spot_checks: int = 0
    seed: int = 0
    draws: Draws = field(default_factory=Draws)
    metric: MetricName = "loss"

    def __post_init__(self) -> None:
        if self.n_estimators < 1:
            raise SecureGBMError(f"n_estimators is {self.n_estimators}; give at least 1")
        if not 0.0 < self.learning_rate <= 1.0:
            raise SecureGBMError(f"learning_rate is {self.learning_rate}; give a number above 0, at most 1")
        if not 0.0 < self.row_fraction <= 1.0:
            raise SecureGBMError(f"row_fraction is {self.row_fraction}; give a number above 0, at most 1")
        if not 4 <= self.privacy_bits <= 23:
            raise SecureGBMError(f"privacy_bits is {self.privacy_bits}; give a number from 4 to 23 (23 is lossless)")
        if self.goss is not None:
            top, other = self.goss
            if not (0 < top < 1 and 0 < other < 1 and top + other <= 1):
                raise SecureGBMError(f"goss is {self.goss}; give two positive shares whose sum is at most 1")
            if self.row_fraction < 1.0:
                raise SecureGBMError("goss and row_fraction both draw rows; use one of them")
            if self.hide_instances:
                raise SecureGBMError("goss tells the feature party which gradients are large; it cannot hide instances")
        if self.draws.bagging_fraction < 1.0 and not (self.row_fraction == 1.0 and self.goss is None):
            raise SecureGBMError("bagging_fraction, row_fraction and goss all draw rows; use one of them")
        if self.draws.feature_fraction < 1.0 and self.first_local_trees:
            raise SecureGBMError("feature_fraction draws columns of both parties; it does not go with first_local_trees")
        if (self.metric == "auc" and self.objective.name != "binary") or (
            self.metric == "error" and self.objective.name == "regression"
        ):
            raise SecureGBMError(f"the metric {self.metric} is not defined for {self.objective.name}; use loss")
        if self.metric not in ("loss", "auc", "error"):
            raise SecureGBMError(f"metric {self.metric!r} is unknown; use loss, auc or error")
        if not 0.0 <= self.validation_fraction < 1.0:
            raise SecureGBMError(f"validation_fraction is {self.validation_fraction}; give a number from 0 to below 1")
        for name in ("early_stopping_rounds", "first_local_trees", "spot_checks", "seed"):
            if getattr(self, name) < 0:
                raise SecureGBMError(f"{name} is {getattr(self, name)}; give 0 or a positive number")
        if self.early_stopping_rounds and not self.validation_fraction:
            raise SecureGBMError("early_stopping_rounds needs a validation_fraction above 0")
        if self.encryption not in ("standard", "strong", "toy", "none"):
            raise SecureGBMError(f"encryption {self.encryption!r} is unknown; use standard, strong, toy or none")

    @property
    def exact_sampling(self) -> bool:
        """Every row of the training part is in every tree."""
        return not self.approximates and self.draws.bagging_fraction == 1.0

    @property
    def approximates(self) -> bool:
        """Trees see a sample as in the paper's stochastic mode or in GOSS, not LightGBM's bag."""
        return self.row_fraction < 1.0 or self.goss is not None

    def unit_hessians(self, weights: npt.NDArray[np.float64]) -> bool:
        """Every hessian of the run is 1: squared error without weights and amplified rows."""
        return self.objective.name == "regression" and self.goss is None and bool((weights == 1.0).all())

    @property
    def refits(self) -> bool:
        """Leaf values come from more rows than the tree was grown from."""
        return self.refit_leaves and self.approximates

    def to_dict(self) -> dict[str, Any]:
        """Plain values as JSON has them (lists, no tuples)."""
        return json.loads(json.dumps(asdict(self)))
