"""LightGBM's options beyond the plain ones: each grows LightGBM's trees, split by split."""

import json

import lightgbm
import numpy as np
import pytest

from securegbm.errors import SecureGBMError
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty
from securegbm.label_party.sampling import held_out
from securegbm.model.export import to_lightgbm_text
from securegbm.model.parity import compare, lightgbm_settings, reference_model
from securegbm.tables.binning import BinConfig
from securegbm.tables.table import Table
from securegbm.trees.draws import ColumnDraws, Draws
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.objectives import Objective
from securegbm.trees.rules import CategoryRules, SplitRules
from securegbm.wire.channel import Conversation, LocalChannel
from securegbm.wire.messages import Kind

MONOTONE = {0: 1, 4: -1, 6: 1}
OPTIONS = {
    "bagging": ({"draws": Draws(bagging_fraction=0.7)}, {}, ()),
    "bagging, half, every second iteration": ({"draws": Draws(0.4, 2, 7)}, {}, ()),
    "feature_fraction": ({"draws": Draws(feature_fraction=0.6)}, {}, ()),
    "one column a tree": ({"draws": Draws(feature_fraction=0.1, feature_fraction_seed=5)}, {}, ()),
    "rows and columns, three classes": ({"draws": Draws(0.8, 1, 3, 0.5), "objective": Objective("multiclass", 3)}, {}, ()),
    "scale_pos_weight": ({"objective": Objective("binary", scale_pos_weight=3.5)}, {}, ()),
    "monotone": ({}, MONOTONE, ()),
    "monotone, L1 and L2": ({"rules": SplitRules(0.5, 1.5)}, MONOTONE, ()),
    "categorical": ({"n_estimators": 12}, {}, (1, 8, 9)),
    "categorical, small groups": (
        {"rules": SplitRules(min_data_in_leaf=5, categories=CategoryRules(2.0, 1.0, 8, 2, 10))}, {}, (1, 6, 8, 9),
    ),
    "all at once": (
        {"draws": Draws(0.75, 1, 3, 0.7), "objective": Objective("binary", scale_pos_weight=0.5)}, MONOTONE, (1, 8, 9),
    ),
}  # fmt: skip


def table_of(problem, n_rows, seed):
    """The usual columns, of which 1 is made a category, and two categories more: many rare values, and few."""
    values, _, score = problem(n_rows, seed)
    rng = np.random.default_rng([seed, 9])
    values[:, 1] += 3
    many = np.minimum(rng.geometric(0.08, n_rows), 60) * 7.0
    few = np.where(rng.random(n_rows) < 0.1, np.nan, rng.integers(0, 3, n_rows))
    effect = rng.normal(size=500)
    score = score + 2 * effect[many.astype(int)] + np.where(few == 1, 1.5, 0.0)
    return np.column_stack([values, many, few]), (rng.random(n_rows) < 1 / (1 + np.exp(-score))).astype(float), score


def trained(values, labels, config, monotone, categorical, split=4, **more):
    """Both parties on a table whose columns are declared."""
    names = [f"c{i}" for i in range(values.shape[1])]

    def table(columns):
        kept = [names[i] for i in columns]
        return Table(values[:, columns], tuple(kept), tuple(map(str, range(len(values)))),
                     monotone={names[i]: way for i, way in monotone.items() if i in columns},
                     categorical=tuple(names[i] for i in categorical if i in columns))  # fmt: skip

    party = FeatureParty(table(range(split, len(names))), FeaturePolicy(allow_plain=True, allow_toy=True, open_cells=10_000))
    label = LabelParty(table(range(split)), labels, config, LocalChannel(party), **more)
    half = label.train()
    party.close()
    return half, party.half(label.run)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_every_split_equals_lightgbm(option, problem, quick):
    changes, monotone, categorical = OPTIONS[option]
    values, labels, score = table_of(problem, 1500, sorted(OPTIONS).index(option))
    config = quick(**({"n_estimators": 6, "growth": GrowthConfig(15), "bins": BinConfig(63)} | changes))
    if config.objective.name == "multiclass":
        labels = np.digitize(score, np.quantile(score, [0.3, 0.7])).astype(float)
    half, other = trained(values, labels, config, monotone, categorical)
    found = compare(half, other, reference_model(values, labels, config, None, monotone, categorical), values)
    assert found.splits >= 30
    assert found.mismatches == 0
    assert found.largest_difference < 1e-12
    if categorical:
        assert any(any(tree.categories) for tree in half.trees)


