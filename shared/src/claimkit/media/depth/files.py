"""Pictures of more bits than the eight of pillow's RGB: read by FFmpeg and tifffile, written here."""

import re
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from claimkit.errors import InputError

BOMB = 178_956_970
"""Pixels above which a file is taken for an attack on the memory: pillow's own bound."""
Deep = NDArray[Any]


def bits_of(path: Path, image: Image.Image) -> int:
    """Bits of a colour in the file of an open picture, where pillow would cut them to eight; 8 otherwise."""
    raw = [str(tile.args) for tile in getattr(image, "tile", ())]
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        return max(bits) if len(bits) > 1 else 8
    if image.format == "PPM":
        tops = [int(top) for text in raw for top in re.findall(r"'RGB', (\d+)", text)]
        return max([8, *(top.bit_length() for top in tops)])
    if image.format == "JPEG2000":
        return 8 if image.mode.startswith("I") else _bits_of_codestream(_head(path))
    if image.format in ("AVIF", "HEIF"):  # what every such file says of each of its channels (ISO/IEC 23008-12, 6.5.6)
        boxes = re.findall(rb"pixi\0\0\0\0([\1-\4])(.{4})", _head(path), re.DOTALL)
        return max([8, *(bits for number, after in boxes for bits in after[: number[0]])])
    if image.format == "JXL":
        return 8 if image.mode.startswith("I") else _bits_of_jxl(_head(path))
    return 16 if any(";16" in text for text in raw) and not image.mode.startswith("I") else 8


def spread(path: Path, image: Image.Image) -> float:
    """How many times the file's own numbers those are that this module and pillow read; asked before the image is loaded."""
    if image.format == "PPM":
        tops = [tile.args[1] for tile in getattr(image, "tile", ()) if isinstance(tile.args, tuple)]
        return (65535 if tops[0] > 255 else 255) / tops[0] if tops else 1
    if image.format not in ("JXL", "JPEG2000", "HEIF"):
        return 1
    grey = image.mode.startswith("I")  # which pillow reads in 16 bits by itself
    found = {"JXL": _bits_of_jxl, "JPEG2000": _bits_of_codestream}.get(image.format)
    bits = found(_head(path)) if found else bits_of(path, image)
    if image.format == "HEIF" or (image.format == "JPEG2000" and grey):  # shifted up
        return 1 << (16 - bits) if 8 < bits < 16 else 1
    return (65535 if bits > 8 else 255) / ((1 << bits) - 1) if bits <= 16 else 1


def _head(path: Path) -> bytes:
    """The first 64 kB, where formats keep what they say of themselves."""
    with path.open("rb") as file:
        return file.read(1 << 16)


def _bits_of_codestream(head: bytes) -> int:
    """Bits of the deepest component of a JPEG 2000 (ISO/IEC 15444-1, A.5.1: the marker SIZ)."""
    at = head.find(b"\xff\x4f\xff\x51") + 40
    if at < 40 or len(head) < at + 2:
        return 8
    components = head[at + 2 : at + 2 + 3 * int.from_bytes(head[at : at + 2], "big") : 3]
    return max([8, *((bits & 0x7F) + 1 for bits in components)])


def _bits_of_jxl(head: bytes) -> int:
    """Bits of a colour of a JPEG XL (ISO/IEC 18181-1, annexes A to D: its headers are fields of bits, the lowest first)."""
    found = re.search(rb"^()\xff\x0a|jxlc()\xff\x0a|jxlp....()\xff\x0a", head, re.DOTALL)
    if not found:
        return 8
    fields = int.from_bytes(head[found.end() : found.end() + 64], "little")

    def take(bits: int) -> int:
        nonlocal fields
        value, fields = fields & ((1 << bits) - 1), fields >> bits
        return value

    def size() -> None:
        small = take(1)
        for known in (lambda: False, lambda: take(3)):  # the height, and the width where no ratio gives it
            if not known():
                take(5 if small else (9, 13, 18, 30)[take(2)])

    size()
    if take(1):
        return 8  # all is as usual
    if take(1):
        take(3)  # orientation
        if take(1):
            size()
        if take(1):
            return 8  # a preview, which no encoder writes
        if take(1):  # an animation: its clock and its loops
            for widths in ((0, 0, 10, 30), (0, 0, 8, 10), (0, 3, 16, 32)):
                take(widths[take(2)])
            take(1)
    usual = (32, 16, 24) if take(1) else (8, 10, 12)
    chosen = take(2)
    return usual[chosen] if chosen < 3 else 1 + take(6)


