"""Pictures of more bits than the eight of pillow's RGB: read by FFmpeg and tifffile, written here."""

import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from claimkit.errors import InputError

BOMB = 178_956_970
"""Pixels above which a file is taken for an attack on the memory: pillow's own bound."""
Deep = NDArray[Any]


def is_deep(image: Image.Image) -> bool:
    """Whether pillow would read an open picture in fewer bits than its file has."""
    if image.format == "PNG":
        return any(str(tile.args).endswith(";16B") for tile in getattr(image, "tile", ()))
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        return len(bits) > 1 and max(bits) > 8
    return False


def read_png(path: Path) -> tuple[Deep, Deep | None]:
    """A PNG of 16 bits: pixels ``(h, w)`` or ``(h, w, 3)``, and how opaque they are."""
    import av

    with av.open(str(path), format="png_pipe") as container:
        frame = next(container.decode(video=0))
        if frame.format.name == "ya16be":
            frame = frame.reformat(format="rgba64be")
        return _parted(frame.to_ndarray())


def read_tiff(path: Path) -> tuple[Deep, Deep | None]:
    """The first picture of a TIFF of 16 or 32 bits, whole numbers or floating.

    Raises:
        InputError: It is packed in a way that needs another package, or holds something else than a picture.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        if page.imagewidth * page.imagelength > BOMB or page.samplesperpixel > 5:
            raise InputError(f"{path} has more than 178 million pixels, or more than 5 channels: scale it down")
        try:
            array = page.asarray()
        except (ValueError, ImportError) as e:
            if "imagecodecs" in str(e):
                return _read_packed(path, str(getattr(page.compression, "name", page.compression)))
            raise
        if page.planarconfig == 2 and array.ndim == 3:
            array = np.moveaxis(array, 0, -1)
        inverted = page.photometric == 0
    array = array.byteswap().view(array.dtype.newbyteorder("=")) if not array.dtype.isnative else array
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype.itemsize > 2:
        array = (array / np.iinfo(array.dtype).max).astype(np.float32)
    if array.dtype not in (np.uint16, np.float32) or array.ndim not in (2, 3):
        raise InputError(f"{path} holds {array.dtype} values of shape {array.shape}: expected whole or floating numbers")
    return _parted(array.max() - array if inverted else array)


def _read_packed(path: Path, packing: str) -> tuple[Deep, Deep | None]:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path), format="tiff_pipe") as container:
            array = next(container.decode(video=0)).to_ndarray()
    except (FFmpegError, ValueError, StopIteration) as e:
        raise InputError(f"{path} is packed as {packing}: pip install imagecodecs to read it") from e
    if array.dtype != np.uint16:
        raise InputError(f"{path} is packed as {packing}: pip install imagecodecs to read it")
    return _parted(array)


def _parted(array: NDArray[Any]) -> tuple[Deep, Deep | None]:
    array = np.ascontiguousarray(array)
    if array.ndim == 2 or array.shape[2] == 1:
        return array.reshape(array.shape[:2]), None
    if array.shape[2] == 2:
        return np.ascontiguousarray(array[..., 0]), array[..., 1]
    return np.ascontiguousarray(array[..., :3]), array[..., 3] if array.shape[2] > 3 else None


def write_png(file: IO[bytes], pixels: NDArray[np.uint16], profile: bytes | None, options: dict[str, Any]) -> None:
    """A PNG of 16 bits; pixels ``(h, w, 3)`` or ``(h, w, 4)``, ``options`` as :meth:`Metadata.options` gives them."""
    height, width, channels = pixels.shape

    def chunk(kind: bytes, data: bytes) -> None:
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))

    file.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0))
    if profile:
        chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile))
    if dpi := options.get("dpi"):
        chunk(b"pHYs", struct.pack(">IIB", *(round(d / 0.0254) for d in dpi), 1))
    if exif := options.get("exif"):
        chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    for kind, data, *_ in getattr(options.get("pnginfo"), "chunks", ()):
        chunk(kind, data)
    pack, above = zlib.compressobj(6), np.zeros(2 * width * channels, np.uint8)
    for row in pixels:
        line = np.frombuffer(row.astype(">u2").tobytes(), np.uint8)
        if data := pack.compress(b"\2" + (line - above).tobytes()):  # filter 2: the difference to the line above
            chunk(b"IDAT", data)
        above = line
    chunk(b"IDAT", pack.flush())
    chunk(b"IEND", b"")


def write_tiff(file: IO[bytes], pixels: NDArray[Any], profile: bytes | None, options: dict[str, Any]) -> None:
    """A TIFF of 8 or 16 bits with all of its EXIF, which pillow's way through libtiff refuses; arguments as above."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    height, width, channels = pixels.shape
    data = zlib.compress(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(), 6)
    tags = ImageFileDirectory_v2()
    block = Image.Exif()
    block.load(options.get("exif", b""))
    for tag in block:
        tags[tag] = block.get_ifd(tag) if tag in (0x8769, 0x8825) else block[tag]
    tags[256], tags[257], tags[258] = width, height, (8 * pixels.dtype.itemsize,) * channels
    tags[259], tags[262], tags[277], tags[278], tags[284] = 8, 2, channels, height, 1  # deflate, RGB, one strip
    tags[273], tags[279] = 0, len(data)
    if channels == 4:
        tags[338] = 2
    if dpi := options.get("dpi"):
        tags[282], tags[283], tags[296] = *dpi, 2
    if profile:
        tags[34675] = profile
    tags.save(file)
    file.write(data)
