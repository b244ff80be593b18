"""Photographs for the demo, the claims and the tests, without a download."""

from torch import Tensor

from claimkit import photographs
from claimkit.style.images import fit, from_uint8, resize

CONTENTS = ("astronaut", "chelsea", "china", "rocket", "motorcycle")
STYLES = ("ihc", "flower", "retina", "coffee", "hubble")


def photograph(name: str, longest: int = 512) -> Tensor:
    """One of :data:`CONTENTS` or :data:`STYLES`, ``(3, height, width)`` in [0, 1], shrunk to a longer side.

    Raises:
        InputError: No such photograph.
    """
    return fit(from_uint8(photographs.photograph(name)), longest)


def square(image: Tensor, side: int) -> Tensor:
    """The middle of a picture as a square of ``side`` pixels."""
    height, width = image.shape[-2:]
    n = min(height, width)
    top, left = (height - n) // 2, (width - n) // 2
    return resize(image[:, top : top + n, left : left + n], side, side)
