"""The commands of the two parties; numpy, grpc, lightgbm and tenseal are imported inside them."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

ObjectiveName = Literal["binary", "regression", "multiclass"]
Unknown = Literal["flag", "hide", "refuse"]
Encryption = Literal["standard", "strong", "toy", "none"]


def party_b_serve(
    data: Path,
    id_column: str = "id",
    serving: Path | None = None,
    address: str = "127.0.0.1:50551",
    certs: Path = Path("certs"),
    pin: str | None = None,
    insecure_loopback: bool = False,
    state: Path = Path("party-b"),
    require_hiding: bool = False,
    min_bin_rows: int = 0,
    allow_toy: bool = False,
    allow_plain: bool = False,
    max_trees: int = 10_000,
    max_leaves: int = 256,
    shuffle_columns: bool = False,
    max_privacy_bits: int = 23,
    min_node_rows: int = 0,
    noise: float = 0.0,
    max_sums: int = 0,
    open_cells: int = 0,
    unknown: Unknown = "flag",
    metrics: str | None = None,
    separator: str | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    workers: int = 2,
) -> None:
    """Serve the feature party: training and, afterwards, predictions. Stops on Ctrl-C; resumes where it was.

    Args:
        data: CSV of the training rows: an id column and numeric features.
        id_column: Name of the id column.
        serving: CSV of rows to answer predictions for; the training rows when not given.
        address: Where to listen.
        certs: Folder with party-b.crt, party-b.key and party-a.crt.
        pin: SHA-256 fingerprint that party-a.crt must have.
        insecure_loopback: No TLS; for trials on this machine only.
        state: Folder of checkpoints, model half and message log.
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
        max_sums: Requests for sums a run may make over all its restarts (0: what its trees need, and some restarts).
        open_cells: Cells of the binned table a run may open for the label party's spot checks.
        unknown: What becomes of rows to predict that are not in the serving table.
        metrics: Serve counters for Prometheus on 127.0.0.1:PORT.
        separator: Between columns of the CSV; found out when not given.
        encoding: Of the CSV.
        decimal: Decimal sign of the CSV.
        workers: Processes for the arithmetic.
    """
    from securegbm import verbs
    from securegbm.feature_party.policy import FeaturePolicy

    policy = FeaturePolicy(
        min_bin_rows,
        require_hiding,
        allow_plain,
        allow_toy,
        max_trees,
        max_leaves,
        workers,
        shuffle_columns=shuffle_columns,
        max_privacy_bits=max_privacy_bits,
        min_node_rows=min_node_rows,
        noise=noise,
        max_sums=max_sums,
        open_cells=open_cells,
        unknown=unknown,
    )
    link = verbs.Link(address, certs, "party-b", "party-a", pin, insecure_loopback)
    dialect = verbs.Dialect(separator, encoding, decimal)
    verbs.party_b_serve(data, id_column, serving, link, state, policy, metrics, dialect)


def party_a_train(
    data: Path,
    id_column: str = "id",
    label_column: str = "label",
    weight_column: str | None = None,
    address: str = "127.0.0.1:50551",
    certs: Path = Path("certs"),
    pin: str | None = None,
    insecure_loopback: bool = False,
    state: Path = Path("party-a"),
    job: str = "securegbm",
    replace: bool = False,
    continue_: Annotated[str | None, tyro.conf.arg(name="continue")] = None,
    roll_back: bool = False,
    objective: ObjectiveName = "binary",
    num_class: int = 1,
    trees: int = 100,
    learning_rate: float = 0.1,
    num_leaves: int = 31,
    max_depth: int = -1,
    max_bin: int = 255,
    zero_as_missing: bool = False,
    min_data_in_leaf: int = 20,
    min_sum_hessian_in_leaf: float = 1e-3,
    min_gain_to_split: float = 0.0,
    lambda_l1: float = 0.0,
    lambda_l2: float = 0.0,
    boost_from_average: bool = True,
    row_fraction: float = 1.0,
    goss: tuple[float, float] | None = None,
    refit_leaves: bool = True,
    hide_instances: bool = False,
    first_local_trees: int = 0,
    privacy_bits: int = 23,
    validation_fraction: float = 0.0,
    early_stopping_rounds: int = 0,
    encryption: Encryption = "standard",
    merge_replies: bool = False,
    spot_checks: int = 0,
    separator: str | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    seed: int = 0,
    workers: int = 2,
    deadline: float = 600.0,
    patience: float = 60.0,
) -> None:
    """Train as the label party; the same command again continues an interrupted run.

    Args:
        data: CSV of the training rows: ids, label, numeric features, in the order of the feature party's rows.
        id_column: Name of the id column.
        label_column: Name of the label column.
        weight_column: Name of a column of sample weights.
        address: Of the feature party.
        certs: Folder with party-a.crt, party-a.key and party-b.crt.
        pin: SHA-256 fingerprint that party-b.crt must have.
        insecure_loopback: No TLS; for trials on this machine only.
        state: Folder of checkpoints, model half and message log.
        job: Name of the job, the same at every restart.
        replace: Begin a new run though the job has one; that one stays, under its id.
        continue_: Begin with the trees of this finished run (id or job); `trees` then says how many more.
        roll_back: Go on from the last tree both parties hold, though one of them lost some.
        objective: What is learned.
        num_class: Classes of multiclass.
        trees: Boosting iterations.
        learning_rate: Shrinkage.
        num_leaves: Most leaves of a tree.
        max_depth: Most levels, -1 for no limit.
        max_bin: Most bins of a column.
        zero_as_missing: Zeros count as missing.
        min_data_in_leaf: Fewest rows of a leaf.
        min_sum_hessian_in_leaf: Least sum of hessians of a leaf.
        min_gain_to_split: Least gain of a split.
        lambda_l1: L1 penalty.
        lambda_l2: L2 penalty.
        boost_from_average: Start from the best constant.
        row_fraction: Stochastic mode: share of the rows each tree sees.
        goss: Shares of large-gradient and other rows a tree sees.
        refit_leaves: Leaf values of sampled trees from all rows (no traffic), not from the sampled ones alone.
        hide_instances: The feature party never learns which rows are in a node.
        first_local_trees: Iterations on the own columns alone.
        privacy_bits: Fractional bits of the gradients that are sent; 23 is lossless.
        validation_fraction: Share of the rows held out.
        early_stopping_rounds: Stop after so many iterations without progress.
        encryption: Strength; the feature party must agree to toy and none.
        merge_replies: Fewer bytes, more work for the feature party.
        spot_checks: Cells that the feature party opens after each of its splits; it must grant them (`--open-cells`).
        separator: Between columns of the CSV; found out when not given.
        encoding: Of the CSV.
        decimal: Decimal sign of the CSV.
        seed: Of row sampling.
        workers: Processes for the arithmetic.
        deadline: Seconds one call may take.
        patience: Seconds to wait for a feature party that cannot be reached.
    """
    from securegbm import verbs
    from securegbm.app.beginning import Begin, more_trees
    from securegbm.config import TrainConfig
    from securegbm.tables.binning import BinConfig
    from securegbm.trees.growth import GrowthConfig
    from securegbm.trees.objectives import Objective
    from securegbm.trees.search import SplitRules

    config = TrainConfig(
        Objective(objective, num_class),
        trees,
        learning_rate,
        SplitRules(lambda_l1, lambda_l2, min_data_in_leaf, min_sum_hessian_in_leaf, min_gain_to_split),
        GrowthConfig(num_leaves, max_depth),
        BinConfig(max_bin, zero_as_missing=zero_as_missing),
        boost_from_average,
        row_fraction,
        goss,
        refit_leaves,
        hide_instances,
        first_local_trees,
        privacy_bits,
        validation_fraction,
        early_stopping_rounds,
        encryption,
        merge_replies,
        spot_checks=spot_checks,
        seed=seed,
    )
    link = verbs.Link(address, certs, "party-a", "party-b", pin, insecure_loopback, deadline, patience)
    begin = Begin(replace, continue_, roll_back)
    config = more_trees(config, begin, state)
    dialect = verbs.Dialect(separator, encoding, decimal)
    verbs.party_a_train(data, id_column, label_column, weight_column, link, state, job, config, workers, begin, dialect)


def party_a_predict(
    data: Path,
    out: Path,
    model: Path = Path("party-a/model.json"),
    run: str | None = None,
    id_column: str = "id",
    address: str = "127.0.0.1:50551",
    certs: Path = Path("certs"),
    pin: str | None = None,
    insecure_loopback: bool = False,
    path_only: bool = False,
    separator: str | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
) -> None:
    """Predict rows of a CSV with the feature party's help; one round trip for all of them.

    Args:
        data: CSV with the id column and the columns the model was trained on; the feature party serves the same ids.
        out: CSV of ids and predictions.
        model: The label party's half.
        run: Its run id, when the file does not lie in its run's folder.
        id_column: Name of the id column.
        address: Of the feature party.
        certs: Folder with party-a.crt, party-a.key and party-b.crt.
        pin: SHA-256 fingerprint that party-b.crt must have.
        insecure_loopback: No TLS; for trials on this machine only.
        path_only: Ask for the nodes on each row's path only, one round trip per level.
        separator: Between columns of the CSV; found out when not given.
        encoding: Of the CSV.
        decimal: Decimal sign of the CSV.
    """
    from securegbm import verbs

    link = verbs.Link(address, certs, "party-a", "party-b", pin, insecure_loopback)
    verbs.party_a_predict(data, out, model, run, id_column, link, path_only, verbs.Dialect(separator, encoding, decimal))


def party_a_serve(
    model: Path = Path("party-a/model.json"),
    run: str | None = None,
    listen: str = "127.0.0.1:8080",
    address: str = "127.0.0.1:50551",
    certs: Path = Path("certs"),
    pin: str | None = None,
    insecure_loopback: bool = False,
    patience: float = 60.0,
) -> None:
    """Serve scores as JSON over HTTP (POST /score); put it behind your own gateway for TLS and access control.

    Args:
        model: The label party's half.
        run: Its run id, when the file does not lie in its run's folder.
        listen: Where to listen.
        address: Of the feature party.
        certs: Folder with party-a.crt, party-a.key and party-b.crt.
        pin: SHA-256 fingerprint that party-b.crt must have.
        insecure_loopback: No TLS to the feature party; for trials on this machine only.
        patience: Seconds to wait for a feature party that cannot be reached.
    """
    from securegbm import verbs

    link = verbs.Link(address, certs, "party-a", "party-b", pin, insecure_loopback, patience=patience)
    verbs.party_a_serve(model, run, listen, link)
