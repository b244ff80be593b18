"""The commands of the two parties; numpy, grpc, lightgbm and tenseal are imported inside them."""

# ruff: noqa: B008
from pathlib import Path

from tyro.conf import OmitArgPrefixes as Flat

from securegbm.app.options import (
    ArithmeticOptions,
    CallingOptions,
    ColumnOptions,
    FileOptions,
    LinkOptions,
    PolicyOptions,
    ProtocolOptions,
    RunOptions,
    TreeOptions,
)


def party_b_serve(
    data: Path,
    serving: Path | None = None,
    state: Path = Path("party-b"),
    metrics: str | None = None,
    link: Flat[LinkOptions] = LinkOptions(),
    table: Flat[ColumnOptions] = ColumnOptions(),
    policy: Flat[PolicyOptions] = PolicyOptions(),
    arithmetic: Flat[ArithmeticOptions] = ArithmeticOptions(),
) -> None:
    """Serve the feature party: training and, afterwards, predictions. Stops on Ctrl-C; resumes where it was.

    Example: securegbm party-b serve --data features.csv --address 0.0.0.0:50551

    Args:
        data: Table of the training rows: an id column and features.
        serving: Table of rows to answer predictions for; the training rows when not given.
        state: Folder of checkpoints, model half and message log.
        metrics: Serve counters for Prometheus on 127.0.0.1:PORT.
        link: Where to listen, and the certificates.
        table: How the table is written, and what its columns are.
        policy: What this party agrees to.
        arithmetic: Who does the arithmetic of the encryption.
    """
    from securegbm import verbs
    from securegbm.feature_party.policy import FeaturePolicy

    agreed = FeaturePolicy(**vars(policy), **vars(arithmetic))
    verbs.party_b_serve(data, serving, table, verbs.link_of(link, "party-b"), state, agreed, metrics)


def party_a_train(
    data: Path,
    label_column: str = "label",
    weight_column: str | None = None,
    state: Path = Path("party-a"),
    metrics: str | None = None,
    run: Flat[RunOptions] = RunOptions(),
    model: Flat[TreeOptions] = TreeOptions(),
    protocol: Flat[ProtocolOptions] = ProtocolOptions(),
    link: Flat[CallingOptions] = CallingOptions(),
    table: Flat[ColumnOptions] = ColumnOptions(),
    arithmetic: Flat[ArithmeticOptions] = ArithmeticOptions(),
) -> None:
    """Train as the label party; the same command again continues an interrupted run.

    Example: securegbm party-a train --data labels.csv --label-column bought --address partner.example:50551

    Args:
        data: Table of the training rows: ids, label, features, in the order of the feature party's rows.
        label_column: Name of the label column.
        weight_column: Name of a column of sample weights.
        state: Folder of checkpoints, model half and message log.
        metrics: Serve counters for Prometheus on 127.0.0.1:PORT.
        run: Which run is meant.
        model: What is learned, and how.
        protocol: What is sent, and what it hides.
        link: The way to the feature party.
        table: How the table is written, and what its columns are.
        arithmetic: Who does the arithmetic of the encryption.
    """
    from securegbm import verbs
    from securegbm.app.beginning import Begin, more_trees
    from securegbm.app.options import config_of

    begin = Begin(run.replace, run.continue_, run.roll_back)
    config = more_trees(config_of(model, protocol), begin, state)
    source = verbs.TrainingFile(data, label_column, weight_column, table)
    verbs.party_a_train(source, verbs.link_of(link, "party-a"), state, run.job, config, arithmetic, begin, metrics)


def party_a_predict(
    data: Path,
    out: Path,
    model: Path = Path("party-a/model.json"),
    run: str | None = None,
    path_only: bool = False,
    contributions: Path | None = None,
    link: Flat[CallingOptions] = CallingOptions(),
    table: Flat[FileOptions] = FileOptions(),
) -> None:
    """Predict rows of a table with the feature party's help; one round trip for all of them.

    Example: securegbm party-a predict --data new.csv --out scores.csv --address partner.example:50551

    Args:
        data: Table with the id column and the columns the model was trained on; the feature party serves the same ids.
        out: CSV of ids and predictions.
        model: The label party's half.
        run: Its run id, when the file does not lie in its run's folder.
        path_only: Ask for the nodes on each row's path only, one round trip per level.
        contributions: CSV of what each column adds to a row's raw score (SHAP values); the feature party's are numbered.
        link: The way to the feature party.
        table: How the table is written.
    """
    from securegbm import verbs

    files = verbs.PredictionFiles(data, out, contributions, table)
    verbs.party_a_predict(files, model, run, verbs.link_of(link, "party-a"), path_only)


def party_a_serve(
    model: Path = Path("party-a/model.json"),
    run: str | None = None,
    listen: str = "127.0.0.1:8080",
    metrics: str | None = None,
    link: Flat[CallingOptions] = CallingOptions(),
) -> None:
    """Serve scores as JSON over HTTP (POST /score); put it behind your own gateway for TLS and access control.

    Example: securegbm party-a serve --listen 127.0.0.1:8080 --address partner.example:50551

    Args:
        model: The label party's half.
        run: Its run id, when the file does not lie in its run's folder.
        listen: Where to listen.
        metrics: Serve counters for Prometheus on 127.0.0.1:PORT.
        link: The way to the feature party.
    """
    from securegbm import verbs

    verbs.party_a_serve(model, run, listen, verbs.link_of(link, "party-a"), metrics)
