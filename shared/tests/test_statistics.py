import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.api import OLS, add_constant
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from claimkit import statistics
from claimkit.errors import InputError


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p):
    np.testing.assert_allclose(statistics.holm(p), multipletests(p, method="holm")[1], atol=1e-12)


SAMPLES = 2500


def coverage(x, mean, shape="symmetric"):
    """Share of the samples (rows) whose interval holds the mean."""
    low, high = statistics.interval_ends(x, shape=shape)
    return float(np.mean((low <= mean) & (mean <= high)))


@pytest.mark.parametrize("n", [2, 3, 5, 8, 10, 20])
def test_intervals_cover_what_they_say_or_are_refused(n, monkeypatch):
    """2500 samples a size, seed 1; a coverage of 0.95 has a standard error of 0.0044, the bar is 4.6 of them."""
    monkeypatch.setattr(statistics, "RESAMPLES", 1999)
    normal = np.random.default_rng(1).standard_normal((SAMPLES, n))
    wide = 0.02
    assert abs(coverage(normal, 0) - 0.95) < wide
    logs = np.log([statistics.ratio_interval(np.exp(row)).low for row in normal[:3]])
    np.testing.assert_allclose(
        logs, statistics.interval_ends(normal[:3])[0], err_msg="the interval of a ratio is of its log"
    )
    if n < statistics.FEWEST_SKEWED:
        with pytest.raises(InputError, match=f"^{n} lognormal values do not bound their mean from above: measure 5 or more"):
            statistics.mean_interval(np.exp(normal[0]), shape="lognormal")
    else:
        assert abs(coverage(np.exp(normal), np.exp(0.5), "lognormal") - 0.95) < wide
    if n >= statistics.FEW:  # moderate skew without a word about the shape
        assert abs(coverage(np.exp(normal / 2), np.exp(1 / 8)) - 0.95) < wide


def test_one_sample_and_many_have_the_same_intervals():
    x = np.random.default_rng(2).standard_normal((3, 12))
    low, high = statistics.interval_ends(x)
    for row, a, b in zip(x, low, high, strict=True):
        e = statistics.mean_interval(row)
        assert (e.value, e.low, e.high) == pytest.approx((row.mean(), a, b), rel=1e-12)


def test_few_values_have_students_interval():
    """1, 2, 3: 2 +- 4.303 / sqrt(3), from any table of t at 2 degrees of freedom."""
    e = statistics.mean_interval([1, 2, 3])
    assert (e.low, e.high) == pytest.approx((2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)), rel=1e-6)


def test_ties_leave_a_finite_interval():
    e = statistics.mean_interval([0.0] * 11 + [1.0])
    assert e.low is not None and e.high is not None
    assert e.low < 1 / 12 < e.high < 5


def test_values_that_belong_together_count_once():
    """30 pictures of 3 contents: the interval is that of three numbers, not of thirty."""
    groups = np.repeat(["c", "a", "b"], 10)
    values = np.repeat([3.0, 1.0, 2.0], 10) + np.tile([-1.0, 1.0], 15)
    means = statistics.group_means(values, groups)
    assert means.tolist() == [1.0, 2.0, 3.0]
    assert np.ptp(statistics.interval_ends(means)) > 4 * np.ptp(statistics.interval_ends(values))
    with pytest.raises(InputError, match="30 values are not 2 groups"):
        statistics.group_means(values, ["a", "b"])


def test_a_constant_difference_has_an_interval_of_no_width():
    assert statistics.paired_difference([2, 3, 4], [1, 2, 3]) == statistics.mean_interval([1, 1, 1], "difference")


def test_non_inferiority_grows_with_the_margin():
    rng = np.random.default_rng(1)
    b = rng.standard_normal(30)
    a = b - 0.1 + 0.1 * rng.standard_normal(30)
    strict, generous = statistics.non_inferiority(a, b, 0.05), statistics.non_inferiority(a, b, 0.5)
    assert generous.p < 1e-6 < 0.05 < strict.p
    assert generous.holds and not strict.holds
    assert generous.headroom.value == pytest.approx(np.mean(a - b) + 0.5)


def test_a_point_within_the_margin_is_not_enough():
    """Mean difference 0 of four pairs, spread 1: the margin 0.5 is not shown, 2 is."""
    a, b = [1.0, -1.0, 1.0, -1.0], [0.0] * 4
    assert not statistics.non_inferiority(a, b, 0.5).holds
    assert statistics.non_inferiority(a, b, 2.0).holds


