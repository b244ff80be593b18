"""Photographs for the demo, the claims and the tests, without a download."""

from torch import Tensor

from claimkit import photographs
from claimkit.style.images import fit, from_uint8

PAIRS = (("china", "coffee"), ("astronaut", "flower"), ("chelsea", "rocket"), ("motorcycle", "china"))
"""Contents and styles whose light differs much."""


def photograph(name: str, longest: int = 512) -> Tensor:
    """One of :data:`claimkit.photographs.PHOTOGRAPHS`, ``(3, height, width)`` in [0, 1], shrunk to a longer side.

    Raises:
        InputError: No such photograph.
    """
    return fit(from_uint8(photographs.photograph(name)), longest)
