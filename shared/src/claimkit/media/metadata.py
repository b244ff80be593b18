"""What a picture's file says beside its pixels: when, by whom, where, and at how many dots an inch.

The maker's own notes in EXIF are left out: their offsets hold in the camera's file only.
"""

import re
import struct
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

KEPT = (270, 271, 272, 305, 306, 315, 316, 18246, 18249, 33432, *range(0x9C9B, 0x9CA0))
"""Tags of EXIF's first directory that speak of the picture, not of how its file is laid out."""
EXIF, GPS, INTEROP = ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop
IPTC = 0x0404
XMP_ORIENTATION = re.compile(rb"""\s*tiff:Orientation\s*=\s*["']\d["']|<tiff:Orientation>\d</tiff:Orientation>\s*""")
XMP_THUMBNAILS = re.compile(rb"<xmp:Thumbnails>.*?</xmp:Thumbnails>\s*", re.DOTALL)


@dataclass(frozen=True)
class Metadata:
    """What is kept of a file's metadata.

    Attributes:
        tags: EXIF's first directory: describing tags only, neither orientation nor thumbnail.
        exif: Its camera directory.
        gps: Its place.
        xmp: Packet, without orientation and thumbnails.
        iptc: Records of a JPEG or TIFF.
        dpi: Dots an inch, across and down.
    """

    tags: dict[int, Any] | None = None
    exif: dict[int, Any] | None = None
    gps: dict[int, Any] | None = None
    xmp: bytes = b""
    iptc: bytes = b""
    dpi: tuple[float, float] | None = None

    def options(self, form: str, size: tuple[int, int], srgb: bool) -> dict[str, Any]:
        """Arguments of ``Image.save``.

        Args:
            form: Pillow's name of the format, as ``JPEG``.
            size: Width and height of what is written.
            srgb: Whether it is sRGB, which EXIF says as well.
        """
        out: dict[str, Any] = {"dpi": self.dpi} if self.dpi and form in ("JPEG", "PNG", "TIFF", "BMP") else {}
        block = self.block(size, srgb)
        if form == "TIFF":
            block.update({tag: data for tag, data in ((700, self.xmp), (33723, self.iptc)) if data})
        if form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "JXL"):
            data = block.tobytes()
            if len(data) > 20 and (
                form != "JPEG" or len(data) < 65_000
            ):  # a marker holds no more, and an empty block has 20
                out["exif"] = data
        if self.xmp and form in ("JPEG", "WEBP", "AVIF", "HEIF") and (form != "JPEG" or len(self.xmp) < 65_000):
            out["xmp"] = self.xmp
        if self.xmp and form == "PNG":
            from PIL.PngImagePlugin import PngInfo

            out["pnginfo"] = PngInfo()
            out["pnginfo"].add_itxt("XML:com.adobe.xmp", self.xmp.decode("utf-8", "replace"))
        if form == "JPEG" and self.iptc:
            body = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HHI", IPTC, 0, len(self.iptc)) + self.iptc
            body += bytes(len(self.iptc) % 2)
            out["extra"] = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body if len(body) < 65_000 else b""
        return out

    def block(self, size: tuple[int, int], srgb: bool) -> Image.Exif:
        """EXIF for a picture of this size, upright; empty where there was none."""
        block = Image.Exif()
        if not (self.tags or self.exif or self.gps):
            return block
        for tag, value in (self.tags or {}).items():
            block[tag] = value
        if self.dpi:
            block[282], block[283], block[296] = *self.dpi, 2
        camera = dict(self.exif or {}) | {0xA001: 1 if srgb else 65535, 0xA002: size[0], 0xA003: size[1]}
        block.get_ifd(EXIF).update(camera | ({INTEROP: {1: "R98"}} if srgb and INTEROP in camera else {}))
        if self.gps:
            block.get_ifd(GPS).update(self.gps)
        return block


def read_metadata(image: Image.Image) -> tuple[Metadata, bool]:
    """What an open picture says; and whether EXIF names Adobe RGB as the space of its pixels, as cameras do."""
    info = image.info
    dpi = _dpi(info.get("dpi"))
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    xmp = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    xmp = XMP_THUMBNAILS.sub(b"", XMP_ORIENTATION.sub(b"", xmp))
    blocks = info.get("photoshop")
    iptc = bytes(blocks.get(IPTC, b"")) if isinstance(blocks, dict) else b""
    try:
        block = image.getexif()
        tags = {t: block[t] for t in KEPT if t in block}
        camera, gps = dict(block.get_ifd(EXIF)), dict(block.get_ifd(GPS))
        interop = camera.get(INTEROP, {})
        interop = interop if isinstance(interop, dict) else dict(block.get_ifd(INTEROP))
        adobe = str(interop.get(1, "")).startswith("R03")
        if dpi is None and 282 in block and 283 in block:
            unit = {2: 1.0, 3: 2.54}.get(block.get(296, 2), 0.0)
            dpi = _dpi((float(block[282]) * unit, float(block[283]) * unit))
    except Exception:  # EXIF by any program: pillow raises what it likes on a damaged block
        return Metadata(xmp=xmp, iptc=iptc, dpi=dpi), False
    camera.pop(INTEROP, None)
    if interop:
        camera[INTEROP] = {}
    if 33723 in block and not iptc:
        value = block[33723]
        longs = struct.pack(f"<{len(value)}I", *value) if isinstance(value, tuple) else b""  # some call its bytes longs
        iptc = value if isinstance(value, bytes) else longs
    return Metadata(tags or None, camera or None, gps or None, xmp, iptc, dpi), adobe


def _dpi(found: Any) -> tuple[float, float] | None:
    """Dots an inch where they are plausible; pillow's 1 x 1 stands for none."""
    return (float(found[0]), float(found[1])) if found and all(1 < float(v) < 1e5 for v in found[:2]) else None
