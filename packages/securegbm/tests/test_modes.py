"""Every mode of training does what its name says."""

import dataclasses
import random

import lightgbm
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from securegbm.config import TrainConfig
from securegbm.errors import SecureGBMError
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.predict import Predictor
from securegbm.label_party.sampling import draw_rows, held_out
from securegbm.model.export import to_lightgbm_text
from securegbm.tables.binning import BinConfig
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.objectives import Objective, to_fixed_point
from securegbm.trees.rules import SplitRules


def auc_of(run, labels, key):
    return roc_auc_score(labels, Predictor(run.half, run.channel, key).scores(run.label.table)[0])


@pytest.fixture
def base(problem, pair, quick, key):
    values, labels, _ = problem(1200, 21)
    run = pair(values, labels, quick(n_estimators=8))
    return values, labels, run, auc_of(run, labels, key)


def test_encryption_hiding_and_merging_do_not_change_a_bit_of_the_model(problem, pair, quick):
    values, labels, _ = problem(300, 2)
    first = pair(values, labels, quick(n_estimators=2))
    for changes in (
        {"encryption": "toy"},
        {"encryption": "standard", "merge_replies": True},
        {"hide_instances": True},
        {"hide_instances": True, "encryption": "toy"},
    ):
        other = pair(values, labels, quick(n_estimators=2, **changes))
        assert other.half.to_dict() == first.half.to_dict()
        assert other.other.to_dict() == first.other.to_dict()


@pytest.mark.parametrize(
    ("wanted", "policy", "used"),
    [
        ("auto", "auto", "numba"),
        ("numba", "numba", "numba"),
        ("seal", "auto", "seal"),
        ("auto", "seal", "seal"),
    ],
)
def test_the_parties_agree_on_one_arithmetic_and_it_does_not_change_the_model(
    wanted, policy, used, problem, pair, quick, monkeypatch
):
    from securegbm.ring import choice

    values, labels, _ = problem(300, 2)
    clear = pair(values, labels, quick(n_estimators=1))
    agreed, seen, real = FeaturePolicy(allow_toy=True, ring=policy), [], choice.feature_sums
    monkeypatch.setattr("securegbm.feature_party.run.feature_sums", lambda *given: seen.append(given[0]) or real(*given))

    def train():
        return pair(values, labels, quick(n_estimators=1, encryption="toy"), agreed, ring=wanted)

    if (wanted, policy) == ("auto", "seal"):
        with pytest.warns(UserWarning, match="the feature party uses SEAL"):
            run = train()
    else:
        run = train()
    assert seen == [used]
    assert run.half.to_dict() == clear.half.to_dict()


def test_both_parties_matter(base, problem, pair, quick, key):
    values, labels, run, joint = base
    alone = pair(values[:, :4], labels, quick(n_estimators=8), split=3)
    assert joint > auc_of(alone, labels, key)
    shares = run.half.importance()["by_party"]
    assert shares["label"] > 0
    assert shares["feature"] > 0


@pytest.mark.parametrize("changes", [{}, {"privacy_bits": 6}, {"hide_instances": True}, {"row_fraction": 0.5}], ids=str)
def test_regression_counts_rows_instead_of_encrypting_ones(changes, problem, pair, quick):
    """The same model as in the clear; with weights hessians differ and are encrypted."""
    values, _, target = problem(300, 2)
    config = quick(objective=Objective("regression"), n_estimators=2, **changes)
    for weights in (None, np.linspace(0.5, 2.0, 300)):
        clear = pair(values, target, config, weights=weights)
        secret = pair(values, target, dataclasses.replace(config, encryption="toy"), weights=weights)
        assert secret.half.to_dict() == clear.half.to_dict()
    assert config.unit_hessians(np.ones(300))
    assert not config.unit_hessians(np.linspace(0.5, 2.0, 300))


