"""The demo: a clinic with three weak columns and a laboratory with the rest, as two processes over mutual TLS."""

import importlib.util
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from securegbm.app.two_processes import feature_process
from securegbm.config import TrainConfig
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty, TreeReport
from securegbm.label_party.predict import Predictor
from securegbm.tables.binning import BinConfig
from securegbm.tables.table import Table
from securegbm.trees.growth import GrowthConfig
from securegbm.wire.certificates import Identity, make_certificate, shared_secret
from securegbm.wire.network import NetworkChannel

OWN = (8, 9, 18, 19)
"""Columns of breast cancer that the label party holds: symmetry and fractal dimension, which say little alone."""


def _feature_party(train: Table, test: Table, identity: Identity, workers: int) -> FeatureParty:
    return FeatureParty(train, FeaturePolicy(workers=workers), shared_secret(identity), serving=test)


def demonstrate(out: Path, trees: int, workers: int) -> Iterator[str]:
    """Run the demo and draw it; yields lines to print.

    Args:
        out: The picture.
        trees: Boosting iterations.
        workers: Processes of each party for the arithmetic.
    """
    from sklearn.datasets import load_breast_cancer
    from sklearn.metrics import roc_auc_score

    bunch: Any = load_breast_cancer(return_X_y=True)
    values, labels = bunch
    rng = np.random.default_rng(0)
    order = rng.permutation(len(labels))
    fit, held = order[:380], order[380:]
    other = [i for i in range(values.shape[1]) if i not in OWN]
    config = TrainConfig(n_estimators=trees, growth=GrowthConfig(8), bins=BinConfig(31))

    def table(rows: Any, columns: Any) -> Table:
        return Table(values[np.ix_(rows, columns)], tuple(f"x{i}" for i in columns), tuple(f"p{i}" for i in rows))

    certificate_a, key_a = make_certificate("party-a")
    certificate_b, key_b = make_certificate("party-b")
    identity, identity_b = Identity(certificate_a, key_a, certificate_b), Identity(certificate_b, key_b, certificate_a)
    make = partial(_feature_party, table(fit, other), table(held, other), identity_b, workers)
    reports: list[TreeReport] = []
    with feature_process(make, identity_b) as (address, _):
        channel, secret = NetworkChannel(address, identity), shared_secret(identity)
        yield f"label party: {len(fit)} patients, 4 columns and the labels; feature party: the other 26 columns"
        party = LabelParty(
            table(fit, OWN), labels[fit], config, channel, key=secret, workers=workers, on_tree=reports.append
        )
        half = party.train()
        secure = Predictor(half, channel, secret).scores(table(held, OWN))[0]
        channel.close()
    auc = {
        "label party alone": roc_auc_score(labels[held], _lightgbm(values[:, OWN], labels, fit, held, config)),
        "joint LightGBM": roc_auc_score(labels[held], _lightgbm(values, labels, fit, held, config)),
        "SecureGBM": roc_auc_score(labels[held], secure),
    }
    for name, value in auc.items():
        yield f"  {name:<18} AUC {value:.4f}"
    seconds = float(np.median([report.seconds for report in reports]))
    volume = np.array([(report.bytes_sent, report.bytes_received) for report in reports]) / 1e6
    yield f"a tree: {seconds:.2f} s, {volume[:, 0].mean():.1f} MB up, {volume[:, 1].mean():.1f} MB down"
    if importlib.util.find_spec("matplotlib") is None:
        yield "no picture, as matplotlib is not installed: pip install './packages/securegbm[plots]'"
        return
    _draw(auc, volume, reports, out)
    yield str(out)


def _lightgbm(values: Any, labels: Any, fit: Any, held: Any, config: TrainConfig) -> Any:
    import lightgbm

    from securegbm.model.parity import lightgbm_settings

    data = lightgbm.Dataset(values[fit], labels[fit])
    model = lightgbm.train(lightgbm_settings(config) | {"objective": "binary"}, data, config.n_estimators)
    return model.predict(values[held])


def _draw(auc: dict[str, float], volume: Any, reports: list[TreeReport], out: Path) -> None:
    from claimkit.figures import figure, save

    canvas, (left, right) = figure(1, 2, (4.5, 3.4))
    left.bar(range(len(auc)), list(auc.values()), color=["#999999", "#0072b2", "#c1272d"], width=0.6)
    left.set_xticks(range(len(auc)), list(auc))
    left.set(ylim=(0.5, 1.02), ylabel="AUC of held-out patients", title="Alone, together, and with private columns")
    for place, value in enumerate(auc.values()):
        left.annotate(f"{value:.3f}", (place, value), ha="center", va="bottom")
    number = np.arange(len(reports))
    right.bar(number, volume[:, 0], color="#0072b2", label="label to feature party")
    right.bar(number, volume[:, 1], bottom=volume[:, 0], color="#e69f00", label="feature to label party")
    right.set(xlabel="tree", ylabel="MB", title="What crossed the wire", ylim=(0, 1.25 * volume.sum(axis=1).max()))
    right.legend(fontsize=8, ncols=2)
    save(canvas, out)
