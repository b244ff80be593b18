"""Colours of video: what a frame's tags say (ITU-T H.273), RGB by them, and frames for an encoder that say the same."""

import struct
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from claimkit.media.colour.hdr import HLG, PEAK, PQ, tone_map
from claimkit.media.colour.icc import D65, PRIMARIES, rgb_to_xyz, srgb_decode, srgb_encode
from claimkit.media.options import Hdr

LIMITED, FULL, UNSAID = 1, 2, 2
WIDE = {9: "BT.2020", 11: "Display P3", 12: "Display P3"}
"""Primaries that are too far from BT.709's to be taken for them; 11 is P3 as cinemas have it."""
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
SCALER = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
"""The scaler's number of each matrix."""


@dataclass(frozen=True)
class VideoColour:
    """Codes of H.273: matrix of YCbCr, range (1 limited, 2 full), primaries, transfer function."""

    matrix: int = 1
    range: int = LIMITED
    primaries: int = 1
    transfer: int = 1

    @property
    def hdr(self) -> bool:
        """Whether it is HLG or PQ."""
        return self.transfer in (PQ, HLG)

    @property
    def wide(self) -> bool:
        """Whether colours reach beyond sRGB."""
        return self.primaries in WIDE


def colour_of(frame: Any) -> VideoColour:
    """What a frame's tags say; where they say nothing, what players take: BT.709 from 720 lines, BT.601 below."""
    tall = min(frame.width, frame.height) >= 720 or max(frame.width, frame.height) >= 1280
    usual = 1 if tall else 5 if frame.height == 576 else 6
    if frame.format.is_rgb or frame.format.name.startswith(("pal8", "gray", "mono")):
        return VideoColour(range=FULL if frame.format.name.startswith("gray") and frame.color_range == FULL else LIMITED)
    matrix = int(frame.colorspace) if int(frame.colorspace) in SCALER else usual
    full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
    primaries, transfer = int(frame.color_primaries), int(frame.color_trc)
    primaries = {9: 9, 10: 9}.get(matrix, 1 if matrix == 1 else usual) if primaries in (0, UNSAID, 3) else primaries
    transfer = (1 if matrix in (1, 9, 10) else 6) if transfer in (0, UNSAID, 3) else transfer
    return VideoColour(matrix, FULL if full else LIMITED, primaries, transfer)


def written(colour: VideoColour, hdr: Hdr) -> VideoColour:
    """The colours of a result: those of its source, but BT.709's where the source's were mapped to them."""
    if (colour.hdr and hdr == "tone-map") or (colour.wide and not colour.hdr):
        return VideoColour(1, LIMITED, 1, 1)
    return colour


def to_rgb(
    frame: Any, colour: VideoColour, size: tuple[int, int] | None = None, hdr: Hdr = "tone-map", peak: float = PEAK
) -> NDArray[Any]:
    """A frame's pixels ``(h, w, 3)``, not yet turned upright: bytes, or 16 bits where HDR is kept.

    Args:
        frame: As decoded.
        colour: Of :func:`colour_of`.
        size: Width and height that it is shrunk to.
        hdr: Whether HLG and PQ become SDR.
        peak: Candelas a square metre of the display that the film was made on.
    """
    width, height = size or (frame.width, frame.height)
    deep = colour.hdr or colour.wide
    coloured = not (frame.format.is_rgb or frame.format.name.startswith("pal8"))
    tags = {"src_colorspace": SCALER[colour.matrix], "src_color_range": colour.range, "dst_color_range": FULL}
    name = "rgb48le" if deep else "rgb24"
    tags = tags if coloured else {}
    rgb = frame.reformat(width=width, height=height, format=name, interpolation=EXACT, **tags).to_ndarray()
    if colour.hdr:
        return rgb if hdr == "keep" else tone_map(rgb, colour.transfer, peak)
    if not colour.wide:
        return rgb
    matrix = np.linalg.solve(rgb_to_xyz(PRIMARIES["sRGB"], D65), rgb_to_xyz(PRIMARIES[WIDE[colour.primaries]], D65))
    light = srgb_decode(rgb.astype(np.float32) / 65535) @ matrix.T.astype(np.float32)
    return np.round(srgb_encode(np.clip(light, 0, 1)) * 255).astype(np.uint8)


def from_rgb(pixels: NDArray[Any], colour: VideoColour, form: str) -> Any:
    """A frame for an encoder, of its pixel format, tagged.

    Where its chroma is subsampled, the outermost row and column of pixels come back less exactly than the others: beyond the
    last chroma sample there is none to interpolate with, so they take that one's (half a step of the colour's slope off).
    """
    name = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name).reformat(
        format=form,
        dst_colorspace=SCALER[colour.matrix],
        src_color_range=FULL,
        dst_color_range=colour.range,
        interpolation=EXACT,
    )
    frame.colorspace, frame.color_range = colour.matrix, colour.range
    frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
    return frame


def peak_of(frame: Any) -> float:
    """Candelas a square metre of the display that a film was made on; 1000 where it does not say."""
    data = frame.side_data.get(Type.MASTERING_DISPLAY_METADATA)
    if data is None:
        return PEAK
    try:
        numerator, denominator = struct.unpack("2i", bytes(data)[72:80])  # max_luminance, behind nine fractions
        peak = numerator / denominator
    except (struct.error, ZeroDivisionError):
        return PEAK
    return peak if 203 < peak <= 10000 else PEAK


def turns_of(frame: Any) -> tuple[int, bool]:
    """Quarter turns against the clock that set a frame upright, and whether it is mirrored across before."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    if data is not None:
        a, b, _, c, d, *_ = struct.unpack("9i", bytes(data)[:36])
        if a * d - b * c < 0:  # a selfie: mirrored, then turned by what is left of the matrix
            return (round(np.degrees(np.arctan2(b, -a)) / 90) % 4, True)
    return round((frame.rotation or 0) / 90) % 4, False


def upright(pixels: NDArray[Any], turns: tuple[int, bool]) -> NDArray[Any]:
    """Pixels as a player shows them."""
    quarter, mirrored = turns
    return np.ascontiguousarray(np.rot90(pixels[:, ::-1] if mirrored else pixels, quarter))