def test_a_ring_that_one_side_insists_on_and_the_other_cannot_is_one_sentence(monkeypatch):
    from securegbm.ring import choice

    for call, said in (
        (lambda: choice.offer("numba", True), "does not merge replies"),
        (lambda: choice.offer("paper", False), "unknown"),
        (lambda: choice.answer("seal", "numba", False), "insists on"),
        (lambda: choice.settle("numba", "seal", "numba"), "does not use the ring numba"),
    ):
        with pytest.raises(SecureGBMError, match=said):
            call()
    assert choice.offer("auto", True) == choice.offer("seal", False) == choice.answer("seal", "auto", False) == "seal"
    monkeypatch.setattr(choice, "find_spec", lambda _: None)
    with pytest.raises(SecureGBMError, match="numba is not installed"):
        choice.offer("numba", False)
    with pytest.warns(UserWarning, match="numba is not installed"):
        assert choice.answer("numba", "auto", False) == "seal"


@pytest.mark.parametrize(
    "changes",
    [{"row_fraction": 0.3}, {"goss": (0.2, 0.2)}, {"privacy_bits": 8}, {"first_local_trees": 2}],
    ids=str,
)
def test_approximate_modes_stay_close(changes, base, pair, quick, key):
    values, labels, _, joint = base
    run = pair(values, labels, quick(n_estimators=8, **changes))
    assert auc_of(run, labels, key) > joint - 0.05
    if "first_local_trees" in changes:
        own = len(run.half.names)
        assert all(feature < own for tree in run.half.trees[:2] for feature in tree.feature)
        assert any(feature >= own for tree in run.half.trees[2:] for feature in tree.feature)


def test_small_bins_policy_keeps_the_model_useful(base, pair, quick, key):
    values, labels, _, joint = base
    policy = FeaturePolicy(allow_plain=True, min_bin_rows=15)
    assert auc_of(pair(values, labels, quick(n_estimators=8), policy), labels, key) > joint - 0.05


def test_sampled_rows_follow_the_seed_and_the_share():
    config = TrainConfig(row_fraction=0.25)
    train, zeros = np.ones(1000, dtype=bool), np.zeros((1, 1000))
    one, _ = draw_rows(config, 3, train, zeros, zeros)
    assert one.sum() == 250
    assert np.array_equal(one, draw_rows(config, 3, train, zeros, zeros)[0])
    assert not np.array_equal(one, draw_rows(config, 4, train, zeros, zeros)[0])


def test_goss_keeps_the_largest_and_the_expected_sum():
    """Amplified sums are unbiased: mean over 400 draws within four standard errors."""
    rng = np.random.default_rng(0)
    gradient = rng.normal(size=(1, 500))
    sums = []
    for iteration in range(400):
        chosen, factor = draw_rows(
            TrainConfig(goss=(0.2, 0.1)), iteration, np.ones(500, dtype=bool), gradient, np.ones((1, 500))
        )
        assert chosen[np.argsort(-np.abs(gradient[0]))[:100]].all()
        sums.append((gradient[0] * factor)[chosen].sum())
    assert abs(np.mean(sums) - gradient.sum()) < 4 * np.std(sums) / np.sqrt(400)


def test_early_stopping_keeps_the_best_iteration(problem, pair, quick):
    values, labels, _ = problem(600, 8)
    config = quick(n_estimators=60, learning_rate=0.5, validation_fraction=0.25, early_stopping_rounds=3)
    run = pair(values, labels, config)
    history = run.half.history
    assert len(history) < 60
    assert len(run.half.trees) == int(np.argmin(history)) + 1
    assert len(run.other.splits) == len(run.half.other_nodes)
    assert held_out(600, config).sum() == 150


@pytest.mark.parametrize("objective", [Objective("regression"), Objective("multiclass", 3)], ids=str)
def test_other_objectives_learn(objective, problem, pair, quick, key):
    values, _, score = problem(800, 9)
    labels = 100 * score if objective.name == "regression" else np.digitize(score, [-1.0, 1.0]).astype(float)
    run = pair(values, labels, quick(n_estimators=10, learning_rate=0.3, objective=objective))
    scores = Predictor(run.half, run.channel, key).scores(run.label.table)
    start = np.repeat(run.half.initial[:, None], len(labels), axis=1)
    ones = np.ones(len(labels))
    assert objective.loss(scores, labels, ones) < 0.6 * objective.loss(start, labels, ones)


