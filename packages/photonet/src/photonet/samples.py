"""Photographs that come with scikit-image and scikit-learn: for the demo, the claims and the tests, without a download."""

import numpy as np
from torch import Tensor

from paperkit.errors import InputError
from paperkit.style.images import fit, from_uint8

PHOTOGRAPHS = ("china", "flower", "astronaut", "chelsea", "coffee", "rocket", "motorcycle", "retina", "hubble")
PAIRS = (("china", "coffee"), ("astronaut", "flower"), ("chelsea", "rocket"), ("motorcycle", "china"))
"""Contents and styles whose light differs much."""

_SCIKIT_IMAGE = {"hubble": "hubble_deep_field", "motorcycle": "stereo_motorcycle"}


def photograph(name: str, longest: int = 512) -> Tensor:
    """One of :data:`PHOTOGRAPHS`, ``(3, height, width)`` in [0, 1], shrunk to a longer side.

    Raises:
        InputError: No such photograph.
    """
    if name not in PHOTOGRAPHS:
        raise InputError(f"there is no photograph {name!r}: expected one of {', '.join(PHOTOGRAPHS)}")
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(f"{name}.jpg")
    else:
        from skimage import data

        pixels = getattr(data, _SCIKIT_IMAGE.get(name, name))()
        pixels = pixels[0] if isinstance(pixels, tuple) else pixels
    return fit(from_uint8(np.ascontiguousarray(pixels[:, :, :3])), longest)
