"""An open video file: its packets as far as they can be read, and its frames as pixels, upright, by their tags."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Disposition
from numpy.typing import NDArray

from claimkit.errors import InputError
from claimkit.files import AnyPath
from claimkit.media.colour.hdr import CURVE, NAMES
from claimkit.media.colour.video import VideoColour, colour_of, peak_of, to_rgb, turns_of, upright
from claimkit.media.options import Hdr
from claimkit.media.picture import fitted_size

if TYPE_CHECKING:
    from torch import Tensor

THREADS = min(4, os.cpu_count() or 1)
"""Of a decoder and of an encoder: each thread holds frames of its own, so that many cores would need much more memory."""

LARGE = 4_200_000
"""Pixels of frames that are decoded one after the other, by threads that share them: 50 MB less at 4K on two cores."""


@dataclass(frozen=True)
class Frame:
    """A frame.

    Attributes:
        pixels: ``(h, w, 3)`` bytes of sRGB, or 16 bits of HLG or PQ where those are kept; upright.
        pts: When it is shown, in units of ``time_base``.
        time_base: Seconds.
        duration: In units of ``time_base``; 0 where it is not said.
    """

    pixels: NDArray[Any]
    pts: int
    time_base: Fraction
    duration: int = 0

    @property
    def time(self) -> float:
        """Seconds."""
        return float(self.pts * self.time_base)

    @property
    def rgb(self) -> "Tensor":
        """The pixels as a tensor ``(3, h, w)`` in [0, 1]."""
        import torch

        top = float(np.iinfo(self.pixels.dtype).max)
        return torch.from_numpy(np.ascontiguousarray(self.pixels)).permute(2, 0, 1).float().div_(top)


class Reader:
    """The frames of an open video, and what happened while they were read.

    Args:
        container: Open.
        path: Its file.
        side: Frames are shrunk to at most so many pixels squared; 0 keeps their size.
        hdr: What becomes of HLG and PQ.

    Attributes:
        stream: The video.
        notes: A sentence each on what was left out or changed.
    """

    def __init__(self, container: Any, path: Path, side: int = 0, hdr: Hdr = "tone-map"):
        self.container, self.path, self.side = container, path, side
        self.hdr: Hdr = hdr
        self.stream = video_stream(container, path)
        coded = self.stream.codec_context  # none of an unknown codec
        large = coded is not None and coded.width * coded.height > LARGE
        self.stream.thread_type, self.stream.thread_count = "SLICE" if large else "AUTO", THREADS
        self.notes: list[str] = []
        self.colour: VideoColour | None = None
        self._turns, self._peak = (0, False), 0.0
        self._last: int | None = None
        self._damaged, self._count = 0, 0
        self._end, self._whole = 0.0, False

    def decode(self, packet: Any) -> list[Any]:
        """The decoder's frames of a packet of the video; a damaged packet gives none."""
        try:
            return packet.decode()
        except FFmpegError:
            self._damaged += 1
            return []

    def frame(self, decoded: Any) -> Frame:
        """A decoded frame as pixels."""
        colour = colour_of(decoded)
        if self.colour is None:  # once a file: looking at side data makes a cycle, and the frame waits
            self.colour, self._turns, self._peak = colour, turns_of(decoded), peak_of(decoded)
            self._say_colour(colour)
            if decoded.interlaced_frame:
                self.notes.append(f"{self.path} is interlaced: its frames are taken as they are, both fields in one")
        size = fitted_size(decoded.width, decoded.height, self.side)
        pixels = upright(to_rgb(decoded, colour, size, self.hdr, self._peak), self._turns)
        base = decoded.time_base or self.stream.time_base
        pts = decoded.pts if decoded.pts is not None else decoded.dts
        if pts is None:
            pts = round(self._count / (self.stream.average_rate or 25) / base)
        pts = pts if self._last is None else max(pts, self._last + 1)
        self._last, self._count = pts, self._count + 1
        return Frame(pixels, pts, base, decoded.duration or 0)

    def packets(self, *streams: Any) -> Iterator[Any]:
        """Packets in the order of the file, as far as it can be read."""
        for packet in packets_of(self.container, self.path, streams, self.notes):
            if packet.pts is not None:
                self._end = max(self._end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            yield packet
        self._whole = not streams or len(self.container.streams) == len(streams)

    def frames(self) -> Iterator[Frame]:
        """All frames."""
        for packet in self.packets(self.stream):
            for decoded in self.decode(packet):
                yield self.frame(decoded)
        self.finish()

    def finish(self) -> None:
        """Say what was missing, once all is read.

        Raises:
            InputError: There was no frame at all.
        """
        if self._count == 0:
            raise InputError(f"{self.path} holds no frame that can be decoded")
        if self._damaged:
            self.notes.append(f"{self.path} is damaged: {self._damaged} part(s) of its video were left out")
        said = self.stream.frames
        if said and self._count < said and not self._damaged:
            self.notes.append(f"{self.path} is cut: it says that it has {said} frames, and {self._count} are there")
            return
        start, lasts = ((v or 0) / 1e6 for v in (self.container.start_time, self.container.duration))
        if self._whole and self._end < start + lasts - max(0.3, 0.02 * lasts):
            self.notes.append(
                f"{self.path} is cut: it says that it lasts {lasts:.1f} s, and {self._end - start:.1f} s are there"
            )

    def _say_colour(self, colour: VideoColour) -> None:
        if colour.hdr and self.hdr == "tone-map":
            self.notes.append(f"{self.path} is {NAMES[colour.transfer]}: it is mapped to SDR by {CURVE}")
        elif colour.wide and not colour.hdr:
            self.notes.append(f"{self.path} has colours beyond sRGB: they are converted, and cut where sRGB ends")


@contextmanager
def open_clip(path: AnyPath) -> Iterator[Any]:
    """The container of a video file, open.

    Raises:
        InputError: No file, or none that can be read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a video file")
    with named(path):
        container = av.open(str(path), metadata_errors="replace")
    with container:
        yield container


@contextmanager
def named(path: Path) -> Iterator[None]:
    """The library's errors about a file as one sentence."""
    try:
        yield
    except FFmpegError as e:
        said = (e.strerror or str(e)).lower()
        raise InputError(f"{path} is not a video that can be read, or it is damaged: {said}") from e
    except (ValueError, UnicodeError) as e:  # of what the library makes of odd headers
        raise InputError(f"{path} is not a video that can be read, or it is damaged") from e


def video_stream(container: Any, path: Path) -> Any:
    """The first video that is no cover picture.

    Raises:
        InputError: There is none.
    """
    streams = [s for s in container.streams.video if not (s.disposition or 0) & Disposition.attached_pic]
    if not streams:
        raise InputError(f"{path} has no picture: a video is needed")
    return streams[0]


def packets_of(container: Any, path: Path, streams: Any, notes: list[str]) -> Iterator[Any]:
    """Packets of some streams in the order of the file, as far as it can be read; a note where that is not its end."""
    packets = container.demux(*streams)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FFmpegError as e:
            notes.append(f"{path} is damaged ({(e.strerror or str(e)).lower()}): it is used as far as it goes")
            return
        yield packet
