"""Maps of labels in files: the values that are there, not a picture made of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from claimkit.errors import InputError
from claimkit.media.depth.values import read_values
from claimkit.media.reading import read_picture
from claimkit.style.images import image_files, resize


@dataclass(frozen=True)
class Map:
    """What a file says.

    Attributes:
        values: ``(h, w)`` whole numbers, or ``(h, w, 3)`` colours.
        seen: ``(h, w)``, where it is opaque; None where that is everywhere.
        exact: Whether its format keeps every value as it was.
    """

    values: NDArray[np.int64]
    seen: NDArray[np.bool_] | None
    exact: bool


def read_map(path: Path) -> Map:
    """A map of one channel, or of equal channels, as whole numbers of any depth; another as colours.

    A palette's colours count, not its order, unless it has one colour twice.

    Raises:
        InputError: It cannot be read, or holds fractions.
    """
    found = read_values(path)
    numbers = found.numbers
    if not np.isfinite(numbers).all() or (numbers != np.rint(numbers)).any():
        raise InputError(f"{path} holds fractions: a segmentation is a map of whole numbers or of colours")
    values = numbers.astype(np.int64)
    if values.ndim == 3 and (values == values[..., :1]).all():
        values = values[..., 0]
    if found.indices is not None:
        indices = found.indices.astype(np.int64)
        if len(np.unique(numbers.reshape(-1, 3), axis=0)) < len(np.unique(indices)):
            values = indices
    if values.ndim == 3 and values.max() > 255:
        values = _of_eight_bits(path, values)
    return Map(values, found.seen, found.exact)


def _of_eight_bits(path: Path, colours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Colours of 16 bits as those of 8, where none are lost."""
    coarse = np.rint(colours / 257).astype(np.int64)
    if len(np.unique(coarse.reshape(-1, 3), axis=0)) < len(np.unique(colours.reshape(-1, 3), axis=0)):
        raise InputError(f"{path} has colours that only 16 bits tell apart: save numbers in a map of one channel")
    return coarse


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
