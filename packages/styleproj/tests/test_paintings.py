"""Paintings that are drawn by rule."""

import numpy as np
import pytest

from claimkit.errors import InputError
from styleproj.paintings import PAINTINGS, painting


@pytest.mark.parametrize("name", PAINTINGS)
def test_a_painting_is_a_picture_and_always_the_same(name):
    once = painting(name, 72)
    assert once.shape == (72, 72, 3) and once.dtype == np.uint8
    assert np.array_equal(once, painting(name, 72))
    assert once.std() > 30


def test_paintings_differ_and_others_are_refused():
    assert len({painting(name, 40).tobytes() for name in PAINTINGS}) == len(PAINTINGS)
    with pytest.raises(InputError, match="no painting 'monet': choose from impasto"):
        painting("monet")
