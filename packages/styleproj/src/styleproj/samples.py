"""Photographs that come with scikit-image and scikit-learn: for the demo, the claims and the tests, without a download."""

import numpy as np
from torch import Tensor

from paperkit.errors import InputError
from paperkit.style.images import fit, from_uint8, resize

CONTENTS = ("astronaut", "chelsea", "china", "rocket", "motorcycle")
STYLES = ("ihc", "flower", "retina", "coffee", "hubble")


def photograph(name: str, longest: int = 512) -> Tensor:
    """One of :data:`CONTENTS` or :data:`STYLES`, ``(3, height, width)`` in [0, 1].

    Raises:
        InputError: No such photograph.
    """
    if name not in (*CONTENTS, *STYLES):
        raise InputError(f"there is no photograph {name!r}: expected one of {', '.join((*CONTENTS, *STYLES))}")
    if name in ("china", "flower"):
        from sklearn.datasets import load_sample_image

        pixels = load_sample_image(f"{name}.jpg")
    else:
        from skimage import data

        files = {"ihc": "immunohistochemistry", "hubble": "hubble_deep_field", "motorcycle": "stereo_motorcycle"}
        pixels = getattr(data, files.get(name, name))()
        pixels = pixels[0] if isinstance(pixels, tuple) else pixels
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, 2)
    return fit(from_uint8(np.ascontiguousarray(pixels[:, :, :3])), longest)


def square(image: Tensor, side: int) -> Tensor:
    """The middle of a picture as a square of ``side`` pixels."""
    height, width = image.shape[-2:]
    n = min(height, width)
    top, left = (height - n) // 2, (width - n) // 2
    return resize(image[:, top : top + n, left : left + n], side, side)
