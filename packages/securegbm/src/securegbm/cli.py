"""The command line; numpy, grpc, lightgbm and tenseal are imported inside the verbs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from paperkit.cli import main as run

CITATION = """
@inproceedings{feng2019securegbm,
  title     = {SecureGBM: Secure Multi-Party Gradient Boosting},
  author    = {Feng, Zhi and Xiong, Haoyi and Song, Chuanyuan and Yang, Sijia and Zhao, Baoxin and Wang, Licheng and
               Chen, Zeyu and Yang, Shengwen and Liu, Liping and Huan, Jun},
  booktitle = {IEEE International Conference on Big Data},
  year      = {2019},
  note      = {arXiv:1911.11997}
}
"""

ObjectiveName = Literal["binary", "regression", "multiclass"]
Encryption = Literal["standard", "strong", "toy", "none"]


def certs(name: str = "party-a", out: Path = Path("certs"), days: int = 365) -> None:
    """Make this party's certificate and private key; give the other party the .crt file and its fingerprint.

    Args:
        name: party-a (labels) or party-b (features).
        out: Folder of the files.
        days: Validity.
    """
    from securegbm import verbs

    verbs.certs(name, out, days)


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
        workers: Processes for the arithmetic.
    """
    from securegbm import verbs
    from securegbm.feature_party import FeaturePolicy

    policy = FeaturePolicy(min_bin_rows, require_hiding, allow_plain, allow_toy, max_trees, workers)
    link = verbs.Link(address, certs, "party-b", "party-a", pin, insecure_loopback)
    verbs.party_b_serve(data, id_column, serving, link, state, policy)


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
        job: Name of the run, the same at every restart.
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
        seed: Of row sampling.
        workers: Processes for the arithmetic.
        deadline: Seconds one call may take.
        patience: Seconds to wait for a feature party that cannot be reached.
    """
    from securegbm import verbs
    from securegbm.binning import BinConfig
    from securegbm.config import TrainConfig
    from securegbm.growth import GrowthConfig
    from securegbm.objectives import Objective
    from securegbm.search import SplitRules

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
        seed=seed,
    )
    link = verbs.Link(address, certs, "party-a", "party-b", pin, insecure_loopback, deadline, patience)
    verbs.party_a_train(data, id_column, label_column, weight_column, link, state, job, config, workers)


def party_a_predict(
    data: Path,
    out: Path,
    model: Path = Path("party-a/model.json"),
    id_column: str = "id",
    address: str = "127.0.0.1:50551",
    certs: Path = Path("certs"),
    pin: str | None = None,
    insecure_loopback: bool = False,
    path_only: bool = False,
) -> None:
    """Predict rows of a CSV with the feature party's help; one round trip for all of them.

    Args:
        data: CSV with the id column and the columns the model was trained on; the feature party serves the same ids.
        out: CSV of ids and predictions.
        model: The label party's half.
        id_column: Name of the id column.
        address: Of the feature party.
        certs: Folder with party-a.crt, party-a.key and party-b.crt.
        pin: SHA-256 fingerprint that party-b.crt must have.
        insecure_loopback: No TLS; for trials on this machine only.
        path_only: Ask for the nodes on each row's path only, one round trip per level.
    """
    from securegbm import verbs

    link = verbs.Link(address, certs, "party-a", "party-b", pin, insecure_loopback)
    verbs.party_a_predict(data, out, model, id_column, link, path_only)


def party_a_serve(
    model: Path = Path("party-a/model.json"),
    listen: str = "127.0.0.1:8080",
    address: str = "127.0.0.1:50551",
    certs: Path = Path("certs"),
    pin: str | None = None,
    insecure_loopback: bool = False,
) -> None:
    """Serve scores as JSON over HTTP (POST /score); put it behind your own gateway for TLS and access control.

    Args:
        model: The label party's half.
        listen: Where to listen.
        address: Of the feature party.
        certs: Folder with party-a.crt, party-a.key and party-b.crt.
        pin: SHA-256 fingerprint that party-b.crt must have.
        insecure_loopback: No TLS to the feature party; for trials on this machine only.
    """
    from securegbm import verbs

    verbs.party_a_serve(model, listen, verbs.Link(address, certs, "party-a", "party-b", pin, insecure_loopback))


def export(label_half: Path, feature_half: Path, out: Path = Path("model.txt"), i_consent: bool = False) -> None:
    """Join both halves into one LightGBM text model. Whoever reads it sees every edge and every leaf value.

    Args:
        label_half: model.json of the label party.
        feature_half: model.json of the feature party.
        out: The text model, for `lightgbm.Booster(model_file=...)`.
        i_consent: Both parties agree to the joint model.
    """
    from securegbm import verbs

    verbs.export(label_half, feature_half, out, i_consent)


def audit(log: Path, messages: bool = False) -> None:
    """Say what one side sent, received and learned, from its message log.

    Args:
        log: messages.jsonl of a party's state folder.
        messages: Also one line per message.
    """
    from securegbm import verbs

    verbs.audit(log, messages)


def demo(out: Path = Path("securegbm-demo.png"), trees: int = 10, workers: int = 1) -> None:
    """Train two processes on this machine over TLS: who does better alone, together, and securely; write one picture.

    Args:
        out: The picture.
        trees: Boosting iterations.
        workers: Processes of each party for the arithmetic.
    """
    from securegbm import verbs

    verbs.demo(out, trees, workers)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; `party-a train` is one verb of two words."""
    words = list(sys.argv[1:] if argv is None else argv)
    if len(words) > 1 and words[0] in ("party-a", "party-b") and not words[1].startswith("-"):
        words[:2] = [" ".join(words[:2])]
    run(
        "securegbm",
        "Two parties train one LightGBM and neither sees the other's columns.",
        {
            "certs": certs,
            "party-b serve": party_b_serve,
            "party-a train": party_a_train,
            "party-a predict": party_a_predict,
            "party-a serve": party_a_serve,
            "export": export,
            "audit": audit,
            "demo": demo,
        },
        CITATION,
        words,
    )