def test_columns_are_drawn_as_by_lightgbms_own_objective(problem):
    """The reference above has a custom objective; here LightGBM's own trees name the columns it drew."""
    import re

    values, labels, _ = problem(400, 0)
    draws = Draws(feature_fraction=0.4, feature_fraction_seed=11)
    settings = {"objective": "binary", "feature_fraction": 0.4, "feature_fraction_seed": 11, "min_data_in_leaf": 1,
                "num_leaves": 31, "verbose": -1, "num_threads": 1}  # fmt: skip
    text = lightgbm.train(settings, lightgbm.Dataset(values, labels), 12).model_to_string()
    columns = ColumnDraws(draws, np.ones(8, dtype=bool))
    used = [{int(word) for word in found.split()} for found in re.findall("split_feature=(.*)", text)]
    drawn = [set(np.flatnonzero(columns.of(tree)).tolist()) for tree in range(12)]
    assert all(one <= other and len(other) == 3 for one, other in zip(used, drawn, strict=True))
    assert len(set(map(frozenset, drawn))) > 4
    assert set(np.flatnonzero(columns.of(3)).tolist()) == drawn[3]  # a tree that is begun again


def test_scale_pos_weight_is_that_of_lightgbms_own_objective(problem, pair, quick):
    values, labels, _ = problem(900, 4)
    config = quick(n_estimators=1, objective=Objective("binary", scale_pos_weight=5.0))
    done = pair(values, labels, config)
    settings = lightgbm_settings(config) | {"objective": "binary", "scale_pos_weight": 5.0}
    native = np.asarray(lightgbm.train(settings, lightgbm.Dataset(values, labels), 1).predict(values, raw_score=True))
    ours = lightgbm.Booster(model_str=to_lightgbm_text(done.half, done.other, consent=True)).predict(values, raw_score=True)
    assert np.abs(np.asarray(ours) - native).max() < 1e-6
    plain = quick(n_estimators=1)
    assert np.abs(np.asarray(pair(values, labels, plain).half.trees[0].value) - done.half.trees[0].value).max() > 0.01


@pytest.mark.parametrize("hidden", [False, True])
def test_categories_are_split_under_encryption_and_unseen_ones_go_right(problem, quick, hidden):
    values, labels, _ = table_of(problem, 500, 3)
    rules = SplitRules(min_data_in_leaf=5, categories=CategoryRules(2.0, 1.0, 8, 2, 10))
    config = quick(encryption="toy", n_estimators=3, rules=rules, hide_instances=hidden, spot_checks=3)
    half, other = trained(values, labels, config, {}, (1, 8, 9))
    assert any(split.categories for split in other.splits)
    fresh = values.copy()
    fresh[::3, 8], fresh[1::3, 8], fresh[::5, 1] = 1234.0, np.nan, -3.0
    booster = lightgbm.Booster(model_str=to_lightgbm_text(half, other, consent=True))
    expected = np.asarray(booster.predict(fresh, raw_score=True))
    read = [type(one).from_dict(json.loads(json.dumps(one.to_dict()))) for one in (half, other)]
    for mine, theirs in ((half, other), read):
        assert np.array_equal(mine.scores(fresh[:, :4], theirs.decide(fresh[:, 4:]))[0], expected)


def test_constrained_predictions_rise_and_fall(problem, quick):
    values, _, _ = problem(800, 1)
    score = values[:, 0] + 1.5 * np.sin(4 * values[:, 0]) - values[:, 4] + values[:, 6]
    labels = (score + np.random.default_rng(0).normal(size=800) > 0).astype(float)

    def steps(monotone, column):
        half, other = trained(values, labels, quick(n_estimators=8), monotone, ())
        booster = lightgbm.Booster(model_str=to_lightgbm_text(half, other, consent=True))
        moved = np.repeat(values[:40], 30, axis=0)
        moved[:, column] = np.tile(np.linspace(-3, 3, 30), 40)
        return np.diff(np.asarray(booster.predict(moved, raw_score=True)).reshape(40, 30), axis=1)

    for column, way in MONOTONE.items():
        found = way * steps(MONOTONE, column)
        assert found.min() >= 0
        assert found.max() > 0
    assert steps({}, 0).min() < 0


@pytest.mark.parametrize("metric", ["auc", "error", "function"])
def test_early_stopping_watches_the_asked_metric(metric, problem, quick):
    """The kept trees are those whose metric, measured on the exported model, is best for the first time."""
    values, labels, _ = table_of(problem, 700, 6)
    config = quick(n_estimators=25, validation_fraction=0.3, early_stopping_rounds=4, learning_rate=0.8,
                   metric="loss" if metric == "function" else metric)  # fmt: skip
    given = (lambda y, p, w: float(((y - p[0]) ** 2).mean())) if metric == "function" else None
    half, other = trained(values, labels, config, {}, (), metric=given)
    held = held_out(len(values), config)
    booster = lightgbm.Booster(model_str=to_lightgbm_text(half, other, consent=True))
    y, found = labels[held], []
    for count in range(1, len(half.trees) + 1):
        raw = np.asarray(booster.predict(values[held], raw_score=True, num_iteration=count))
        if metric == "auc":
            pairs = np.subtract.outer(raw[y == 1], raw[y == 0])
            found.append(1 - ((pairs > 0).mean() + (pairs == 0).mean() / 2))
        else:
            found.append(((y - 1 / (1 + np.exp(-raw))) ** 2).mean() if given else ((raw > 0) != y).mean())
    assert np.allclose(half.history[: len(found)], found, atol=1e-12)
    assert len(half.trees) == int(np.argmin(half.history)) + 1
    assert len(half.history) < 25


