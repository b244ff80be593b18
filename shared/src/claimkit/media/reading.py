"""A picture from a file, with its meaning, whatever program wrote it; nothing is lost without a note."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin

from claimkit.errors import InputError
from claimkit.files import AnyPath
from claimkit.media.colour.icc import D65, PRIMARIES, adobe_rgb, matrix_profile, srgb
from claimkit.media.colour.profiles import ProfileError, convert_array, convert_image, is_srgb, kind
from claimkit.media.depth import files as deep
from claimkit.media.metadata import Metadata, read_metadata
from claimkit.media.picture import Picture, fitted_size
from claimkit.media.policy import PICTURES, RAW, has_plugin, missing, raw

LAYERED = ("MPO", "PSD", "ICO", "ICNS")
"""Formats whose further pictures are previews, depths or layers of the first."""
Space = bytes | Literal["own"] | None
"""ICC profile of an RGB space; None is sRGB, ``own`` the file's own."""
ORIENTATION = 0x0112


def read_picture(path: AnyPath, space: Space = None, *, side: int = 0, managed: bool = True) -> Picture:
    """Read a picture of any mode, depth and colour profile as upright RGB.

    Args:
        path: The file.
        space: ICC profile of the RGB space that colours are converted to; None is sRGB; ``own`` keeps the file's where that
            is RGB.
        side: Shrink to at most so many pixels squared; 0 keeps the size.
        managed: Convert colours; a map of labels or a mask is numbers, whose values must stay.

    Raises:
        InputError: No picture, a damaged one, one that needs a missing package, or of more than 178 million pixels.
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
            pixels, opacity = deep.read_tiff(path)  # floating-point RGB, which pillow knows no mode for
            return _deep_picture(path, pixels, opacity, None, space, managed).fitted(side)
        with opened as image:
            if image.format == "TIFF" and isinstance(image, TiffImagePlugin.TiffImageFile):
                tags = image.tag_v2
                if 50706 in tags or tags.get(262) == 32803 or (330 in tags and tags.get(254) == 1):
                    raise InputError(f"{path}: {raw(path.suffix if path.suffix.lower() in RAW else '.dng')}")
            bits = deep.bits_of(path, image)
            if bits > 8 and (found := deep.read_deep(path, image)):
                turn = image.getexif().get(ORIENTATION, 1)
                pixels, opacity = (None if a is None else turned(a, turn) for a in found)
                assert pixels is not None
                return _deep_picture(path, pixels, opacity, image, space, managed).fitted(side)
            remedy = ", with the package imagecodecs in all" if image.format == "JXL" else ""
            notes = (f"{path} has {bits} bits a colour: it is read in 8{remedy}",) if bits > 8 else ()
            return _picture(path, image, space, side, managed, notes)


def _picture(path: Path, image: Image.Image, space: Space, side: int, managed: bool, said: tuple[str, ...] = ()) -> Picture:
    """Of an image that pillow reads in the depth of its file."""
    width, height = image.size
    if side and image.format == "JPEG":
        wanted = fitted_size(width, height, side)
        image.draft(image.mode, (2 * wanted[0], 2 * wanted[1]))
    image.load()
    metadata, adobe = read_metadata(image)
    notes = [*said]
    if getattr(image, "n_frames", 1) > 1 and image.format not in LAYERED:
        notes.append(f"{path} holds {getattr(image, 'n_frames', 1)} pictures: the first is taken")
    profile = image.info.get("icc_profile") or _profile_of(image.info, adobe)
    before, sideways = image.size, image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8) and image.format != "TIFF"
    ImageOps.exif_transpose(image, in_place=True)
    size = (height, width) if sideways or image.size != before else (width, height)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _deep_picture(path, _grey(np.asarray(image)), None, image, space, managed).fitted(side)
    opacity = None
    if image.has_transparency_data:
        seen = image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
        opacity = np.asarray(seen.getchannel("A"))
    own, pixels, odd = _managed(image, profile, space) if managed else (None, image.convert("RGB"), "")
    if odd:
        notes.append(f"{path}: {odd}; it is taken for {'sRGB' if image.mode != 'CMYK' else 'ordinary CMYK'}")
    return Picture(np.array(pixels), opacity, own, metadata, size, tuple(notes)).fitted(side)


def _managed(image: Image.Image, profile: bytes | None, space: Space) -> tuple[bytes | None, Image.Image, str]:
    """The space that the colours are in, the image in it, and what was wrong with its profile."""
    if profile and kind(profile) == "GRAY" and image.mode in ("L", "LA", "1"):
        flat = image.convert("L")
    elif image.mode in ("CMYK", "LAB"):
        flat = image
    else:
        flat = image.convert("RGB")
    target = None if space == "own" else space
    if profile is None:
        flat = flat.convert("RGB")
        return (target, flat if target is None else convert_image(flat, srgb(), target), "")
    try:
        if space == "own" and flat.mode == "RGB" and kind(profile) == "RGB":
            return (None if is_srgb(profile) else profile), flat, ""
        return target, convert_image(flat, profile, target), ""
    except (ProfileError, ValueError, OSError) as e:
        plain = image.convert("RGB")
        return target, plain if target is None else convert_image(plain, srgb(), target), str(e)


def _deep_picture(
    path: Path, pixels: NDArray[Any], opacity: NDArray[Any] | None, image: Image.Image | None, space: Space, managed: bool
) -> Picture:
    """Of 16-bit or floating-point values."""
    notes, profile, metadata = [], None, Metadata()
    if image is not None:
        metadata, adobe = read_metadata(image)
        profile = image.info.get("icc_profile") or _profile_of(image.info, adobe)
    if pixels.dtype == np.float32:
        top, low = float(np.nanmax(pixels)), float(np.nanmin(pixels))
        if not np.isfinite(pixels).all() or top > 1.0001 or low < -0.0001:
            notes.append(f"{path} has values from {low:.3g} to {top:.3g}: they are scaled to [0, 1]")
            low, top = min(low, 0.0), max(top, 1.0)
            pixels = ((np.nan_to_num(pixels, nan=0, posinf=top, neginf=low) - low) / (top - low)).astype(np.float32)
        pixels = np.clip(pixels, 0, 1)
    if getattr(image, "n_frames", 1) > 1 and getattr(image, "format", "") in ("TIFF", "HEIF"):
        notes.append(f"{path} holds {getattr(image, 'n_frames', 1)} pictures: the first is taken")
    own = None if space == "own" else space
    try:
        if managed and profile and space == "own" and pixels.ndim == 3 and kind(profile) == "RGB":
            own = None if is_srgb(profile) else profile
        elif managed and (profile or own):
            pixels = convert_array(pixels, profile or srgb(), own) if pixels.ndim == 3 or profile else pixels
    except ProfileError as e:
        notes.append(f"{path}: {e}; it is taken for sRGB")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, 2)
    return Picture(pixels, opacity, own, metadata, (0, 0), tuple(notes))


def _grey(values: NDArray[Any]) -> NDArray[Any]:
    """Pillow's whole numbers of 16 and 32 bits as 16; floating point as it is."""
    return values.astype(np.float32) if values.dtype.kind == "f" else np.clip(values, 0, 65535).astype(np.uint16)


