"""A picture with its meaning: colour space, depth, transparency and metadata; shrunk by area, and written."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from claimkit.errors import InputError
from claimkit.files import AnyPath, atomic_path
from claimkit.media.colour.icc import srgb
from claimkit.media.colour.profiles import is_srgb
from claimkit.media.depth import files as deep
from claimkit.media.depth.levels import like, resized, to_bits, unit
from claimkit.media.metadata import Metadata
from claimkit.media.policy import PLUGGED, has_plugin, missing

if TYPE_CHECKING:
    from torch import Tensor

ALPHA = ("PNG", "WEBP", "TIFF", "AVIF", "HEIF", "JXL", "JPEG2000", "GIF")
DEEP = {"PNG": deep.write_png, "TIFF": deep.write_tiff}


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        pixels: ``(h, w, 3)`` bytes, 16-bit whole numbers, or floating-point values in [0, 1], upright.
        opacity: ``(h, w)`` of the same type where the file says it: 0 is transparent.
        profile: ICC profile of the space that the pixels are in; None is sRGB.
        metadata: What else the file said.
        size: Width and height of the file, upright, where the pixels were shrunk while reading.
        notes: What could not be kept or had to be guessed, a sentence each.
        depth: Bits a channel of the file: 8, 16 or 32; those of the pixels where nothing else is said.
    """

    pixels: NDArray[Any]
    opacity: NDArray[Any] | None = None
    profile: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)
    size: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = ()
    depth: int = 0

    def __post_init__(self) -> None:
        """Size and depth of the file are those of the pixels where nothing else is said."""
        if self.size == (0, 0):
            object.__setattr__(self, "size", (self.pixels.shape[1], self.pixels.shape[0]))
        if self.depth == 0:
            object.__setattr__(self, "depth", 8 * self.pixels.dtype.itemsize)

    @property
    def rgb(self) -> "Tensor":
        """The pixels as a tensor ``(3, h, w)`` in [0, 1]."""
        import torch

        if self.pixels.dtype == np.uint8:
            return torch.from_numpy(np.require(self.pixels, requirements="W")).permute(2, 0, 1).float() / 255
        return torch.from_numpy(np.require(unit(self.pixels), requirements="W")).permute(2, 0, 1)

    @property
    def alpha(self) -> "Tensor | None":
        """How opaque each pixel is, ``(h, w)`` in [0, 1], where the file says it."""
        import torch

        return None if self.opacity is None else torch.from_numpy(np.require(unit(self.opacity), requirements="W"))

    @property
    def seen(self) -> "Tensor | None":
        """Where the picture is at least half as opaque as anywhere, ``(h, w)`` of 0 and 1; None where that is everywhere.

        Raises:
            InputError: It is transparent everywhere.
        """
        alpha = self.alpha
        if alpha is None:
            return None
        if float(alpha.max()) == 0:
            raise InputError("the picture is transparent everywhere: nothing of it can be seen")
        seen = alpha > alpha.max() / 2
        return None if bool(seen.all()) else seen.float()

    @property
    def solid(self) -> "Tensor":
        """The pixels as a tensor; what is not :attr:`seen` is mirrored from what is, so that nothing hidden counts."""
        import torch
        from scipy.ndimage import distance_transform_edt

        rgb, seen = self.rgb, self.seen
        if seen is None:
            return rgb
        visible = seen.numpy() > 0
        nearest = np.asarray(distance_transform_edt(~visible, return_distances=False, return_indices=True))
        here = np.indices(visible.shape)
        limits = np.array(visible.shape)[:, None, None] - 1
        mirrored = np.clip(2 * nearest - here, 0, limits)
        y, x = np.where(visible[tuple(mirrored)], mirrored, nearest)
        return rgb[:, torch.from_numpy(y), torch.from_numpy(x)]

    def with_rgb(self, rgb: "Tensor") -> "Picture":
        """Another picture with this one's meaning: values ``(3, h, w)`` in [0, 1] of the same size."""
        pixels = rgb.detach().clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()
        return replace(self, pixels=pixels)

    def fitted(self, side: int) -> "Picture":
        """Shrunk, antialiased, to at most ``side`` x ``side`` pixels in area, its shape kept; never enlarged; 0 keeps it."""
        width, height = fitted_size(self.pixels.shape[1], self.pixels.shape[0], side)
        if (height, width) == self.pixels.shape[:2]:
            return self
        if self.opacity is None and self.pixels.dtype == np.uint8:
            small = Image.fromarray(self.pixels).resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
            return replace(self, pixels=np.array(small))
        seen = np.ones(self.pixels.shape[:2], np.float32) if self.opacity is None else unit(self.opacity)
        weighted = [resized(unit(self.pixels[..., i]) * seen, width, height) for i in range(3)]
        seen = resized(seen, width, height)
        colours = np.stack(weighted, -1) / np.maximum(seen, 1e-4)[..., None]  # nothing bleeds out of the transparent
        small = like(colours, self.pixels.dtype)
        return replace(self, pixels=small, opacity=None if self.opacity is None else like(seen, self.pixels.dtype))