def test_a_resumed_run_draws_what_an_uninterrupted_one_does(problem, quick, tmp_path):
    values, labels, _ = problem(1300, 2)
    config = quick(n_estimators=5, draws=Draws(0.6, 2, 3, 0.5))
    whole, _ = trained(values, labels, config, {}, ())
    party = FeatureParty(Table.of(values[:, 4:]), FeaturePolicy(allow_plain=True), state=tmp_path / "b")

    def run(stop):
        def on_tree(report):
            if report.tree == stop:
                raise KeyboardInterrupt

        table = Table.of(values[:, :4])
        return LabelParty(table, labels, config, LocalChannel(party), state=tmp_path / "a", on_tree=on_tree).train()

    with pytest.raises(KeyboardInterrupt):
        run(2)
    assert [tree.to_dict() for tree in run(None).trees] == [tree.to_dict() for tree in whole.trees]


REFUSED = {
    "two ways to draw rows": (lambda quick: quick(row_fraction=0.5, draws=Draws(0.5)), "draw rows; use one"),
    "columns of local trees": (lambda quick: quick(first_local_trees=1, draws=Draws(feature_fraction=0.5)), "does not go"),
    "no rows": (lambda quick: Draws(0.0), "bagging_fraction is 0.0"),
    "no frequency": (lambda quick: Draws(0.5, 0), "bagging_freq is 0"),
    "weights of classes": (lambda quick: Objective("multiclass", 3, 2.0), "for binary only"),
    "AUC of a regression": (lambda quick: quick(objective=Objective("regression"), metric="auc"), "is not defined for"),
    "an unknown metric": (lambda quick: quick(metric="f1"), "metric 'f1' is unknown"),
    "a column that is not there": (lambda quick: declared(categorical=("x",)), "no column 'x'"),
    "both kinds": (lambda quick: declared(monotone={"c0": 1}, categorical=("c0",)), "declared categorical and monotone"),
    "half a direction": (lambda quick: declared(monotone={"c0": 2}), "monotone with 1 "),
    "half a category": (lambda quick: declared(categorical=("c0",)).bin(BinConfig()), "must be whole numbers"),
    "zeros that are missing": (
        lambda quick: declared(categorical=("c0",)).bin(BinConfig(zero_as_missing=True)), "does not go with categorical",
    ),
    "merged categories": (
        lambda quick: FeatureParty(declared(categorical=("c0",)), FeaturePolicy(min_bin_rows=5)), "have no neighbours",
    ),
    "refitted constraints": (
        lambda quick: LabelParty(declared(monotone={"c0": 1}), np.eye(5)[0], quick(row_fraction=0.5), None), "refit_leaves",
    ),
    "rules of categories": (lambda quick: CategoryRules(min_data_per_group=0), "min_data_per_group is 0"),
}  # fmt: skip


def declared(**more):
    return Table(np.arange(5)[:, None] / 2, ("c0",), tuple("abcde"), **more)


@pytest.mark.parametrize("what", REFUSED, ids=str)
def test_what_does_not_go_together_is_one_sentence(what, quick):
    make, sentence = REFUSED[what]
    with pytest.raises(SecureGBMError, match=sentence):
        make(quick)


@pytest.mark.parametrize("named", [[], [3, 3], [60]], ids=["none", "twice", "not there"])
def test_categories_that_a_column_does_not_have_are_refused(named, problem, quick, monkeypatch):
    values, labels, _ = table_of(problem, 400, 5)
    real = Conversation.ask

    def ask(self, kind, tree=-1, node=-1, fields=None, parts=None):
        if kind == Kind.SPLIT:
            fields = {name: value for name, value in fields.items() if name != "categories"}
            fields |= {"feature": 4, "threshold": 0} | ({"categories": named} if named else {})
        return real(self, kind, tree, node, fields, parts)

    monkeypatch.setattr(Conversation, "ask", ask)
    with pytest.raises(SecureGBMError, match="names categories that its column does not have"):
        trained(values, labels, quick(), {}, (8,))