def turned(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """What EXIF's orientation says that a viewer does (Exif 3.0, 4.6.5)."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    down, across = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(orientation, (1, 1))
    return np.ascontiguousarray(array[::down, ::across])


def _profile_of(info: dict[Any, Any], adobe: bool) -> bytes | None:
    """A profile from what PNG chunks or EXIF say in its place."""
    if adobe:
        return adobe_rgb()
    gamma, shape = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or not (gamma or shape) or (gamma is not None and not 0.1 < gamma < 10):
        return None
    try:
        white, points = ((shape[0], shape[1]), np.reshape(shape[2:8], (3, 2))) if shape else (D65, PRIMARIES["sRGB"])
        return matrix_profile("PNG", points, white, 1 / gamma if gamma else None)
    except (ValueError, np.linalg.LinAlgError, ZeroDivisionError, IndexError):
        return None


def known(path: Path) -> str:
    """Refuse what is known not to be readable, by name and by its first bytes; what it is otherwise."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError as e:
        raise InputError(f"{path} cannot be read: {(e.strerror or 'unreadable').lower()}") from e
    if not head:
        raise InputError(f"{path} is empty: give a picture")
    suffix, brand = path.suffix.lower(), head[8:12] if head[4:8] == b"ftyp" else b""
    is_raw = brand == b"crx " or head.startswith((b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"IIU\0", b"FOVb"))
    if is_raw or head[8:10] == b"CR" or suffix in RAW:
        raise InputError(f"{path}: {raw(suffix if suffix in RAW else '.raw')}")
    plug = ".jxl" if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")) else ""
    plug = ".heic" if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1") else plug
    if plug and not has_plugin(plug):
        if plug == ".heic" and b"avif" in head:
            return ""
        raise InputError(f"{path} is no JPEG, PNG or the like: {missing(plug)}")
    if brand and brand not in (b"avif", b"avis", b"jp2 ", b"jpx ") and not plug:
        raise InputError(f"{path} is a video, or of no known picture format: give a picture, or use the verb for videos")
    return "TIFF" if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") else ""


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors of the decoders, which raise nearly everything on damaged files, as one sentence."""
    try:
        yield
    except InputError:
        raise
    except Image.DecompressionBombError as e:
        raise InputError(f"{path} has more than 178 million pixels: scale it down") from e
    except MemoryError as e:
        raise InputError(f"{path} does not fit in memory: scale it down") from e
    except Exception as e:
        expected = ", ".join(s.lstrip(".").upper() for s in PICTURES[1:4])
        raise InputError(f"{path} is no picture that can be read, or it is damaged: expected {expected} or the like") from e
