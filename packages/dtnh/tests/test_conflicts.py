"""What is kept of the conflicts, and when it is read."""

import csv

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from claimkit.errors import InputError
from dtnh.guard.conflicts import COLUMNS, PACKED, Conflicts
from dtnh.guard.projection import Info, project


def step(cos):
    return project([torch.tensor([1.0, 0.0])], [torch.tensor([cos, (1 - cos**2) ** 0.5])])[1]


def test_adding_reads_nothing(monkeypatch):
    monkeypatch.setattr("dtnh.guard.conflicts.PACKED", 4)
    with FakeTensorMode():
        conflicts = Conflicts()
        for _ in range(5):
            conflicts.add(project([torch.randn(2)], [torch.randn(2)])[1])
        assert len(conflicts) == 5


def test_the_table_is_what_happened(tmp_path):
    conflicts = Conflicts()
    cosines = [(-1) ** i * (i % 7 + 1) / 10 for i in range(PACKED + 5)]
    for cos in cosines:
        conflicts.add(step(cos))
    table = conflicts.table()
    assert table.shape == (PACKED + 5, len(COLUMNS))
    assert np.allclose(table[:, 0], cosines, atol=1e-6)
    assert np.array_equal(table[:, 1], np.array(cosines) < 0)
    assert np.allclose(table[:, 2], np.maximum(0, -np.array(cosines)), atol=1e-6)
    assert conflicts.rate == pytest.approx(np.mean(np.array(cosines) < 0)) and conflicts.rates == {
        "0": pytest.approx(conflicts.rate)
    }
    conflicts.to_csv(tmp_path / "c.csv")
    rows = list(csv.reader((tmp_path / "c.csv").read_text().splitlines()))
    assert rows[0] == ["step", *COLUMNS] and len(rows) == PACKED + 6 and float(rows[2][1]) == pytest.approx(-0.2, abs=1e-5)
    conflicts.plot(tmp_path / "c.png", "title")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_groups_are_averaged_and_their_rates_kept():
    conflicts = Conflicts(["a", "b"])
    two = torch.tensor([True, False])
    ones = torch.ones(2)
    conflicts.add(Info(torch.tensor([-0.5, 0.5]), two, torch.tensor([0.5, 0.0]), 3 * ones, 4 * ones, ones))
    assert conflicts.rate == 0.5 and conflicts.rates == {"a": 1, "b": 0}
    assert conflicts.table()[0] == pytest.approx([0, 0.5, 0.25, 3 * 2**0.5, 4 * 2**0.5, 2**0.5])


def test_before_the_first_step(tmp_path):
    conflicts = Conflicts()
    assert len(conflicts) == 0 and np.isnan(conflicts.rate) and conflicts.table().shape == (0, 6)
    with pytest.raises(InputError, match="no step yet"):
        conflicts.plot(tmp_path / "c.png")
