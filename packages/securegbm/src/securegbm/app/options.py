"""The options of the commands, by what they are about; what they mean is checked where they are used.

Nothing heavy is imported here, so that `--help` answers at once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

if TYPE_CHECKING:
    from securegbm.config import TrainConfig
    from securegbm.tables.files import Dialect
    from securegbm.tables.table import Table

ObjectiveName = Literal["binary", "regression", "multiclass"]
Unknown = Literal["flag", "hide", "refuse"]
Encryption = Literal["standard", "strong", "toy", "none"]
Ring = Literal["auto", "numba", "seal"]
MetricName = Literal["loss", "auc", "error"]


@dataclass(frozen=True)
class LinkOptions:
    """How the other party is reached.

    Args:
        address: Where the feature party listens.
        certs: Folder of the certificates: this party's .crt and .key, and the other's .crt.
        pin: SHA-256 fingerprint that the other party's certificate must have.
        insecure_loopback: No TLS; for trials on this machine only.
    """

    address: str = "127.0.0.1:50551"
    certs: Path = Path("certs")
    pin: str | None = None
    insecure_loopback: bool = False


@dataclass(frozen=True)
class CallingOptions(LinkOptions):
    """How the feature party is called.

    Args:
        deadline: Seconds one call may take.
        patience: Seconds to wait for a feature party that cannot be reached.
        more: Further feature parties, NAME=HOST:PORT or NAME=HOST:PORT=FINGERPRINT each; NAME.crt is their certificate.
            Give the same, in the same order, when training goes on and when predicting.
    """

    deadline: float = 600.0
    patience: float = 60.0
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileOptions:
    """How a table is written.

    Args:
        id_column: Name of the id column.
        separator: Between columns of the CSV; found out when not given.
        encoding: Of the CSV.
        decimal: Decimal sign of the CSV.
    """

    id_column: str = "id"
    separator: str | None = None
    encoding: str = "utf-8"
    decimal: str = "."

    def dialect(self) -> "Dialect":
        """Of the CSV."""
        from securegbm.tables.files import Dialect

        return Dialect(self.separator, self.encoding, self.decimal)


@dataclass(frozen=True)
class ColumnOptions(FileOptions):
    """How a training table is written, and what its columns are.

    Args:
        categorical: Columns whose values are categories without an order: they are split into sets, as by LightGBM.
        rising: Columns with which predictions must not fall (LightGBM's monotone constraint 1).
        falling: Columns with which predictions must not rise (-1). The other party learns the number and the direction of
            a constrained column, not its name.
    """

    categorical: tuple[str, ...] = ()
    rising: tuple[str, ...] = ()
    falling: tuple[str, ...] = ()

    def declare(self, table: "Table") -> "Table":
        """The table with what its columns are."""
        from dataclasses import replace

        from securegbm.errors import SecureGBMError

        if both := set(self.rising) & set(self.falling):
            raise SecureGBMError(f"column {min(both)!r} cannot rise and fall; leave it out of one")
        directions = dict.fromkeys(self.rising, 1) | dict.fromkeys(self.falling, -1)
        return replace(table, monotone=directions, categorical=self.categorical)


@dataclass(frozen=True)
class PolicyOptions:
    """What the feature party agrees to.

    Args:
        require_hiding: Refuse runs that show which rows are in a node.
        min_bin_rows: Merge sums over fewer rows (0: never).
        allow_toy: Accept toy encryption.
        allow_plain: Accept no encryption.
        max_trees: Refuse more trees.
        max_leaves: Refuse larger trees, and more requests in a tree than its leaves need.
        shuffle_columns: Number the columns anew in every job, so that their order says nothing.
        max_privacy_bits: Refuse gradients of more bits, and with them a wider modulus.
        min_node_rows: Refuse sums over nodes of fewer rows (where nodes are shown).
        noise: Standard deviation of noise on every sum, in units of gradients; the account stands in the log.
        max_sums: Requests for sums a run may make over all its restarts (0: what its trees need, and some restarts). A
            label party that cheats reads the bins of at most 2 log2(t) rows with each.
        open_cells: Cells of the binned table a run may open for the label party's spot checks.
        unknown: What becomes of rows to predict that are not in the serving table.
    """

    require_hiding: bool = False
    min_bin_rows: int = 0
    allow_toy: bool = False
    allow_plain: bool = False
    max_trees: int = 10_000
    max_leaves: int = 256
    shuffle_columns: bool = False
    max_privacy_bits: int = 23
    min_node_rows: int = 0
    noise: float = 0.0
    max_sums: int = 0
    open_cells: int = 0
    unknown: Unknown = "flag"


@dataclass(frozen=True)
class ArithmeticOptions:
    """Who does the arithmetic of the encryption.

    Args:
        workers: Threads of the ring numba, processes of the ring seal.
        ring: numba (compiled, several times faster) or seal; auto takes numba where both parties have it.
    """

    workers: int = 2
    ring: Ring = "auto"


@dataclass(frozen=True)
class RunOptions:
    """Which run is meant.

    Args:
        job: Name of the job, the same at every restart.
        replace: Begin a new run though the job has one; that one stays, under its id.
        continue_: Begin with the trees of this finished run (id or job); `trees` then says how many more.
        roll_back: Go on from the last tree both parties hold, though one of them lost some.
    """

    job: str = "securegbm"
    replace: bool = False
    continue_: Annotated[str | None, tyro.conf.arg(name="continue")] = None
    roll_back: bool = False


@dataclass(frozen=True)
class TreeOptions:
    """The model, under LightGBM's names.

    Args:
        objective: What is learned.
        num_class: Classes of multiclass.
        scale_pos_weight: Factor on rows of label 1 (binary).
        trees: Boosting iterations.
        learning_rate: Shrinkage.
        num_leaves: Most leaves of a tree.
        max_depth: Most levels, -1 for no limit.
        max_bin: Most bins of a column, both parties' alike. Bytes and time of a tree grow with it: 63 bins cost half
            of what 255 do, 31 a third; AUC on the tables we tried differs by less than 0.005.
        zero_as_missing: Zeros count as missing.
        min_data_in_leaf: Fewest rows of a leaf.
        min_sum_hessian_in_leaf: Least sum of hessians of a leaf.
        min_gain_to_split: Least gain of a split.
        lambda_l1: L1 penalty.
        lambda_l2: L2 penalty.
        boost_from_average: Start from the best constant.
        bagging_fraction: Share of the rows a tree is grown from, drawn as LightGBM does; leaf values from these alone.
        bagging_freq: Iterations for which drawn rows are kept.
        bagging_seed: Of these rows.
        feature_fraction: Share of the columns of both parties a tree may split, drawn as LightGBM does.
        feature_fraction_seed: Of these columns.
        cat_smooth: Categorical splits: smoothing, and fewest rows of a category.
        cat_l2: Categorical splits: L2 penalty.
        max_cat_threshold: Categorical splits: most categories on one side.
        max_cat_to_onehot: Categorical splits: up to so many bins each is tried alone.
        min_data_per_group: Categorical splits: fewest rows between two candidates.
        validation: Share of the rows held out.
        early_stopping_rounds: Stop after so many iterations without progress.
        metric: What early stopping watches.
        seed: Of the held-out rows and of row sampling.
    """

    objective: ObjectiveName = "binary"
    num_class: int = 1
    scale_pos_weight: float = 1.0
    trees: int = 100
    learning_rate: float = 0.1
    num_leaves: int = 31
    max_depth: int = -1
    max_bin: int = 255
    zero_as_missing: bool = False
    min_data_in_leaf: int = 20
    min_sum_hessian_in_leaf: float = 1e-3
    min_gain_to_split: float = 0.0
    lambda_l1: float = 0.0
    lambda_l2: float = 0.0
    boost_from_average: bool = True
    bagging_fraction: float = 1.0
    bagging_freq: int = 1
    bagging_seed: int = 3
    feature_fraction: float = 1.0
    feature_fraction_seed: int = 2
    cat_smooth: float = 10.0
    cat_l2: float = 10.0
    max_cat_threshold: int = 32
    max_cat_to_onehot: int = 4
    min_data_per_group: int = 100
    validation: float = 0.0
    early_stopping_rounds: int = 0
    metric: MetricName = "loss"
    seed: int = 0


@dataclass(frozen=True)
class ProtocolOptions:
    """What is sent, and what it hides.

    Args:
        row_fraction: Stochastic mode: share of the rows each tree sees.
        goss: Shares of large-gradient and other rows a tree sees.
        refit_leaves: Leaf values of sampled trees from all rows (no traffic), not from the sampled ones alone.
        hide_instances: The feature party never learns which rows are in a node.
        first_local_trees: Iterations on the own columns alone.
        privacy_bits: Fractional bits of the gradients that are sent; 23 is lossless.
        encryption: Strength; the feature party must agree to toy and none.
        merge_replies: Fewer bytes, more work for the feature party.
        spot_checks: Cells that the feature party opens after each of its splits; it must grant them (`--open-cells`). A
            split that sends a share q of its rows wrongly is found with probability 1 - (1 - q)^n.
    """

    row_fraction: float = 1.0
    goss: tuple[float, float] | None = None
    refit_leaves: bool = True
    hide_instances: bool = False
    first_local_trees: int = 0
    privacy_bits: int = 23
    encryption: Encryption = "standard"
    merge_replies: bool = False
    spot_checks: int = 0


def config_of(model: TreeOptions, protocol: ProtocolOptions) -> "TrainConfig":
    """The run that the options describe."""
    from securegbm.config import TrainConfig
    from securegbm.tables.binning import BinConfig
    from securegbm.trees.draws import Draws
    from securegbm.trees.growth import GrowthConfig
    from securegbm.trees.objectives import Objective
    from securegbm.trees.rules import CategoryRules, SplitRules

    given: dict[str, Any] = vars(model) | vars(protocol)

    def take(*names: str) -> dict[str, Any]:
        return {name: given.pop(name) for name in names}

    categories = CategoryRules(
        **take("cat_smooth", "cat_l2", "max_cat_threshold", "max_cat_to_onehot", "min_data_per_group")
    )
    regular = take("lambda_l1", "lambda_l2", "min_data_in_leaf", "min_sum_hessian_in_leaf", "min_gain_to_split")
    return TrainConfig(
        objective=Objective(given.pop("objective"), **take("num_class", "scale_pos_weight")),
        n_estimators=given.pop("trees"),
        validation_fraction=given.pop("validation"),
        rules=SplitRules(**regular, categories=categories),
        growth=GrowthConfig(**take("num_leaves", "max_depth")),
        bins=BinConfig(**take("max_bin", "zero_as_missing")),
        draws=Draws(**take("bagging_fraction", "bagging_freq", "bagging_seed", "feature_fraction", "feature_fraction_seed")),
        **given,
    )