def fitted_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height of a picture shrunk to an area of ``side`` squared, its shape kept; 0 keeps the size."""
    if side < 0:
        raise InputError(f"size = {side}: expected a number of pixels, or 0 to keep the size")
    scale = side / (width * height) ** 0.5
    return (width, height) if side == 0 or scale >= 1 else (max(1, round(width * scale)), max(1, round(height * scale)))


def write_picture(
    path: AnyPath, picture: Picture, *, quality: int = 95, depth: Literal[8, 16] | None = None, strip: bool = False
) -> tuple[str, ...]:
    """Write a picture, tagged with the space that its pixels are in; the file appears whole or not at all.

    Args:
        path: The suffix is the format.
        picture: What to write.
        quality: From 1 to 100, of formats that lose.
        depth: Bits a channel; None keeps 16 where the format can. Values between those of 8 bits are dithered.
        strip: Write no metadata; the colour profile stays, as it is the meaning of the numbers.

    Returns:
        What the format could not hold, a sentence each.

    Raises:
        InputError: No such format, a depth or size that it cannot hold, or a place that cannot be written to.
    """
    path = Path(path)
    form = output_format(path)
    if not 1 <= quality <= 100:
        raise InputError(f"quality = {quality}: expected 1 to 100")
    if depth == 16 and form not in DEEP:
        raise InputError(f"{path.name}: {path.suffix} holds 8 bits a channel: use .png or .tif for 16")
    notes: list[str] = []
    bits = (16 if picture.depth > 8 and form in DEEP else 8) if depth is None else depth
    pixels, opacity = picture.pixels, picture.opacity
    if depth is None and picture.depth > bits and form not in DEEP:
        notes.append(f"{path.suffix} holds 8 bits a channel of the picture's {picture.depth} (.png and .tif hold 16)")
    if opacity is not None and form not in ALPHA:
        share = unit(opacity)[..., None]
        pixels, opacity = unit(pixels) * share + (1 - share), None
        notes.append(f"{path.suffix} holds no transparency: the picture is laid over white (.png and .webp hold it)")
    rounded = to_bits(pixels, bits)
    if opacity is not None:
        rounded = np.dstack([rounded, to_bits(opacity, bits)])
    height, width = rounded.shape[:2]
    options = {} if strip else picture.metadata.options(form, (width, height), is_srgb(picture.profile))
    with _written(path), atomic_path(path) as temporary:
        if bits == 16 or form == "TIFF":
            with temporary.open("wb") as file:
                DEEP[form](file, rounded, picture.profile or srgb(), options)
            return tuple(notes)
        if form == "JPEG":
            options |= {"quality": quality, "subsampling": 0 if quality >= 90 else 2}
        elif form in ("WEBP", "AVIF", "HEIF", "JXL"):
            options |= {"quality": quality}
        if form in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "JXL"):
            options["icc_profile"] = picture.profile or srgb()
        Image.fromarray(rounded).save(temporary, form, **options)
    return tuple(notes)


def output_format(path: AnyPath) -> str:
    """Pillow's name of the format that a suffix names.

    Raises:
        InputError: None, or one that needs a missing package.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in PLUGGED and not has_plugin(suffix):
        raise InputError(f"{path.name}: {missing(suffix)}")
    form = Image.registered_extensions().get(suffix)
    if form is None or form not in Image.SAVE or form in ("PDF", "MPO"):
        raise InputError(f"{path.name}: the suffix {path.suffix!r} names no picture format; use .jpg or .png")
    return form


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Errors of encoders and of the file system as one sentence."""
    try:
        yield
    except OSError as e:
        if e.errno is None or "encoder" in str(e):
            raise InputError(f"{path.name}: {path.suffix} cannot hold a picture of this size: use .png or .tif") from e
        raise InputError(f"{path} cannot be written: {(e.strerror or str(e)).lower()}") from e
    except (ValueError, SystemError, OverflowError) as e:
        raise InputError(f"{path.name} cannot be written as {path.suffix}: {e}") from e
