import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claimkit.errors import InputError
from stylenas.front import hypervolume, non_dominated

points = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=15)


@given(points)
def test_the_front_is_what_the_definition_says(p):
    x = np.array(p, float)

    def dominated(i):
        return any((x[j] <= x[i]).all() and ((x[j] < x[i]).any() or j < i) for j in range(len(x)) if j != i)

    assert non_dominated(x).tolist() == [i for i in range(len(x)) if not dominated(i)]


@given(points)
def test_the_hypervolume_is_the_area_counted_by_cells(p):
    cells = sum(any(a <= i and b <= j for a, b in p) for i in range(7) for j in range(7))
    assert hypervolume(p, (7, 7)) == cells


@given(points, st.tuples(st.integers(0, 6), st.integers(0, 6)))
def test_another_point_never_makes_the_area_smaller(p, q):
    assert hypervolume([*p, q], (7, 7)) >= hypervolume(p, (7, 7))


def test_refuses_points_that_are_none():
    with pytest.raises(InputError):
        non_dominated([[1, np.nan]])
    with pytest.raises(InputError):
        hypervolume([[1, 2, 3]], (1, 2, 3))
    with pytest.raises(InputError, match="is no point"):
        hypervolume([[1, 2]], (math.nan, 3))
