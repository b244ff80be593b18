"""Colours of a picture from the space that its file names into the one that is worked in.

Eight bits go through LittleCMS (``PIL.ImageCms``); what is deeper, which LittleCMS is not given by pillow, through the same
matrices and curves in floating point, or between LittleCMS's results for the values around.
"""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from claimkit.media.colour.icc import Curve, read_grey, read_matrix, srgb, srgb_encode

BAND = 1 << 20
"""Pixels that are converted at a time: what bounds the memory."""


class ProfileError(ValueError):
    """A profile that cannot be used; the sentence says why."""


def kind(profile: bytes) -> str:
    """What a profile is for: ``RGB``, ``GRAY``, ``CMYK``, ``Lab`` or another word of the ICC."""
    return profile[16:20].decode("latin-1").strip()


def is_srgb(profile: bytes | None) -> bool:
    """Whether a profile is none, or sRGB under whatever name: colours differ by at most one of 255."""
    return profile is None or _is_srgb(profile)


def convert_image(image: Image.Image, profile: bytes, space: bytes | None) -> Image.Image:
    """An image of 8 bits, of the mode that its profile is for, as RGB of a space (None is sRGB).

    Raises:
        ProfileError: The profile is damaged, or is not for images of this mode.
    """
    wanted = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}.get(image.mode)
    if kind(profile) != wanted:
        raise ProfileError(f"its colour profile is for {kind(profile) or 'nothing'}, its pixels are {image.mode}")
    if image.mode == "RGB" and (profile == space or (space is None and is_srgb(profile))):
        return image
    return ImageCms.applyTransform(image, _transform(profile, space or srgb(), image.mode)) or image


def convert_array(pixels: NDArray[Any], profile: bytes, space: bytes | None) -> NDArray[Any]:
    """Pixels ``(h, w, 3)``, or ``(h, w)`` of a grey profile, as RGB of a space; the type of the numbers stays.

    Raises:
        ProfileError: The profile is damaged, or is for something else.
    """
    if pixels.ndim == 3 and (profile == space or (space is None and is_srgb(profile))):
        return pixels
    if kind(profile) != ("RGB" if pixels.ndim == 3 else "GRAY"):
        raise ProfileError(f"its colour profile is for {kind(profile) or 'nothing'}, its pixels are not")
    out = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    rows = max(1, BAND // max(1, pixels.shape[1]))
    for top in range(0, len(pixels), rows):
        band = pixels[top : top + rows]
        scale = np.iinfo(band.dtype).max if band.dtype != np.float32 else 1
        converted = np.clip(_float(band.astype(np.float32) / np.float32(scale), profile, space), 0, 1)
        out[top : top + rows] = converted if scale == 1 else np.round(converted * scale).astype(pixels.dtype)
    return out


def _float(values: NDArray[np.float32], profile: bytes, space: bytes | None) -> NDArray[np.float32]:
    """Values in [0, 1] of a profile as RGB of a space."""
    target = read_matrix(space) if space else None
    if values.ndim == 2:
        curve = read_grey(profile)
        if curve is None or (space is not None and target is None):
            raise ProfileError("its grey colour profile is damaged, or not a curve")
        light = curve(values)
        return np.stack([_inverse(c, light) for c in target.curves] if target else [srgb_encode(light)] * 3, -1)
    source = read_matrix(profile)
    if source is None or (space is not None and target is None):
        return _between(values, profile, space)
    linear = np.stack([curve(values[..., i]) for i, curve in enumerate(source.curves)], -1)
    matrix = target.matrix if target else read_matrix(srgb()).matrix  # type: ignore[union-attr]
    linear = linear @ np.linalg.solve(matrix, source.matrix).T.astype(np.float32)
    if target is None:
        return srgb_encode(linear)
    return np.stack([_inverse(curve, linear[..., i]) for i, curve in enumerate(target.curves)], -1)


def _inverse(curve: Curve, light: NDArray[np.float32]) -> NDArray[np.float32]:
    """The coded values whose light this is; points lie densest in the dark, where curves are steep."""
    coded = np.linspace(0, 1, 16385, dtype=np.float32) ** 2
    return np.interp(light, np.maximum.accumulate(curve(coded)), coded).astype(np.float32)


def _between(values: NDArray[np.float32], profile: bytes, space: bytes | None) -> NDArray[np.float32]:
    """LittleCMS's results of 8 bits at the eight corners around each value, trilinear between them."""
    transform = _transform(profile, space or srgb(), "RGB")
    low = np.minimum(np.clip(values, 0, 1) * 255, 254.99).astype(np.uint8)
    share = np.clip(values, 0, 1) * 255 - low
    out = np.zeros_like(values)
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(corner, share, 1 - share).prod(-1, keepdims=True)
        at = Image.fromarray(low + np.array(corner, np.uint8))
        out += weight * np.asarray(ImageCms.applyTransform(at, transform), np.float32) / 255
    return out


@lru_cache(maxsize=32)
def _transform(profile: bytes, space: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    try:
        own, other = (ImageCms.ImageCmsProfile(io.BytesIO(p)) for p in (profile, space))
        return ImageCms.buildTransform(own, other, mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as e:
        raise ProfileError("its colour profile is damaged") from e


@lru_cache(maxsize=32)
def _is_srgb(profile: bytes) -> bool:
    if kind(profile) != "RGB":
        return False
    step = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(step, step, step, indexing="ij"), -1).reshape(-1, len(step), 3)
    try:
        seen = ImageCms.applyTransform(Image.fromarray(grid), _transform(profile, srgb(), "RGB"))
    except ProfileError:
        return False
    return int(np.abs(np.asarray(seen, np.int16) - grid).max()) <= 1
