"""Videos, frame by frame with one prepared style, and how steadily the result follows its content."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from claimkit.errors import InputError
from claimkit.media.clip import Frame
from claimkit.media.frames import transform_frames
from claimkit.media.options import ClipOptions
from styleproj.pictures.flicker import Flicker
from styleproj.pictures.steady import Steady
from styleproj.pictures.style import Style
from styleproj.pictures.stylizer import Stylizer


@dataclass(frozen=True)
class VideoReport:
    """What was done: frames, seconds for reading, stylising and writing them, flicker, and what was lost or changed."""

    frames: int
    seconds: float
    flicker: Flicker
    notes: tuple[str, ...] = ()


# the arguments of photonet's, described again: neither package imports the other, and the loops differ
def stylize_video(
    stylizer: Stylizer,
    source: Path,
    style: Style,
    target: Path,
    alpha: float = 1.0,
    size: int = 0,
    output: ClipOptions | None = None,
    steady: bool = False,
) -> VideoReport:
    """Stylise a video, or a folder of frames in the order of their names.

    Args:
        stylizer: The network.
        source: Video file, or folder of pictures.
        style: Prepared once.
        target: Video file; or, where it has no suffix, a folder for frames. A video appears whole or not at all.
        alpha: Strength in [0, 1].
        size: Shrink frames to at most so many pixels squared; 0 keeps their size.
        output: Encoder, quality and the like.
        steady: Keep one slowly changing map of values for all frames, see :class:`styleproj.pictures.steady.Steady`.

    Raises:
        InputError: The source cannot be read, has no frames, or would be replaced; or HDR shall be kept.
    """
    output = output or ClipOptions()
    if output.hdr == "keep":
        raise InputError("hdr = 'keep': styles are painted in SDR colours; leave it at tone-map")
    start, flicker = time.perf_counter(), Flicker()
    paint = Steady(stylizer, style, alpha) if steady else partial(stylizer.stylize, style=style, alpha=alpha)

    def change(frame: Frame) -> Tensor:
        content = frame.rgb
        result = paint(content)
        flicker.add(content, result)
        return result

    done = transform_frames(source, target, change, output, size)
    return VideoReport(done.frames, time.perf_counter() - start, flicker, done.notes)
