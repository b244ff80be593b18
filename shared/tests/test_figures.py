"""Figures: their size, their axes, and files that are whole or absent."""

import numpy as np
import pytest
from PIL import Image

from claimkit.figures import figure, save


def test_axes_have_the_size_that_was_asked_for(tmp_path):
    canvas, axes = figure(2, 3, (1.5, 1.0), dpi=100)
    assert axes.shape == (2, 3)
    save(canvas, tmp_path / "six.png")
    with Image.open(tmp_path / "six.png") as picture:
        assert picture.size == (450, 200)


def test_one_axes_is_no_array_unless_that_is_asked_for():
    assert not isinstance(figure()[1], np.ndarray)
    assert figure(squeeze=False)[1].shape == (1, 1)


def test_a_file_is_kept_when_its_figure_cannot_be_drawn(tmp_path):
    canvas, axis = figure()
    save(canvas, tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    axis.set_title("$\\no such command$")
    with pytest.raises(ValueError, match="no such command"):
        save(canvas, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before and len(list(tmp_path.iterdir())) == 1
