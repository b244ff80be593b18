"""A video file, frame by frame: times as they are, colours by its tags, upright; never more than a few frames in memory."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from claimkit.errors import InputError
from claimkit.media.hdr import CURVE, NAMES
from claimkit.media.options import Hdr
from claimkit.media.picture import fitted_size
from claimkit.media.video_colour import VideoColour, colour_of, to_rgb, turns_of, upright

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ClipInfo:
    """What is in a video file.

    Attributes:
        path: The file.
        width: In pixels, as shown.
        height: As shown.
        rate: Frames a second in the mean.
        seconds: How long it is; 0 where it does not say.
        frames: Their number where it says it.
        aspect: Width of a pixel over its height, as shown.
        colour: Of its first frame.
        sounds: Tracks of sound.
    """

    path: Path
    width: int
    height: int
    rate: Fraction
    seconds: float
    frames: int | None
    aspect: Fraction
    colour: VideoColour
    sounds: int


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
        return torch.from_numpy(np.ascontiguousarray(self.pixels)).permute(2, 0, 1).float() / top


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
        self.stream.thread_type = "AUTO"
        self.notes: list[str] = []
        self.colour: VideoColour | None = None
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
        colour, turns = colour_of(decoded), turns_of(decoded)
        if self.colour is None:
            self.colour = colour
            self._say_colour(colour)
            if decoded.interlaced_frame:
                self.notes.append(f"{self.path} is interlaced: its frames are taken as they are, both fields in one")
        size = fitted_size(decoded.width, decoded.height, self.side)
        pixels = upright(to_rgb(decoded, colour, size, self.hdr), turns)
        base = decoded.time_base or self.stream.time_base
        pts = decoded.pts if decoded.pts is not None else decoded.dts
        if pts is None:
            pts = round(self._count / (self.stream.average_rate or 25) / base)
        pts = pts if self._last is None else max(pts, self._last + 1)
        self._last, self._count = pts, self._count + 1
        return Frame(pixels, pts, base, decoded.duration or 0)

    def packets(self, *streams: Any) -> Iterator[Any]:
        """Packets in the order of the file, as far as it can be read."""
        for packet in _packets(self.container, self.path, streams, self.notes):
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
def open_clip(path: Path) -> Iterator[Any]:
    """The container of a video file, open.

    Raises:
        InputError: No file, or none that can be read.
    """
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
    streams = [s for s in container.streams.video if not (s.disposition and "attached_pic" in str(s.disposition))]
    if not streams:
        raise InputError(f"{path} has no picture: a video is needed")
    return streams[0]


def clip_info(path: Path) -> ClipInfo:
    """What is in a video file."""
    with open_clip(path) as container:
        reader = Reader(container, path)
        stream, decoded = reader.stream, None
        for packet in reader.packets(stream):
            decoded = next(iter(reader.decode(packet)), None)
            if decoded is not None:
                break
        if decoded is None:
            raise InputError(f"{path} holds no frame that can be decoded")
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        width, height = decoded.width, decoded.height
        if turns_of(decoded)[0] % 2:
            width, height, aspect = height, width, 1 / aspect
        seconds = float(stream.duration * stream.time_base) if stream.duration else float(container.duration or 0) / 1e6
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        count, sounds = stream.frames or None, len(container.streams.audio)
        return ClipInfo(path, width, height, rate, seconds, count, aspect, colour_of(decoded), sounds)


def read_frames(path: Path, side: int = 0, hdr: Hdr = "tone-map", notes: list[str] | None = None) -> Iterator[Frame]:
    """The frames of a video in order.

    Args:
        path: The file.
        side: Shrink frames to at most so many pixels squared; 0 keeps their size.
        hdr: What becomes of HLG and PQ.
        notes: Given a sentence each on what was left out or changed.

    Raises:
        InputError: No video, or no frame in it.
    """
    with open_clip(path) as container:
        reader = Reader(container, path, side, hdr)
        yield from reader.frames()
        if notes is not None:
            notes += reader.notes


def sample_frames(path: Path, times: Iterable[float], side: int = 0) -> Iterator[Frame]:
    """The frame that is shown at each of some ascending times, one after the other; the first before all, the last after."""
    wanted = list(times)
    last: Frame | None = None
    done = 0
    with open_clip(path) as container:
        reader = Reader(container, path, side)
        held: Any = None
        for packet in reader.packets(reader.stream):
            for decoded in reader.decode(packet):
                time = float((decoded.pts or 0) * (decoded.time_base or reader.stream.time_base))
                while held is not None and done < len(wanted) and wanted[done] < time:
                    last = last if last is not None else reader.frame(held)
                    yield last
                    done += 1
                held, last = decoded, None
            if done == len(wanted):
                return
        if held is None:
            raise InputError(f"{path} holds no frame that can be decoded")
        last = last if last is not None else reader.frame(held)
    for _ in wanted[done:]:
        yield last


def read_sound(path: Path, rate: int, track: int = 0) -> NDArray[np.float32]:
    """A track of sound, mono, ``(samples,)``; it begins at the time 0 of the video, so that both stay in step.

    Args:
        path: A video, or a file of sound.
        rate: Samples a second.
        track: Which.

    Raises:
        InputError: There is none.
    """
    with open_clip(path) as container:
        if len(container.streams.audio) <= track:
            raise InputError(f"{path} has no sound{f' track {track}' if track else ''}")
        stream = container.streams.audio[track]
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
        parts, have = [np.zeros(0, np.float32)], 0
        for packet in _packets(container, path, (stream,), []):
            try:
                decoded = packet.decode()
            except FFmpegError:
                continue
            for frame in decoded:
                gap = round((frame.time or 0) * rate) - have
                gap = gap if gap > (0 if have == 0 else rate // 10) else 0
                parts += [np.zeros(gap, np.float32), *(f.to_ndarray()[0] for f in resampler.resample(frame))]
                have += gap + round(frame.samples * rate / frame.sample_rate)
        parts += [f.to_ndarray()[0] for f in resampler.resample(None)] if len(parts) > 1 else []
    return np.concatenate(parts).astype(np.float32)


def _packets(container: Any, path: Path, streams: Any, notes: list[str]) -> Iterator[Any]:
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