def read_deep(path: Path, image: Image.Image) -> tuple[Deep, Deep | None] | None:
    """Pixels ``(h, w)`` or ``(h, w, 3)`` of a picture of more than 8 bits, and how opaque they are; None where nothing can.

    Args:
        path: The file.
        image: The same, open.
    """
    if image.format == "TIFF":
        return read_tiff(path)
    if image.format == "HEIF":
        import pillow_heif  # pyright: ignore[reportMissingImports]

        return parted(np.asarray(pillow_heif.open_heif(path, convert_hdr_to_8bit=False)))
    if image.format == "JXL" and find_spec("imagecodecs"):
        import imagecodecs  # pyright: ignore[reportMissingImports]

        array = imagecodecs.jpegxl_decode(path.read_bytes())
        if array.dtype == np.uint16:  # white is the largest number of the file's own depth
            array = np.round(array * (65535 / ((1 << bits_of(path, image)) - 1))).astype(np.uint16)
        return parted(array.astype(np.float32) if array.dtype == np.float16 else array)
    form = {"PNG": "png_pipe", "PPM": "ppm_pipe", "JPEG2000": "j2k_pipe"}.get(image.format or "")
    return _read_by_ffmpeg(path, form, bits_of(path, image)) if form else None


def _read_by_ffmpeg(path: Path, form: str, bits: int) -> tuple[Deep, Deep | None] | None:
    import av

    with av.open(str(path), format=form) as container:
        frame = next(container.decode(video=0))
    if frame.format.name == "ya16be":
        frame = frame.reformat(format="rgba64be")
    if not frame.format.name.startswith(("rgb48", "rgba64", "gray16")):
        return None
    array = frame.to_ndarray()
    if form == "j2k_pipe" and bits < 16:  # FFmpeg shifts them up, so that white is not the largest number
        array = np.round(array * (65535 / (65536 - (1 << (16 - bits))))).astype(np.uint16)
    return parted(array)


def read_tiff(path: Path) -> tuple[Deep, Deep | None]:
    """The first picture of a TIFF of 16 or 32 bits, whole numbers or floating.

    Raises:
        InputError: It is packed in a way that needs another package, or holds something else than a picture.
    """
    array, inverted = tiff_values(path)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    elif array.dtype.itemsize > 2:
        array = (array / np.iinfo(array.dtype).max).astype(np.float32)
    if array.dtype not in (np.uint16, np.float32) or array.ndim not in (2, 3):
        raise InputError(f"{path} holds {array.dtype} values of shape {array.shape}: expected whole or floating numbers")
    return parted(array.max() - array if inverted else array)


def tiff_values(path: Path) -> tuple[Deep, bool]:
    """The numbers of the first picture of a TIFF, ``(h, w)`` or ``(h, w, c)``, and whether the largest of them is black.

    Raises:
        InputError: It is too large, or packed in a way that needs another package.
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
                return _read_packed(path, str(getattr(page.compression, "name", page.compression))), False
            raise
        if page.planarconfig == 2 and array.ndim == 3:
            array = np.moveaxis(array, 0, -1)
        inverted = page.photometric == 0
    return array.byteswap().view(array.dtype.newbyteorder("=")) if not array.dtype.isnative else array, inverted


def _read_packed(path: Path, packing: str) -> Deep:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(path), format="tiff_pipe") as container:
            array = next(container.decode(video=0)).to_ndarray()
    except (FFmpegError, ValueError, StopIteration) as e:
        raise InputError(f"{path} is packed as {packing}: pip install imagecodecs to read it") from e
    if array.dtype != np.uint16:
        raise InputError(f"{path} is packed as {packing}: pip install imagecodecs to read it")
    return array


def parted(array: NDArray[Any]) -> tuple[Deep, Deep | None]:
    """Grey or RGB, and how opaque it is."""
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
