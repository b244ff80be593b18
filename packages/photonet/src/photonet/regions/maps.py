"""Maps of labels in files: the values that are there, not a picture made of them."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from claimkit.errors import InputError
from claimkit.media.reading import read_picture
from claimkit.style.images import image_files, resize

LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")
NUMBERS = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N")


def read_map(path: Path) -> tuple[NDArray[np.int64], bool]:
    """Whole numbers (h, w) of a map of one channel or of equal channels, of any depth; else colours (h, w, 3).

    A palette's colours count, not its order, unless it has one colour twice. The second value says whether the format keeps
    every value as it was.

    Raises:
        InputError: It cannot be read, or holds fractions.
    """
    read_picture(path)  # refuses in a sentence what is no picture
    with Image.open(path) as image:
        if image.mode == "F":
            raise InputError(f"{path} holds fractions: a segmentation is a map of whole numbers or of colours")
        exact = image.format not in LOSSY
        upright = ImageOps.exif_transpose(image)
        if upright.mode in NUMBERS:
            return np.asarray(upright).astype(np.int64), exact
        if upright.mode == "P":
            indices = np.asarray(upright).astype(np.int64)
            colours = np.asarray(upright.convert("RGB")).astype(np.int64).reshape(-1, 3)
            if len(np.unique(colours, axis=0)) < len(np.unique(indices)):
                return indices, exact
        rgb = np.asarray(upright.convert("RGB")).astype(np.int64)
    return (rgb[..., 0] if (rgb == rgb[..., :1]).all() else rgb), exact


def read_masks(
    content: Path, style: Path, content_size: tuple[int, int], style_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Soft masks from two folders of grey pictures, white where a region is; equal names belong together.

    Raises:
        InputError: The names differ.
    """
    names = [{p.stem: p for p in image_files(folder)} for folder in (content, style)]
    if apart := sorted(names[0].keys() ^ names[1].keys()):
        raise InputError(f"the masks in {content} and {style} do not belong together: {apart[0]} is in one of them only")
    masks = []
    for files, size in zip(names, (content_size, style_size), strict=True):
        grey = [read_picture(files[n], managed=False).rgb.mean(0, keepdim=True) for n in sorted(files)]
        masks.append(torch.cat([resize(g, *size) for g in grey]))
    return masks[0], masks[1]
