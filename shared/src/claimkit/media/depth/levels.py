"""Numbers of a picture: bytes, 16 bits, floating point, and the ways between them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_NOISE = np.random.default_rng(0).uniform(-0.499, 0.499, (128, 128, 3)).astype(np.float32)


def to_bits(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """Whole numbers of 8 or 16 bits; to 8 with noise below half a step, which leaves whole steps exactly what they are."""
    wanted = np.uint8 if bits == 8 else np.uint16
    if values.dtype == wanted:
        return values
    if bits == 16:
        return values.astype(np.uint16) * 257 if values.dtype == np.uint8 else np.round(values * 65535).astype(np.uint16)
    out = np.empty(values.shape, np.uint8)
    scale = np.float32(255 / (65535 if values.dtype == np.uint16 else 1))
    noise = np.tile(_NOISE, (1, -(-values.shape[1] // 128), 1))[:, : values.shape[1]]
    for top in range(0, len(values), 128):
        band = values[top : top + 128] * scale
        band += noise[: len(band)] if values.ndim == 3 else noise[: len(band), :, 0]
        out[top : top + 128] = np.rint(np.clip(band, 0, 255, out=band), out=band)
    return out


def unit(values: NDArray[Any]) -> NDArray[np.float32]:
    """As floating point in [0, 1]."""
    if values.dtype == np.float32:
        return values
    return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)


def like(values: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Values in [0, 1] in another type's numbers."""
    clipped = np.clip(values, 0, 1)
    return clipped if dtype == np.float32 else np.round(clipped * np.iinfo(dtype).max).astype(dtype)


def resized(channel: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """A channel in [0, 1] at another size, bicubic and antialiased."""
    small = Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(small), 0, 1)
