"""The estimators keep scikit-learn's contract."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.utils.estimator_checks import parametrize_with_checks

from securegbm.errors import SecureGBMError
from securegbm.estimators import SecureGBMClassifier, SecureGBMRegressor

QUICK = {"n_estimators": 8, "learning_rate": 0.4, "encryption": "none", "min_data_in_leaf": 2, "num_leaves": 15}
EXCEPTIONS = {
    "check_sample_weight_equivalence_on_dense_data": "bins and leaf sizes count rows, not weights, as in LightGBM",
}


@parametrize_with_checks(
    [SecureGBMClassifier(**QUICK), SecureGBMRegressor(**QUICK)], expected_failed_checks=lambda _: EXCEPTIONS
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning", "ignore:Can't check dok sparse matrix")
def test_scikit_learns_checks(estimator, check):
    """All of scikit-learn's check_estimator, one check a test: a check raises where the contract is broken."""
    check(estimator)


def test_encrypted_and_plain_estimators_agree():
    values, labels = load_breast_cancer(return_X_y=True)
    quick = SecureGBMClassifier(n_estimators=2, num_leaves=4, max_bin=15, encryption="none")
    plain = quick.fit(values[:200], labels[:200]).predict_proba(values)
    hidden = clone(quick).set_params(encryption="standard").fit(values[:200], labels[:200])
    assert np.array_equal(hidden.predict_proba(values), plain)
    assert sum(report.bytes_sent for report in hidden.tree_reports_) > 500_000


def test_columns_of_the_feature_party():
    values, labels = load_breast_cancer(return_X_y=True)
    model = SecureGBMClassifier([0, 2, -1 % 30], n_estimators=2, encryption="none").fit(values, labels)
    assert model.feature_party_columns_ == [[0, 2, 29]]
    assert len(model.own_columns_) == 27
    with pytest.raises(SecureGBMError, match="hold 40; the data has columns 0 to 29"):
        SecureGBMClassifier([40], encryption="none").fit(values, labels)


@pytest.mark.parametrize("encryption", ["none", "toy"])
def test_several_feature_parties_grow_the_trees_of_one(encryption):
    values, labels = load_breast_cancer(return_X_y=True)
    one = SecureGBMClassifier(range(10, 30), n_estimators=3, num_leaves=6, max_bin=15, encryption=encryption)
    alone = one.fit(values[:300], labels[:300])
    three = clone(one).set_params(feature_party_columns=[range(10, 20), [20], range(21, 30)]).fit(values[:300], labels[:300])
    assert np.array_equal(three.predict_proba(values), alone.predict_proba(values))
    used = [len(half.splits) for half in three.feature_halves_]
    assert sum(used) == len(alone.feature_halves_[0].splits) and sum(count > 0 for count in used) > 1
    assert set(three.label_half_.importance()["by_party"]) == {"label", "party 1", "party 2", "party 3"}


def test_a_party_without_anything_to_say_is_left_out():
    values, labels = load_breast_cancer(return_X_y=True)
    values[:, 5] = 1.0
    model = SecureGBMClassifier([[5], [], [6, 7]], n_estimators=2, encryption="none").fit(values, labels)
    assert model.feature_party_columns_ == [[6, 7]] and len(model.own_columns_) == 27


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ([[1, 2], [2, 3]], "hold column 2"),
        ([1, [2, 3]], "mix columns and lists"),
        ([[1], [-1]], "hold -1"),
        ([False] * 10 + [True] * 20, "hold False; give numbers of columns"),
        (np.arange(30) > 9, r"hold (np\.)?False_?; give numbers of columns"),
        ([2.7], "hold 2.7; give numbers of columns"),
        (["worst area"], "hold 'worst area'.* but the data has no column names"),
    ],
)
def test_columns_that_cannot_be_dealt_out_are_one_sentence(columns, sentence):
    values, labels = load_breast_cancer(return_X_y=True)
    with pytest.raises(SecureGBMError, match=sentence):
        SecureGBMClassifier(columns, encryption="none").fit(values, labels)


def test_a_frame_names_its_columns():
    frame, labels = load_breast_cancer(return_X_y=True, as_frame=True)
    frame = frame.rename(columns={"mean area": "Fläche"})
    named = SecureGBMClassifier(["worst area", "Fläche"], n_estimators=2, encryption="none").fit(frame, labels)
    assert named.feature_party_columns_ == [[3, 23]]
    with pytest.raises(SecureGBMError, match=r"hold 'mean area'; .* one of the names mean radius, mean texture"):
        clone(named).set_params(feature_party_columns=["mean area"]).fit(frame, labels)


def test_columns_of_a_frame_that_are_no_numbers_are_named():
    frame, labels = load_breast_cancer(return_X_y=True, as_frame=True)
    frame["Stadt"] = pd.Categorical(np.where(labels, "Köln", "Bonn"))
    frame["seen"] = pd.Timestamp("2020-02-29")
    frame["code"] = pd.Categorical(np.arange(len(labels)) % 3)
    with pytest.raises(SecureGBMError, match=r"'Stadt' \(category\), 'seen' \(datetime64.*\), 'code' \(category\); give"):
        SecureGBMClassifier(encryption="none").fit(frame, labels)
    whole = frame.iloc[:, :30].assign(**{"mean area": pd.array(frame["mean area"], dtype="Float64")})
    model = SecureGBMClassifier(n_estimators=1, encryption="none").fit(whole, labels)
    with pytest.raises(SecureGBMError, match="'mean radius' "):
        model.predict(whole.assign(**{"mean radius": pd.Timestamp("2020-02-29")}))
