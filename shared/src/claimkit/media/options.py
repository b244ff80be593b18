"""The words of the command line for results, the same in every package; nothing heavy is imported here."""

from dataclasses import dataclass
from typing import Literal

from claimkit.errors import InputError
from claimkit.media.policy import Existing

Encoder = Literal["auto", "h264", "hevc", "vp9", "av1", "prores", "ffv1"]
Hdr = Literal["tone-map", "keep"]
Profile = Literal["srgb", "content"]


@dataclass(frozen=True)
class PictureOptions:
    """How pictures are written."""

    quality: int = 95
    """From 1 to 100, of formats that lose."""
    depth: Literal["auto", "8", "16"] = "auto"
    """Bits a channel: auto is 16 where the content has more than 8 and the format (.png, .tif) holds them."""
    profile: Profile = "srgb"
    """Colours of the result: srgb, or the content's own profile, in which the work is then done, too."""
    strip: bool = False
    """Leave out date, place, camera, copyright and all else that the content's file says."""
    existing: Existing = "replace"
    """A result whose name is taken: replace it, skip it, or refuse. An input is never replaced."""

    def __post_init__(self) -> None:
        """Check."""
        _check(self.quality)

    @property
    def bits(self) -> Literal[8, 16] | None:
        """The depth as :func:`claimkit.media.picture.write_picture` takes it."""
        return {"auto": None, "8": 8, "16": 16}[self.depth]


@dataclass(frozen=True)
class ClipOptions:
    """How a video is written."""

    encoder: Encoder = "auto"
    """auto is H.264, VP9 in .webm, and H.265 where HDR is kept."""
    quality: int = 80
    """From 1 to 100, of encoders that lose; 80 is lossless to the eye."""
    hdr: Hdr = "tone-map"
    """HLG and PQ become SDR by the curve of BT.2390, or are kept in 10 bits."""
    strip: bool = False
    """Leave out title, date, place and chapters."""
    existing: Existing = "replace"
    """A result whose name is taken: replace it, skip it, or refuse. An input is never replaced."""

    def __post_init__(self) -> None:
        """Check."""
        _check(self.quality)


def _check(quality: int) -> None:
    if not 1 <= quality <= 100:
        raise InputError(f"quality = {quality}: expected 1 to 100")
