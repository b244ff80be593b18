"""The table has the features of the published log that its docstring names."""

import numpy as np
import pytest

from claimkit.errors import InputError
from stylenas.objective import Objective
from stylenas.search.race import race
from stylenas.table import Table

OBJECTIVE = Objective.parse("quality + 0.1*operators")


def test_shape_of_the_published_log():
    rng = np.random.default_rng(0)
    means, ends, ones = [], [], []
    for seed in range(3):
        table = Table(seed)
        genomes = ["".join(map(str, rng.integers(0, 2, 31))) for _ in range(100)]
        means.append(np.mean([OBJECTIVE.of(table.evaluate(g)) for g in genomes]))
        course = race(table, OBJECTIVE, 200, ["evolution"], seed)["evolution"]
        ends.append(course.best[-1])
        ones.append(np.mean([p[0] for p in course.points[150:]]))
    assert abs(np.mean(means) - 0.158) < 0.025
    assert 0.04 < np.mean(ends) < 0.09
    assert np.mean(ones) < 0.4


def test_values_are_a_function_of_seed_and_genome():
    g = "01" * 15 + "1"
    assert Table(3).evaluate(g) == Table(3).evaluate(g) != Table(4).evaluate(g)
    assert Table(3, noise=0).evaluate("0" * 31)["macs"] == 0
    assert Table(3).evaluate("1" * 31)["macs"] == pytest.approx(1)


def test_without_noise_a_single_flip_changes_what_its_penalties_say():
    table, g = Table(5, noise=0), "0" * 31
    for i in range(31):
        flipped = g[:i] + "1" + g[i + 1 :]
        change = table.evaluate(flipped)["quality"] - table.evaluate(g)["quality"]
        expected = table.single[1, i] - table.single[0, i] + table.pairs[i].sum() + table.pairs[:, i].sum()
        assert change == pytest.approx(expected)


def test_refuses_a_table_that_is_none():
    with pytest.raises(InputError, match="at least 8"):
        Table(bits=3)