def test_the_uncertainty_of_a_measured_margin_counts():
    """A quarter of a gap that is 4 on average; pair by pair it is anything from -12 to 20."""
    a, b, gap = np.zeros(4), np.array([0.1, -0.1, 0.2, -0.2]), np.array([20.0, -12.0, 18.0, -10.0])
    assert statistics.non_inferiority(a, b, gap.mean() / 4).holds
    assert not statistics.non_inferiority(a, b, gap / 4).holds


def test_inferiority_is_declared_not_inferior_as_seldom_as_the_interval_says():
    """2500 samples of 6 pairs exactly at the margin, seed 3: 2.5 % hold, within four standard errors (0.0125)."""
    difference = np.random.default_rng(3).standard_normal((SAMPLES, 6)) - 1
    low, _ = statistics.interval_ends(difference + 1)
    assert abs(np.mean(low > 0) - 0.025) < 4 * np.sqrt(0.025 * 0.975 / SAMPLES)
    row = difference[0]
    assert statistics.non_inferiority(row, np.zeros(6), 1.0).headroom.low == pytest.approx(low[0])


@pytest.mark.parametrize("n", [2, 5, 20, 64])
def test_the_smallest_effect_is_that_of_statsmodels(n):
    peer = TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8, alternative="larger" if n == 2 else "two-sided")
    ours = statistics.smallest_effect(2.0, n, confidence=0.9 if n == 2 else 0.95)
    assert ours == pytest.approx(2 * peer, rel=1e-3)


@pytest.mark.parametrize(("asks", "spread"), [(0.5, 1.0), (3.0, 1.0), (50.0, 1.0), (0.3, 5.94)])
def test_values_needed_are_the_fewest_that_see_the_effect(asks, spread):
    n = statistics.values_needed(asks, spread)
    assert statistics.smallest_effect(spread, n) <= asks
    assert n == 2 or statistics.smallest_effect(spread, n - 1) > asks
    with pytest.raises(InputError, match="a positive effect"):
        statistics.values_needed(0.0, spread)


def test_power_says_what_each_preset_sees():
    power = statistics.power(0.5, 1.0, {"small": 10, "full": 64}, "8 seeds at small", "points")
    assert power.sees == {"small": pytest.approx(0.996, abs=1e-3), "full": pytest.approx(0.356, abs=1e-3)}
    assert power.lacking("small") == "10 values see an effect of 0.996, the claim asks about 0.5: 34 are needed"
    assert power.lacking("full") is None and power.lacking("paper") is None
    assert str(power) == (
        "asks about 0.5 points; sees 0.996 at small (n 10), 0.356 at full (n 64); spread 1, 8 seeds at small"
    )
    with pytest.raises(InputError, match="measure a pilot"):
        statistics.smallest_effect(0.0, 5)


def test_the_interval_of_an_order_is_students():
    """Slope 2 with errors: statsmodels' interval of the same regression."""
    x = np.array([1.0, 2.0, 4.0, 8.0])
    y = x**2 * [1.0, 1.1, 0.95, 1.02]
    low, high = OLS(np.log(y), add_constant(np.log(x))).fit().conf_int()[1]
    e = statistics.power_law(x, y).estimate()
    assert (e.low, e.high) == pytest.approx((low, high))
    with pytest.raises(InputError, match="measure a third"):
        statistics.power_law(x[:2], y[:2]).estimate()


def test_standard_errors_count_an_effect():
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert statistics.standard_error(x) == pytest.approx(np.sqrt(5 / 3) / 2)
    assert statistics.in_standard_errors(x) == pytest.approx(2.5 / (np.sqrt(5 / 3) / 2))


@pytest.mark.parametrize("bad", [[1.0], [[1.0, 2.0]], [1.0, np.nan]])
def test_samples_that_have_no_interval_are_refused(bad):
    with pytest.raises(InputError, match="two finite values"):
        statistics.mean_interval(bad)


def test_unpaired_samples_and_empty_margins_are_refused():
    with pytest.raises(InputError, match="one shape"):
        statistics.paired_difference([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="positive"):
        statistics.non_inferiority([1, 2], [1, 2], 0)
    for bad in ([0.0, 1.0], [2.0, np.inf]):
        with pytest.raises(InputError):
            statistics.ratio_interval(bad)
    with pytest.raises(InputError, match="give shape='symmetric'"):
        statistics.mean_interval([-1.0, 1, 2, 3, 4], shape="lognormal")


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_power_law_of_values_without_a_logarithm_is_refused(bad):
    """An error of exactly zero gave a slope that is NaN, which no bound holds and no judge names."""
    with pytest.raises(InputError, match="has no logarithm"):
        statistics.power_law([1, 2, 4], [3.0, bad, 48.0])
    with pytest.raises(InputError, match="has no logarithm"):
        statistics.power_law([1, bad, 4], [3.0, 12.0, 48.0])