def test_a_weight_of_two_is_the_row_twice_in_the_gradients(problem, pair, quick):
    values, labels, _ = problem(400, 3)
    weights = np.where(np.arange(400) % 2, 2.0, 1.0)
    run = pair(values, labels, quick(), weights=weights)
    objective = Objective("binary")
    plain = objective.derivatives(np.zeros((1, 400)), labels, np.ones(400))
    heavy = objective.derivatives(np.zeros((1, 400)), labels, weights)
    assert np.array_equal(heavy[0][0], plain[0][0] * weights)
    assert run.half.trees


def test_fixed_point_is_exact_in_float32_and_bounded():
    values = np.array([0.1, -3.7, 100.25])
    fixed = to_fixed_point(values, 23)
    assert np.abs(fixed.integers).max() <= 2**23
    assert np.array_equal(fixed.values.astype(np.float32).astype(np.float64), fixed.values)
    assert np.abs(fixed.values - values).max() <= fixed.step / 2
    with pytest.raises(SecureGBMError, match="privacy_bits"):
        to_fixed_point(values, 30)
    with pytest.raises(SecureGBMError, match="not finite"):
        to_fixed_point(np.array([np.inf]), 23)


@pytest.mark.parametrize("power", [-40, -20, 20])
def test_the_unit_of_labels_does_not_change_the_trees(power, problem, pair, quick):
    """Labels of size 1e-9 gave one leaf: their gradients were rounded to multiples of 2^-23."""
    values, _, target = problem(300, 2)
    config = quick(objective=Objective("regression"))
    one, other = (pair(values, target * unit, config).half for unit in (1.0, 2.0**power))
    assert [tree.feature for tree in one.trees] == [tree.feature for tree in other.trees]
    assert [tree.num_nodes for tree in one.trees] == [6, 6, 6]
    assert [tree.value for tree in other.trees] == [[v * 2.0**power for v in tree.value] for tree in one.trees]


def test_the_unit_of_weights_does_not_change_the_trees(problem, pair, quick):
    """Weights of 2^-20: without a penalty and with the least sum of hessians in the same unit nothing depends on it."""
    values, labels, _ = problem(300, 2)
    halves = []
    for unit in (1.0, 2.0**-20):
        rules = SplitRules(min_sum_hessian_in_leaf=1e-3 * unit)
        halves.append(pair(values, labels, quick(rules=rules), weights=np.full(300, unit)).half)
    for one, other in zip(*(half.trees for half in halves), strict=True):
        assert one.feature == other.feature
        assert other.value == pytest.approx(one.value, rel=1e-5)


def test_labels_and_weights_that_23_bits_cannot_show_are_refused(problem, pair, quick):
    """One label of 1e9 among those of order one: every gradient was that label's mean, and the others were rounded away."""
    values, labels, target = problem(300, 2)
    far, heavy = target.copy(), np.ones(300)
    far[0] = heavy[0] = 1e9
    with pytest.raises(SecureGBMError, match=r"2\^23 times as large"):
        pair(values, far, quick(objective=Objective("regression")))
    with pytest.raises(SecureGBMError, match=r"2\^23 times as large"):
        pair(values, labels, quick(), weights=heavy)
    rare = np.where(np.arange(300) < 3, 1e3, 0.0)
    assert pair(values, rare, quick(objective=Objective("regression"))).half.trees


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_share_that_holds_out_no_row_or_all_is_refused(share, problem, pair, quick):
    """Early stopping on no row never stopped, without a word."""
    values, labels, _ = problem(300, 2)
    with pytest.raises(SecureGBMError, match=r"holds out (0|300) of 300 rows"):
        pair(values, labels, quick(validation_fraction=share, early_stopping_rounds=2))


def test_a_metric_that_is_no_number_does_not_choose_the_iteration(problem, pair, quick):
    """NaN counted as the least value, so that the model ended with the iteration that had it."""
    values, labels, _ = problem(300, 2)
    with pytest.raises(SecureGBMError, match="is not a number"):
        pair(values, labels, quick(validation_fraction=0.2, early_stopping_rounds=2), metric=lambda *_: float("nan"))


def test_training_alone_needs_no_other_party(problem, quick):
    from securegbm.label_party.party import LabelParty
    from securegbm.tables.table import Table

    values, labels, _ = problem(300, 1)
    half = LabelParty(Table.of(values), labels, quick(), None).train()
    assert half.other_nodes == []
    assert len(half.trees) == 3


