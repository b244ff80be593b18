"""A video file, frame by frame: times as they are, colours by its tags, upright; never more than a few frames in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from claimkit.errors import InputError
from claimkit.files import AnyPath
from claimkit.media.colour.video import VideoColour, colour_of, turns_of
from claimkit.media.options import Hdr
from claimkit.media.stream import Frame as Frame
from claimkit.media.stream import Reader, open_clip, packets_of


@dataclass(frozen=True)
class ClipInfo:
    """What is in a video file.

    Attributes:
        path: The file.
        width: In pixels, as shown.
        height: As shown.
        rate: Frames a second in the mean.
        seconds: When its picture ends, by the times of the file: a picture may begin late. 0 where it does not say.
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


def clip_info(path: AnyPath) -> ClipInfo:
    """What is in a video file."""
    path = Path(path)
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
        if stream.duration:
            seconds = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        else:
            seconds = ((container.start_time or 0) + container.duration) / 1e6 if container.duration else 0.0
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
        count, sounds = stream.frames or None, len(container.streams.audio)
        return ClipInfo(path, width, height, rate, seconds, count, aspect, colour_of(decoded), sounds)


def read_frames(path: AnyPath, side: int = 0, hdr: Hdr = "tone-map", notes: list[str] | None = None) -> Iterator[Frame]:
    """The frames of a video in order.

    Args:
        path: The file.
        side: Shrink frames to at most so many pixels squared; 0 keeps their size.
        hdr: What becomes of HLG and PQ.
        notes: Given a sentence each on what was left out or changed.

    Raises:
        InputError: No video, or no frame in it.
    """
    path = Path(path)
    with open_clip(path) as container:
        reader = Reader(container, path, side, hdr)
        yield from reader.frames()
        if notes is not None:
            notes += reader.notes


def sample_frames(path: AnyPath, times: Iterable[float], side: int = 0) -> Iterator[Frame]:
    """The frame that is shown at each of some ascending times, one after the other; the first before all, the last after."""
    path, wanted = Path(path), list(times)
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


def read_sound(path: AnyPath, rate: int, track: int = 0, left: bool = False) -> NDArray[np.float32]:
    """A track of sound, mono, ``(samples,)``; it begins at the time 0 of the video, so that both stay in step.

    Args:
        path: A video, or a file of sound.
        rate: Samples a second.
        track: Which.
        left: Its left channel alone instead of the mix, in which two channels of opposite sign cancel.

    Raises:
        InputError: There is none.
    """
    path = Path(path)
    with open_clip(path) as container:
        if len(container.streams.audio) <= track:
            raise InputError(f"{path} has no sound{f' track {track}' if track else ''}")
        stream = container.streams.audio[track]
        resampler = av.AudioResampler(format="fltp", layout="stereo" if left else "mono", rate=rate)
        parts, have = [np.zeros(0, np.float32)], 0
        for packet in packets_of(container, path, (stream,), []):
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
