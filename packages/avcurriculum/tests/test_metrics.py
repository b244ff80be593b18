"""Measures by hand, and separation against mir_eval."""

import warnings

import numpy as np
import pytest

from avcurriculum import metrics
from claimkit.errors import InputError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers():
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def test_consensus_map_and_ciou_by_hand():
    g = metrics.consensus_map([[[0, 0, 2, 2]], [[1, 0, 3, 2]]], 4, 4)
    assert g.tolist() == [[0.5, 1, 0.5, 0]] * 2 + [[0.0] * 4] * 2
    predicted = np.zeros((4, 4), bool)
    predicted[0] = True
    assert metrics.consensus_iou(predicted, g) == pytest.approx(2 / (4 + 1))
    whole = np.ones((4, 4), bool)
    assert metrics.consensus_iou(whole, g) == pytest.approx(g.sum() / (g.sum() + (g == 0).sum()))


def test_three_annotators_agree_no_more_than_two():
    box = [[0, 0, 2, 2]]
    assert [metrics.consensus_map([box] * n, 4, 4).max() for n in (1, 2, 3)] == [0.5, 1, 1]


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
    assert metrics.no_sounding_area([0.2 * m, m], 0.2) == pytest.approx(1 - 2 / 32), "at the threshold is silent"


def test_class_aware_iou_counts_a_missing_class_as_zero():
    truth = metrics.box_mask([[0, 0, 2, 2]], 4, 4)
    assert metrics.class_aware_ciou({0: truth.astype(float)}, {0: truth, 1: truth}) == 0.5
    lifted = {0: 0.6 + 0.4 * truth}  # cut at half of its maximum, not of its range: all of the sixteen pixels
    assert metrics.class_aware_ciou(lifted, {0: truth}) == 4 / 16
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
    assert np.isnan(metrics.si_sdr(1e-10 * s, e)).all() and np.isnan(metrics.si_sdr(s, 1e-10 * e)).all(), "silent as a file"


def test_median_cuts_have_the_ties_of_their_references():
    """Values that the published scripts give: at least the upper median, or strictly above it and the maximum."""
    plateau = np.array([[0.0, 0.0, 1.0], [1.0, 1.0, 1.0], [1.0, 2.0, 2.0]])
    assert metrics.binarize(plateau, "median").sum() == 7 and metrics.binarize(plateau, "strict median").sum() == 2
    top = np.array([[0.0, 1.0], [1.0, 1.0]])
    assert metrics.binarize(top, "strict median").tolist() == metrics.binarize(top, "median").tolist() == [[0, 1], [1, 1]]
    low = np.array([[0.0, 0.0], [0.0, 1.0]])
    assert metrics.binarize(low, "median").all() and metrics.binarize(low, "strict median").sum() == 1


def test_boxes_are_cut_off_and_what_is_outside_is_cut_away():
    assert metrics.box_mask([[0.9, 0.2, 2.99, 1.5]], 4, 4).nonzero() == (pytest.approx([0, 0]), pytest.approx([0, 1]))
    assert metrics.box_mask([[-5, -5, 1, 1], [3, 3, 99, 99]], 4, 4).sum() == 2
    assert not metrics.box_mask([[2, 2, 1, 3], [1e16, 0, 4, 4]], 4, 4).any()


def test_thresholds_of_the_area_are_those_of_the_references_in_floating_point():
    assert metrics.auc([0.15]) == pytest.approx(0.05 * 2.5 if 0.15 < 0.05 * 3 else 0.05 * 3.5)
    assert metrics.auc([0.5]) == pytest.approx(0.525)


def extended():
    """Six pictures, two of them negatives; the second detection is in the wrong place."""
    ciou = [0.9, 0.1, 0.8, 0.0, 0.5, 0.0]
    return metrics.detections(ciou, [0.9, 0.8, 0.7, 0.6, 0.5, 0.1], [True, True, True, False, True, False])


