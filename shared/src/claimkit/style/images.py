"""Pictures as tensors in [0, 1]: the bridge from :mod:`claimkit.media` to networks, and what is done to the tensors."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.files import AnyPath
from claimkit.media.picture import Picture, write_picture
from claimkit.media.policy import list_pictures
from claimkit.media.reading import read_picture

SMALLEST = 8
"""Side in pixels below which a picture has no features to speak of."""
BEYOND = 0.5
"""How far a picture's values may lie outside [0, 1], as those that a network or a filter made do."""


def checked_image(image: object, name: str) -> Float[Tensor, "3 h w"]:
    """A picture that a network can work on, in single precision.

    Args:
        image: ``(3, height, width)`` in [0, 1].
        name: What it is called in a sentence.

    Raises:
        InputError: Another shape or type, less than :data:`SMALLEST` pixels on a side, values that are not finite, or values
            of another scale: bytes as floats, or what is normalised for a network. A little beyond [0, 1] is taken.
    """
    if not isinstance(image, Tensor):
        raise InputError(
            f"{name} is a {type(image).__name__}: expected a file, or a tensor (3, height, width) with values in [0, 1], "
            "such as torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255"
        )
    if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
        raise InputError(
            f"{name} has shape {tuple(image.shape)} of {image.dtype}: expected (3, height, width), values in [0, 1]"
        )
    if min(image.shape[-2:]) < SMALLEST:
        size = f"{image.shape[-1]} x {image.shape[-2]} pixels"
        raise InputError(f"{name} is {size}: a picture needs at least {SMALLEST} on each side")
    if not image.isfinite().all():
        raise InputError(f"{name} holds values that are not finite: expected values in [0, 1]")
    low, high = float(image.min()), float(image.max())
    if low < -BEYOND or high > 1 + BEYOND:
        raise InputError(f"{name} has values from {low:.4g} to {high:.4g}: expected [0, 1]; divide bytes by 255")
    return image.float()


def read_image(path: AnyPath) -> Float[Tensor, "3 h w"]:
    """The picture's RGB in sRGB, laid over white where transparent; see :func:`claimkit.media.reading.read_picture`."""
    picture = read_picture(path)
    return picture.rgb if picture.alpha is None else picture.rgb * picture.alpha + (1 - picture.alpha)


def write_image(
    path: AnyPath, rgb: Float[Tensor, "3 h w"], alpha: Float[Tensor, "h w"] | None = None, quality: int = 95
) -> None:
    """Write values of sRGB, clamped to [0, 1]; see :func:`claimkit.media.picture.write_picture`."""
    opacity = None if alpha is None else alpha.clamp(0, 1).float().cpu().numpy()
    write_picture(path, Picture(np.zeros((*rgb.shape[1:], 3), np.uint8), opacity).with_rgb(rgb), quality=quality, depth=8)


def image_files(folder: AnyPath) -> list[Path]:
    """The pictures in a folder by suffix, sorted by name, without those in folders below; at least one."""
    return list_pictures(folder).files


def fit(image: Float[Tensor, "3 h w"], longest: int) -> Float[Tensor, "3 _ _"]:
    """Shrink, antialiased, so that the longer side is at most ``longest`` pixels; never enlarge."""
    if longest < 1:
        raise InputError(f"the longest side must be at least 1 pixel, not {longest}")
    height, width = image.shape[-2:]
    scale = longest / max(height, width)
    return image if scale >= 1 else resize(image, max(1, round(height * scale)), max(1, round(width * scale)))


def resize(image: Float[Tensor, "3 h w"], height: int, width: int) -> Float[Tensor, "3 {height} {width}"]:
    """Bicubic, antialiased, clamped to [0, 1]."""
    out = F.interpolate(image[None], size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return out[0].clamp(0, 1)


def to_uint8(image: Float[Tensor, "3 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Values in [0, 1] as bytes, rounded, channels last."""
    return np.ascontiguousarray((image.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy())


def from_uint8(array: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "3 h w"]:
    """Bytes, channels last, as values in [0, 1]."""
    return torch.from_numpy(np.array(array)).permute(2, 0, 1).float() / 255
