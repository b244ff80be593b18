"""Videos as the localiser takes them: pictures and 16 kHz sound in, a heat map over the pictures with all else kept out.

Files are read and written by :mod:`claimkit.media`; times are those of the file.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from avcurriculum.audio import RATE, SILENCE, rms
from claimkit.errors import InputError
from claimkit.files import AnyPath
from claimkit.media import clip as clips
from claimkit.media.options import ClipOptions
from claimkit.media.policy import CLIPS as SUFFIXES
from claimkit.media.policy import Listing, list_clips
from claimkit.media.writing import ClipReport, VideoWriter, rewrite_clip

__all__ = ["SUFFIXES", "Clip", "Frame", "folder_clips", "read_clip", "repaint", "sample_frames", "write_clip"]

Frame = UInt8[NDArray, "height width 3"]
LOOKED_AT = 512
"""Frames are shrunk to this many pixels squared before a network looks at them."""


@dataclass(frozen=True)
class Clip:
    """A video's facts as it is shown, and its sound, ``(samples,)`` mono at 16 kHz, which begins at the time 0."""

    path: Path
    width: int
    height: int
    rate: Fraction
    seconds: float
    sound: Float[NDArray, " samples"]


def read_clip(path: AnyPath) -> Clip:
    """Facts and sound of a video; both a picture and a sound track are needed.

    The sound is that of the first track that is not silent; where all are, the left channel of the first where it is not.

    Raises:
        InputError: Not a video, no picture, or no sound, or one that is not finite.
    """
    path = Path(path)
    info = clips.clip_info(path)
    if not info.sounds:
        raise InputError(f"{path} has no sound: a video with picture and sound is needed")
    tracks = [(track, left) for left in (False, True) for track in range(info.sounds)]
    sound = _finite(clips.read_sound(path, RATE), path)
    for track in tracks[1:] if rms(sound) < SILENCE else ():
        other = _finite(clips.read_sound(path, RATE, *track), path)
        if rms(other) >= SILENCE:
            sound = other
            break
    return Clip(path, info.width, info.height, info.rate, info.seconds or sound.size / RATE, sound)


def _finite(sound: Float[NDArray, " samples"], path: Path) -> Float[NDArray, " samples"]:
    if not np.isfinite(sound).all():
        raise InputError(f"{path} has a sound that is not finite: the file is broken")
    return sound


def sample_frames(path: AnyPath, times: Iterable[float], side: int = LOOKED_AT) -> Iterator[Frame]:
    """The frames shown at some ascending times, one by one, shrunk to ``side`` pixels squared; 0 keeps their size."""
    for frame in clips.sample_frames(path, times, side):
        yield frame.pixels


def repaint(
    clip: Clip, out: AnyPath, paint: Callable[[float, Frame], Frame], options: ClipOptions | None = None
) -> ClipReport:
    """Write the clip with every frame repainted; sounds, subtitles and times stay. The file appears whole or not at all.

    Raises:
        InputError: The suffix names no container that can be written, or the result would replace the clip.
    """
    return rewrite_clip(clip.path, out, lambda frame: paint(frame.time, frame.pixels), options)


def write_clip(path: AnyPath, pictures: Iterable[Frame], rate: int, sound: Float[NDArray, " samples"]) -> None:
    """Write pictures and mono sound at 16 kHz as a video."""
    with VideoWriter(path, rate, sound=(sound, RATE)) as writer:
        for picture in pictures:
            writer.write(picture)


def folder_clips(folder: AnyPath) -> Listing:
    """Files in a folder, and in its folders, that are named like videos, sorted; and what was not taken.

    Raises:
        InputError: No such folder, or none in it.
    """
    return list_clips(folder)
