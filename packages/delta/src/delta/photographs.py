"""Crops of photographs as a data set, without a download."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from claimkit import photographs
from claimkit.transfer.data import Images, View, from_arrays

SOURCE = ("china", "astronaut", "rocket", "motorcycle", "hubble", "retina")
TARGET = ("flower", "cat", "coffee")
SIDE, CROP = 96, 32
VIEW = View(CROP, mean=(0.5,) * 3, std=(0.5,) * 3)


def photograph(name: str, side: int = SIDE) -> NDArray[np.uint8]:
    """The middle square of a photograph, ``(side, side, 3)`` in 0..255."""
    from PIL import Image

    picture = photographs.photograph("chelsea" if name == "cat" else name)
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    square = Image.fromarray(picture[top : top + edge, left : left + edge])
    return np.asarray(square.resize((side, side), Image.Resampling.LANCZOS))


def crops(names: Sequence[str], each: int, seed: int) -> Images:
    """Random crops of ``CROP + 4`` pixels of photographs, labelled by the photograph they are from."""
    generator = torch.Generator().manual_seed(seed)
    size = CROP + 4
    cut: list[NDArray[np.uint8]] = []
    for name in names:
        whole = photograph(name)
        for top, left in torch.randint(SIDE - size + 1, (each, 2), generator=generator).tolist():
            cut.append(whole[top : top + size, left : left + size])
    return from_arrays(np.stack(cut), np.repeat(np.arange(len(names)), each), names, "crops of photographs")