def test_a_resumed_run_equals_an_uninterrupted_one(problem, pair, quick, tmp_path):
    values, labels, _ = problem(400, 6)
    config = quick(n_estimators=6, row_fraction=0.5, validation_fraction=0.2, early_stopping_rounds=4)
    whole = pair(values, labels, config)

    class StopError(Exception):
        pass

    def stop(report):
        if report.tree == 2:
            raise StopError

    with pytest.raises(StopError):
        pair(values, labels, config, state=tmp_path / "a", feature_state=tmp_path / "b", on_tree=stop)
    again = pair(values, labels, config, state=tmp_path / "a", feature_state=tmp_path / "b")
    assert again.half.to_dict() == whole.half.to_dict()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"n_estimators": 0}, "n_estimators"),
        ({"learning_rate": 2.0}, "learning_rate"),
        ({"row_fraction": 0.0}, "row_fraction"),
        ({"goss": (0.9, 0.9)}, "goss"),
        ({"goss": (0.1, 0.1), "row_fraction": 0.5}, "both draw"),
        ({"goss": (0.1, 0.1), "hide_instances": True}, "cannot hide"),
        ({"early_stopping_rounds": 3}, "validation_fraction"),
        ({"early_stopping_rounds": -1, "validation_fraction": 0.2}, "early_stopping_rounds is -1"),
        ({"first_local_trees": -1}, "first_local_trees is -1"),
        ({"spot_checks": -1}, "spot_checks is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"privacy_bits": 2}, "privacy_bits"),
        ({"encryption": "rot13"}, "rot13"),
    ],
)
def test_bad_configurations_are_refused(changes, what):
    with pytest.raises(SecureGBMError, match=what):
        dataclasses.replace(TrainConfig(), **changes)
    with pytest.raises(SecureGBMError):
        GrowthConfig(1)
    with pytest.raises(SecureGBMError):
        BinConfig(1)
    with pytest.raises(SecureGBMError):
        Objective("ranking")


def test_sampled_trees_take_their_leaf_values_from_all_rows(problem, pair, quick):
    """One tree from zero: each leaf is -lr G / H over all of its rows, though a fifth of them grew the tree."""
    values, labels, _ = problem(600, 4)
    config = quick(n_estimators=1, row_fraction=0.2, boost_from_average=False)
    run = pair(values, labels, config)
    where = run.label._store.arrays[0]
    tree = run.half.trees[0]
    for leaf, value in enumerate(tree.value):
        own = labels[where == leaf]
        assert value == pytest.approx(-config.learning_rate * (0.5 - own).sum() / (0.25 * len(own)))
    as_sampled = dataclasses.replace(config, refit_leaves=False, rules=config.rules.for_share(0.2))
    alone = pair(values, labels, as_sampled).half.trees[0]
    assert alone.feature == tree.feature
    assert alone.value != tree.value


def test_refitting_does_not_send_a_byte_more(problem, pair, quick):
    values, labels, _ = problem(400, 4)
    config = quick(n_estimators=1, row_fraction=0.3)
    as_sampled = dataclasses.replace(config, refit_leaves=False, rules=config.rules.for_share(0.3))
    sent = []
    for either in (config, as_sampled):
        pair(values, labels, either, on_tree=lambda report: sent.append((report.bytes_sent, report.bytes_received)))
    assert sent[0] == sent[1]


def test_shuffled_columns_keep_the_model_and_hide_their_order(problem, pair, quick, key, monkeypatch):
    monkeypatch.setattr("secrets.SystemRandom", lambda: random.Random(3))
    values, labels, _ = problem(500, 5)
    policy = FeaturePolicy(allow_plain=True, shuffle_columns=True)
    plain, shuffled = pair(values, labels, quick()), pair(values, labels, quick(), policy)
    assert shuffled.feature.store(shuffled.label.run).order != [0, 1, 2, 3]
    table = plain.label.table
    scores = [Predictor(run.half, run.channel, key).scores(table) for run in (plain, shuffled)]
    assert np.allclose(scores[0], scores[1])
    joint = lightgbm.Booster(model_str=to_lightgbm_text(shuffled.half, shuffled.other, True))
    assert np.allclose(joint.predict(values, raw_score=True), scores[1][0], atol=1e-12)
    assert {s.feature for s in shuffled.other.splits} == {s.feature for s in plain.other.splits}
