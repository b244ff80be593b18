"""Small problems and a pair of parties for the tests."""

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import claimkit.testing.fixtures  # noqa: F401  no deadline for hypothesis
from securegbm.config import TrainConfig
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.tables.binning import BinConfig
from securegbm.tables.table import Table
from securegbm.trees.growth import GrowthConfig
from securegbm.wire.channel import LocalChannel

sys.path.insert(0, str(Path(__file__).parent))

KEY = b"shared secret of the tests"


@pytest.fixture
def from_a_seed(monkeypatch):
    """Keys, errors and noise are the same in every run; only SEAL has a generator of its own, without a seed."""
    monkeypatch.setattr("os.urandom", np.random.default_rng(0).bytes)


def make_columns(n_rows, seed):
    """Eight columns of the kinds that matter: dense, missing, integer, zero-inflated, binary, mostly one value."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_rows, 8))
    values[:, 1] = rng.integers(-3, 9, n_rows)
    values[:, 2] = np.where(rng.random(n_rows) < 0.2, np.nan, values[:, 2])
    values[:, 4] = np.where(rng.random(n_rows) < 0.7, 0.0, rng.normal(size=n_rows))
    values[:, 5] = np.where(rng.random(n_rows) < 0.3, np.nan, rng.exponential(size=n_rows))
    values[:, 6] = rng.integers(0, 2, n_rows)
    values[:, 7] = np.where(rng.random(n_rows) < 0.8, -2.0, rng.normal(size=n_rows))
    score = np.nan_to_num(values) @ rng.normal(size=8) + 2 * np.isnan(values[:, 2])
    labels = (rng.random(n_rows) < 1 / (1 + np.exp(-score))).astype(float)
    return values, labels, score


@pytest.fixture
def problem():
    """Columns, labels, and a regression target."""
    return make_columns


def run_pair(values, labels, config, policy=None, split=4, weights=None, record=False, **more):
    """Train both parties in one process."""
    policy = policy or FeaturePolicy(allow_plain=True, allow_toy=True)
    names = [f"b{i}" for i in range(values.shape[1] - split)]
    feature = FeatureParty(Table.of(values[:, split:], names), policy, KEY, more.pop("feature_state", None))
    channel = LocalChannel(feature, record)
    label = LabelParty(
        Table.of(values[:, :split], [f"a{i}" for i in range(split)]), labels, config, channel, weights, key=KEY, **more
    )
    half = label.train()
    feature.close()
    return SimpleNamespace(half=half, feature=feature, channel=channel, label=label, other=feature.half(label.run))


@pytest.fixture
def pair():
    """`run_pair`."""
    return run_pair


@pytest.fixture
def quick():
    """A small configuration in the clear; keywords replace its fields."""

    def build(**changes):
        base = TrainConfig(n_estimators=3, encryption="none", growth=GrowthConfig(7), bins=BinConfig(15))
        return dataclasses.replace(base, **changes)

    return build


@pytest.fixture
def key():
    """The parties' shared secret."""
    return KEY
