"""The numbers of a picture's file as they stand there: maps of labels, whose values are names and not light."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from claimkit.errors import InputError
from claimkit.files import AnyPath
from claimkit.media.depth import files as deep
from claimkit.media.reading import ORIENTATION, known, named, turned

LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "HEIF", "JXL")


@dataclass(frozen=True)
class Values:
    """What a file holds, upright: nothing is scaled, managed or cut to eight bits.

    Attributes:
        numbers: ``(h, w)`` of one channel, or ``(h, w, 3)``.
        seen: ``(h, w)``, where it is at least half as opaque as anywhere; None where that is everywhere.
        indices: ``(h, w)``, a palette's own numbers; None where there is none.
        exact: Whether the format keeps every value as it was.
    """

    numbers: NDArray[Any]
    seen: NDArray[np.bool_] | None = None
    indices: NDArray[Any] | None = None
    exact: bool = True


def read_values(path: AnyPath) -> Values:
    """The numbers of a picture's file.

    Raises:
        InputError: No picture, a damaged one, a transparent one, or more bits than can be read exactly.
    """
    path = Path(path)
    form = known(path)
    with named(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pillow's own of large pictures and odd tags
        try:
            opened = Image.open(path)
        except Image.UnidentifiedImageError:
            if form != "TIFF":
                raise
            return _deep(path, deep.parted(deep.tiff_values(path)[0]), 1)  # 64 bits, or floating-point RGB
        with opened as image:
            exact, bits, spread = image.format not in LOSSY, deep.bits_of(path, image), deep.spread(path, image)
            if bits > 8:
                found = deep.parted(deep.tiff_values(path)[0]) if form == "TIFF" else deep.read_deep(path, image)
                if found is None:
                    raise InputError(f"{path} has {bits} bits a colour, which cannot be read as they are: save it as .png")
                found = _own(found[0], spread), found[1]
                return _deep(path, found, image.getexif().get(ORIENTATION, 1), exact)
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
            opacity = np.asarray(image.convert("RGBA").getchannel("A")) if image.has_transparency_data else None
            seen = _seen(path, opacity)
            if image.mode in ("1", "L", "F") or image.mode.startswith("I"):
                return Values(_own(np.asarray(image), spread), seen, exact=exact)
            indices = np.asarray(image) if image.mode == "P" else None
            return Values(_own(np.asarray(image.convert("RGB")), spread), seen, indices, exact)


def _own(numbers: NDArray[Any], spread: float) -> NDArray[Any]:
    """The file's numbers of those that were read, see :func:`claimkit.media.depth.files.spread`."""
    whole = spread != 1 and numbers.dtype.kind in "iu"
    return np.rint(numbers / spread).astype(numbers.dtype) if whole else numbers


def _deep(path: Path, found: tuple[NDArray[Any], NDArray[Any] | None], turn: int, exact: bool = True) -> Values:
    numbers, opacity = (None if a is None else turned(a, turn) for a in found)
    assert numbers is not None
    return Values(numbers, _seen(path, opacity), exact=exact)


def _seen(path: Path, opacity: NDArray[Any] | None) -> NDArray[np.bool_] | None:
    if opacity is None:
        return None
    if opacity.max() == 0:
        raise InputError(f"{path} is transparent everywhere: nothing of it can be seen")
    seen = opacity > opacity.max() / 2
    return None if seen.all() else seen
