"""Lossless mode equals LightGBM, split by split, in every setting it offers."""

import lightgbm
import numpy as np
import pytest

from securegbm.errors import SecureGBMError
from securegbm.label_party.predict import Predictor
from securegbm.model.export import to_lightgbm_text
from securegbm.model.parity import compare, reference_model
from securegbm.tables.binning import BinConfig, BinLayout, find_bins
from securegbm.tables.table import Table
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.objectives import Objective
from securegbm.trees.rules import SplitRules
from securegbm.trees.search import SplitSearch

CASES = {
    "plain": {},
    "many leaves, 255 bins": {"growth": GrowthConfig(63), "bins": BinConfig(255)},
    "lambda_l1 and lambda_l2": {"rules": SplitRules(lambda_l1=0.7, lambda_l2=2.0)},
    "max_depth": {"growth": GrowthConfig(31, max_depth=3)},
    "zero is missing": {"bins": BinConfig(63, zero_as_missing=True)},
    "start from 0": {"boost_from_average": False},
    "min_gain, small leaves": {"rules": SplitRules(min_data_in_leaf=2, min_gain_to_split=0.2)},
    "regression": {"objective": Objective("regression")},
    "multiclass": {"objective": Objective("multiclass", 3)},
}


def test_the_most_frequent_bin_is_what_the_others_leave_added_in_their_order():
    """Bit for bit, wherever it lies; bin 0 is left as it is."""
    layouts = [BinLayout(4, "none", at, at) for at in (0, 1, 2, 3)] + [BinLayout(2, "none", 1, 1)]
    table, total = np.random.default_rng(0).normal(size=(5, 4)), 0.1
    table[4, 2:] = table[[1, 2, 3, 4], [1, 2, 3, 1]] = 0.0
    expected = table.copy()
    for row, at in enumerate((1, 2, 3, 1), 1):
        rest = total
        for other in range(4):
            rest = rest - table[row, other]
        expected[row, at] = rest
    assert np.array_equal(SplitSearch(layouts, SplitRules()).fix(table.copy(), total), expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_split_equals_lightgbm(case, problem, pair, quick):
    values, labels, score = problem(2500, sorted(CASES).index(case))
    config = quick(**({"n_estimators": 6, "growth": GrowthConfig(31), "bins": BinConfig(63)} | CASES[case]))
    if config.objective.name == "regression":
        labels = 3.0 * score
    elif config.objective.name == "multiclass":
        labels = np.digitize(score, np.quantile(score, [0.3, 0.7])).astype(float)
    weights = np.random.default_rng(0).uniform(0.5, 2.0, len(labels)) if case == "multiclass" else None
    done = pair(values, labels, config, weights=weights)
    found = compare(done.half, done.other, reference_model(values, labels, config, weights), values)
    assert found.splits >= 30
    assert found.mismatches == 0
    assert found.largest_difference < 1e-12


def test_encrypted_trees_equal_lightgbm(problem, pair, quick):
    values, labels, _ = problem(600, 3)
    config = quick(encryption="toy", n_estimators=2)
    done = pair(values, labels, config)
    found = compare(done.half, done.other, reference_model(values, labels, config), values)
    assert (found.splits, found.mismatches) == (12, 0)


def test_native_objective_agrees_up_to_ties(problem, pair, quick):
    """LightGBM's own float32 gradients differ from the rounded ones, so only the model's quality must agree."""
    values, labels, _ = problem(3000, 5)
    config = quick(n_estimators=20, growth=GrowthConfig(15))
    done = pair(values, labels, config)
    from securegbm.model.parity import lightgbm_settings

    data = lightgbm.Dataset(values, labels)
    native = lightgbm.train(lightgbm_settings(config) | {"objective": "binary"}, data, 20)
    ours = lightgbm.Booster(model_str=to_lightgbm_text(done.half, done.other, consent=True)).predict(values)
    assert np.abs(np.asarray(ours) - np.asarray(native.predict(values))).mean() < 1e-3


@pytest.mark.parametrize("zero_as_missing", [False, True])
@pytest.mark.parametrize("max_bin", [4, 63, 255])
def test_bins_equal_lightgbms(max_bin, zero_as_missing, problem, tmp_path):
    values, labels, _ = problem(700, max_bin)
    values[:, 3] = -np.abs(values[:, 3]) - 0.1
    settings = {"max_bin": max_bin, "feature_pre_filter": False, "enable_bundle": False, "verbose": -1}
    data = lightgbm.Dataset(values, labels, params=settings | {"zero_as_missing": zero_as_missing}).construct()
    data._dump_text(str(tmp_path / "bins.txt"))
    lines = (tmp_path / "bins.txt").read_text().splitlines()
    dumped = np.array([[int(v) for v in line.split(",")[:-1]] for line in lines[-len(values) :]])
    for j in range(values.shape[1]):
        found = find_bins(values[:, j], BinConfig(max_bin, zero_as_missing=zero_as_missing))
        assert np.array_equal(found.transform(values[:, j]), dumped[:, j])


def test_bins_of_one_party_equal_those_of_the_joint_table(problem):
    values, _, _ = problem(400, 1)
    alone = Table.of(values[:, 4:]).bin(BinConfig(31))[1]
    joint = Table.of(values).bin(BinConfig(31))[1]
    assert np.array_equal(alone, joint[:, 4:])


def test_a_constant_column_is_never_split(problem, pair, quick):
    values, labels, _ = problem(500, 2)
    values[:, 0] = 3.0
    values[:, 5] = np.nan
    done = pair(values, labels, quick())
    assert not {0, 5} & {feature for tree in done.half.trees for feature in tree.feature}
    assert done.half.trees


def test_export_needs_consent_and_halves_of_one_run(problem, pair, quick):
    values, labels, _ = problem(500, 2)
    one, two = pair(values, labels, quick()), pair(values[:, ::-1], labels, quick())
    with pytest.raises(SecureGBMError, match="consent"):
        to_lightgbm_text(one.half, one.other)
    with pytest.raises(SecureGBMError, match="different runs"):
        to_lightgbm_text(one.half, two.other, consent=True)


def test_exported_model_predicts_the_same_on_new_rows_with_missing_values(problem, pair, quick, key):
    values, labels, _ = problem(800, 4)
    done = pair(values, labels, quick(n_estimators=6))
    fresh, _, _ = problem(300, 99)
    fresh[::7] = np.nan
    done.feature.serve(Table.of(fresh[:, 4:], list(done.feature.table.names)))
    table = Table.of(fresh[:, :4], list(done.label.table.names))
    booster = lightgbm.Booster(model_str=to_lightgbm_text(done.half, done.other, consent=True))
    expected = np.asarray(booster.predict(fresh, raw_score=True))
    for path_only in (False, True):
        scores = Predictor(done.half, done.channel, key, path_only=path_only).scores(table)
        assert np.array_equal(scores[0], expected)