def test_precision_recall_f1_and_ap_by_hand():
    rows = extended()
    # right of found, and missed: 0.8: 1 of 2, 2; 0.7: 2 of 3, 1; 0.6: 2 of 4, 1; 0.5: 3 of 5, none; 0.1: 3 of 6, none
    pairs = {0.8: (1 / 2, 1 / 3), 0.7: (2 / 3, 2 / 3), 0.6: (1 / 2, 2 / 3), 0.5: (3 / 5, 1.0), 0.1: (1 / 2, 1.0)}
    for threshold, pair in pairs.items():
        assert metrics.precision_recall(rows, threshold) == pytest.approx(pair)
    assert metrics.precision_recall(rows, 1.0) == (1.0, 0.0)
    any_number = rows._replace(ciou=np.where(rows.sounding, rows.ciou, 0.9))
    assert metrics.precision_recall(any_number, 0.5) == pytest.approx(pairs[0.5]), "nothing is found where nothing sounds"
    assert metrics.max_f1(rows) == pytest.approx(2 * 0.6 / 1.6)
    # as published: best precision from here on (2/3, 2/3, 3/5, 3/5, 1/2) times the gain to the next recall (1/3, 0, 1/3, 0)
    assert metrics.average_precision(rows) == pytest.approx(2 / 3 / 3 + 3 / 5 / 3)
    late = metrics.detections([1.0, 1.0, 0.0, 1.0], [0.9, 0.8, 0.7, 0.6], [True] * 4)  # (1, 1/2), (2/3, 2/3), (3/4, 1)
    assert metrics.average_precision(late) == pytest.approx(1 * (2 / 3 - 1 / 2) + 3 / 4 * (1 - 2 / 3))
    assert metrics.localization_accuracy(rows) == pytest.approx(2 / 4), "0.5 is not above 0.5"
    with pytest.raises(InputError, match="at least one picture with a sounding thing"):
        metrics.detections([0.0], [0.0], [False])
    with pytest.raises(InputError, match="not finite"):
        metrics.detections([np.nan], [0.0], [True])


def test_ap_of_many_pictures_looks_at_every_two_hundredth_of_them():
    """Six hundred pictures: every third confidence from the second largest down, as the published script does."""
    rng = np.random.default_rng(0)
    rows = metrics.detections(rng.random(600), rng.random(600), rng.random(600) > 0.3)
    pairs = [metrics.precision_recall(rows, t) for t in np.sort(rows.confidence)[-2::-3]]
    best = [max(p for p, _ in pairs[i:]) for i in range(len(pairs))]
    want = sum(best[i] * (pairs[i + 1][1] - pairs[i][1]) for i in range(len(pairs) - 1))
    assert len(pairs) == 200 and metrics.average_precision(rows) == pytest.approx(want)


def test_f1_looks_at_tenths_as_published_or_at_every_confidence():
    n = 40
    rows = metrics.detections(np.where(np.arange(n) < 13, 1.0, 0.0), 1 - np.arange(n) / n, np.arange(n) < 13)
    assert metrics.max_f1(rows, every=True) == 1.0 and metrics.max_f1(rows) < 0.97


def test_negatives_by_value():
    maps = [np.array([[0.0, 0.2], [0.4, m]]) for m in (0.5, 0.6, 0.7, 0.8, 0.9)]
    assert metrics.universal_threshold(maps) == pytest.approx(0.8)
    assert [metrics.lit_area(m, 0.6) for m in maps] == [0, 0, 0.25, 0.25, 0.25]
    assert metrics.area_score([0.0, 0.25]) == pytest.approx(1 - 0.05 * (5 - 0.5) * 0.5)
    assert metrics.harmonic(0, 0) == 0 and metrics.harmonic(0.2, 0.8) == pytest.approx(0.32)
    assert metrics.confidence(np.arange(7.0)) == pytest.approx((5 + 6) / 2), "a quarter of seven is two, as published"


def test_interactive_pictures_count_where_every_sound_is_found():
    scores = {"a": [0.6, 0.9], "b": [0.9, 0.4], "c": [0.5, 0.5]}
    assert metrics.interactive_iou(scores) == pytest.approx(2 / 3)
    single = {k: [min(v)] for k, v in scores.items()}
    assert metrics.interactive_auc(scores) == pytest.approx(metrics.auc([s[0] for s in single.values()]))


def test_the_sweep_is_the_measure_at_every_threshold():
    m, g = RNG.uniform(size=(2, 6, 6)), (RNG.uniform(size=(2, 6, 6)) > 0.5).astype(float)
    sweep = metrics.threshold_sweep(m, g, "max", 4)
    assert list(sweep) == [0.2, 0.4, 0.6, 0.8]
    want = [metrics.consensus_iou(metrics.binarize(a, "max", 0.4), b) for a, b in zip(m, g, strict=True)]
    assert sweep[0.4] == pytest.approx((np.mean(want), metrics.success_rate(want)))
