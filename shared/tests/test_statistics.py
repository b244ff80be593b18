import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from claimkit import statistics
from claimkit.errors import InputError


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_equals_statsmodels(p):
    np.testing.assert_allclose(statistics.holm(p), multipletests(p, method="holm")[1], atol=1e-12)


def test_the_interval_of_a_paired_difference_covers_it_as_often_as_it_says():
    """n = 200 data sets of 20 pairs, seed 0; coverage 0.95 within 4 standard errors (0.062) of binomial(200, 0.95)."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        shared = rng.standard_normal(20) * 10
        e = statistics.paired_difference(shared + 1 + rng.standard_normal(20), shared, "d")
        covered += e.low <= 1 <= e.high
    assert covered / 200 > 0.95 - 0.062


def test_a_constant_difference_has_an_interval_of_no_width():
    assert statistics.paired_difference([2, 3, 4], [1, 2, 3]) == statistics.mean_interval([1, 1, 1], "difference")


def test_non_inferiority_grows_with_the_margin():
    rng = np.random.default_rng(1)
    b = rng.standard_normal(30)
    a = b - 0.1 + 0.1 * rng.standard_normal(30)
    strict, generous = statistics.non_inferiority(a, b, 0.05), statistics.non_inferiority(a, b, 0.5)
    assert generous < 1e-6 < 0.05 < strict


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
