"""Pictures from files and back: upright, in RGB, whatever the file's mode, as tensors in [0, 1]."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.files import atomic_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".avif")


@dataclass(frozen=True)
class Picture:
    """A picture: sRGB values in [0, 1] of shape (3, H, W), and how opaque each pixel is, (H, W), where the file says so."""

    rgb: Tensor
    alpha: Tensor | None = None


def read_picture(path: Path) -> Picture:
    """Read a picture upright (EXIF orientation applied): grey, palette, 16-bit, floating point and CMYK become RGB.

    Of an animation the first frame is read.

    Raises:
        InputError: It is no picture, it is damaged, or it has more than 178 million pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pillow's own warnings of large pictures and odd tags
            with Image.open(path) as image:
                image.load()
                upright: Image.Image = ImageOps.exif_transpose(image)
                alpha = upright.convert("RGBA").getchannel("A") if upright.has_transparency_data else None
                return Picture(from_uint8(_rgb(upright)), None if alpha is None else torch.from_numpy(np.array(alpha)) / 255)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as e:
        raise InputError(f"{path} cannot be read: {(e.strerror or 'unreadable').lower()}") from e
    except Image.DecompressionBombError as e:
        raise InputError(f"{path} has more than 178 million pixels: scale it down") from e
    except Exception as e:  # pillow's decoders raise nearly everything on damaged files
        raise InputError(f"{path} is no picture that can be read: expected a JPEG, PNG, TIFF, WebP or the like") from e


def read_image(path: Path) -> Float[Tensor, "3 h w"]:
    """The picture's RGB, laid over white where it is transparent."""
    picture = read_picture(path)
    return picture.rgb if picture.alpha is None else picture.rgb * picture.alpha + (1 - picture.alpha)


def write_image(
    path: Path, rgb: Float[Tensor, "3 h w"], alpha: Float[Tensor, "h w"] | None = None, quality: int = 95
) -> None:
    """Write a picture; the suffix is the format. Values are clamped to [0, 1]; the file appears whole or not at all."""
    array = to_uint8(rgb)
    if alpha is not None and path.suffix.lower() in (".png", ".webp", ".tif", ".tiff"):
        array = np.dstack([array, (alpha.clamp(0, 1) * 255).round().byte().cpu().numpy()])
    if path.suffix.lower() not in Image.registered_extensions():
        raise InputError(f"{path.name}: the suffix {path.suffix!r} names no picture format; use .jpg or .png")
    with atomic_path(path) as temporary:
        options: dict[str, Any] = {"quality": quality, "subsampling": 0} if path.suffix.lower() in (".jpg", ".jpeg") else {}
        Image.fromarray(array).save(temporary, **options)


def image_files(folder: Path) -> list[Path]:
    """The pictures in a folder by suffix, sorted by name, without those in folders below; at least one."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give a folder of pictures")
    files = sorted(
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith(".")
    )
    if not files:
        raise InputError(f"{folder} holds no pictures: expected files that end in {', '.join(SUFFIXES[:5])} or the like")
    return files


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


def _rgb(image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    """8-bit RGB: pillow clips 16-bit and floating-point grey on conversion, so these are scaled here."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        grey = np.asarray(image).astype(np.float64)
        low, high = (0.0, 65535.0) if image.mode != "F" else (min(0.0, grey.min()), max(1.0, grey.max()))
        scaled = np.clip((grey - low) / (high - low), 0, 1) * 255
        return np.repeat(np.round(scaled).astype(np.uint8)[:, :, None], 3, 2)
    return np.asarray(image.convert("RGB"))
