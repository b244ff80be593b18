"""What columns add to a score, and how much they are used: each side as far as it may know."""

import lightgbm
import numpy as np
import pytest
from test_options import table_of, trained

from securegbm.errors import SecureGBMError
from securegbm.label_party.predict import Predictor
from securegbm.model.contributions import contributions
from securegbm.model.export import to_lightgbm_text
from securegbm.tables.table import Table
from securegbm.trees.growth import GrowthConfig
from securegbm.trees.objectives import Objective
from securegbm.trees.rules import SplitRules


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_contributions_are_lightgbms_of_the_joint_model(kind, problem, quick):
    values, labels, score = table_of(problem, 600, 4)
    if kind == "multiclass":
        labels = np.digitize(score, np.quantile(score, [0.3, 0.7])).astype(float)
    objective = Objective(kind, 3 if kind == "multiclass" else 1)
    config = quick(objective=objective, growth=GrowthConfig(15), rules=SplitRules(min_data_in_leaf=5))
    half, other = trained(values, score if kind == "regression" else labels, config, {}, (8, 9))
    shown = values[:40].copy()
    shown[::4, 5] = np.nan
    booster = lightgbm.Booster(model_str=to_lightgbm_text(half, other, consent=True))
    expected = np.asarray(booster.predict(shown, pred_contrib=True)).reshape(40, -1, 11).transpose(1, 0, 2)
    found = contributions(half, shown[:, :4], other.decide(shown[:, 4:]))
    assert max(len(set(tree.feature)) for tree in half.trees) > 4
    assert any(len(set(tree.feature)) < tree.num_nodes for tree in half.trees)
    assert np.allclose(found, expected, atol=1e-10)
    assert np.allclose(found.sum(axis=2), half.scores(shown[:, :4], other.decide(shown[:, 4:])), atol=1e-10)


def test_contributions_over_the_protocol_name_no_column_of_the_other_side(problem, pair, quick, key):
    values, labels, _ = problem(300, 1)
    done = pair(values, labels, quick())
    table = Table.of(values[:, :4], list(done.label.table.names))
    predictor = Predictor(done.half, done.channel, key)
    found = predictor.contributions(table)
    assert np.array_equal(found, contributions(done.half, values[:, :4], done.other.decide(values[:, 4:])))
    assert done.half.all_names == ["a0", "a1", "a2", "a3", *(f"feature party #{i}" for i in range(4))]
    with pytest.raises(SecureGBMError, match="need every decision"):
        Predictor(done.half, done.channel, key, path_only=True).contributions(table)


def test_each_side_knows_its_share_of_the_importances(problem, pair, quick):
    values, labels, _ = problem(500, 3)
    done = pair(values, labels, quick(n_estimators=5))
    booster = lightgbm.Booster(model_str=to_lightgbm_text(done.half, done.other, consent=True))
    splits, gains = booster.feature_importance("split"), booster.feature_importance("gain")
    known, theirs = done.half.importance(), done.other.importance()
    for at, name in enumerate(done.half.all_names):
        assert known["splits"].get(name, 0) == splits[at]
        assert known["gain"].get(name, 0.0) == pytest.approx(gains[at], rel=1e-6)
    assert theirs == {f"b{i}": splits[4 + i] for i in range(4) if splits[4 + i]}
    assert list(theirs.values()) == sorted(theirs.values(), reverse=True)
