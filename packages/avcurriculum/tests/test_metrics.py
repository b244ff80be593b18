"""Measures by hand, and separation against mir_eval."""

import warnings

import numpy as np
import pytest

from avcurriculum import metrics
from claimkit.errors import InputError

RNG = np.random.default_rng(0)


def test_consensus_map_and_ciou_by_hand():
    g = metrics.consensus_map([[[0, 0, 2, 2]], [[1, 0, 3, 2]]], 4, 4)
    assert g.tolist() == [[0.5, 1, 0.5, 0]] * 2 + [[0.0] * 4] * 2
    predicted = np.zeros((4, 4), bool)
    predicted[0] = True
    assert metrics.consensus_iou(predicted, g) == pytest.approx(2 / (4 + 1))
    whole = np.ones((4, 4), bool)
    assert metrics.consensus_iou(whole, g) == pytest.approx(g.sum() / (g.sum() + (g == 0).sum()))


def test_auc_of_perfect_scores_is_one_and_of_zeros_nothing_but_the_first_threshold():
    assert metrics.auc([1.0, 1.0]) == pytest.approx(1.0)
    assert metrics.auc([0.0]) == pytest.approx(0.025)


def test_binarisations():
    m = np.array([[0.0, 1.0], [2.0, 4.0]])
    assert metrics.binarize(m, "median").tolist() == [[False, False], [True, True]]
    assert metrics.binarize(m, "fixed").tolist() == [[False, False], [False, True]]
    assert metrics.binarize(m, "max", 0.4).tolist() == [[False, False], [True, True]]
    assert metrics.binarize(np.zeros((3, 3)), "median").all()
    assert metrics.binarize(RNG.uniform(size=(9, 9)), "median").sum() == 41


def test_iou_pointing_and_nsa():
    a, b = metrics.box_mask([[0, 0, 2, 2]], 4, 4), metrics.box_mask([[1, 1, 3, 3]], 4, 4)
    assert metrics.iou(a, b) == pytest.approx(1 / 7)
    assert metrics.iou(np.zeros((2, 2), bool), np.zeros((2, 2), bool)) == 0
    m = np.zeros((4, 4))
    m[1, 1] = m[3, 3] = 1
    assert metrics.pointing_hit(m, a) == 0.5
    assert metrics.no_sounding_area([m, np.zeros((4, 4))]) == pytest.approx(1 - 2 / 32)


def test_class_aware_iou_counts_a_missing_class_as_zero():
    truth = metrics.box_mask([[0, 0, 2, 2]], 4, 4)
    assert metrics.class_aware_ciou({0: truth.astype(float)}, {0: truth, 1: truth}) == 0.5
    with pytest.raises(InputError, match="nothing sounds"):
        metrics.class_aware_ciou({}, {})


def test_ciou_without_truth_is_refused():
    with pytest.raises(InputError, match="not defined"):
        metrics.consensus_iou(np.ones((2, 2), bool), np.zeros((2, 2)))


def mixture():
    s = RNG.standard_normal((2, 6000))
    s[1] = np.convolve(s[1], np.hanning(20), "same")
    return s, s + 0.3 * RNG.standard_normal(s.shape) + 0.2 * s[::-1]


def test_bss_eval_equals_mir_eval():
    import mir_eval

    s, e = mixture()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = mir_eval.separation.bss_eval_sources(s, e, compute_permutation=False)
    np.testing.assert_allclose(metrics.bss_eval(s, e), want[:3], atol=1e-3)


def test_silent_sources_are_left_out_and_the_rest_measured():
    s, e = mixture()
    got = metrics.bss_eval(np.stack([s[0], 0 * s[0], s[1]]), np.stack([e[0], e[1], e[1]]))
    assert np.isnan(got.sdr[1]) and np.isfinite(got.sdr[[0, 2]]).all()
    np.testing.assert_allclose(got.sdr[[0, 2]], metrics.bss_eval(s, e).sdr)


def test_nsdr_of_the_mixture_is_zero_and_of_better_estimates_positive():
    s, _ = mixture()
    x = s.sum(0)
    np.testing.assert_allclose(metrics.nsdr(s, np.stack([x, x]), x), 0, atol=1e-9)
    assert (metrics.nsdr(s, s + 0.1 * x, x) > 5).all()


def test_si_sdr_ignores_scale():
    s, e = mixture()
    np.testing.assert_allclose(metrics.si_sdr(s, 5 * e), metrics.si_sdr(s, e))
    assert np.isnan(metrics.si_sdr(0 * s, e)).all()
