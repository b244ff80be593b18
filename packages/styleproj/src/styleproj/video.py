"""Videos, frame by frame with one prepared style, and how steadily the result follows its content."""

import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from claimkit import run
from claimkit.errors import InputError
from claimkit.style.images import fit, image_files, read_image, write_image
from claimkit.style.video import VideoWriter, read_frames, video_info
from styleproj.style import Style
from styleproj.stylizer import Stylizer


@dataclass
class Steadiness:
    """How much a stylised video changes from frame to frame, against how much its content does.

    A ratio of 1 changes as much as the content; what exceeds the contrast that the style adds is flicker.
    """

    content: float = 0.0
    result: float = 0.0
    pairs: int = 0
    _last: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    def add(self, content: Tensor, result: Tensor) -> None:
        """Take the next frame and what became of it."""
        if self._last is not None:
            self.content += float((content - self._last[0]).abs().mean())
            self.result += float((result - self._last[1]).abs().mean())
            self.pairs += 1
        self._last = content, result

    @property
    def ratio(self) -> float | None:
        """Mean absolute change of the result over that of the content; None where nothing moved."""
        return self.result / self.content if self.content > 0 else None


@dataclass(frozen=True)
class VideoReport:
    """What was done: frames, seconds for reading, stylising and writing them, and steadiness."""

    frames: int
    seconds: float
    steadiness: Steadiness


def stylize_frames(
    stylizer: Stylizer, frames: Iterable[Tensor], style: Style, alpha: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of a frame and what it becomes."""
    for frame in frames:
        yield frame, stylizer.stylize(frame, style, alpha)


def stylize_video(
    stylizer: Stylizer, source: Path, style: Style, target: Path, alpha: float = 1.0, longest: int | None = None
) -> VideoReport:
    """Stylise a video, or a folder of frames in the order of their names.

    Args:
        stylizer: The network.
        source: Video file, or folder of pictures.
        style: Prepared once.
        target: Video file; or, where it has no suffix, a folder for frames. A video appears whole or not at all.
        alpha: Strength in [0, 1].
        longest: Shrink frames so that their longer side is at most this.

    Raises:
        InputError: The source cannot be read, or has no frames.
    """
    if source.is_dir():
        files = image_files(source)
        frames, total, rate = (read_image(f) for f in files), len(files), Fraction(25)
    else:
        info = video_info(source)
        frames, total, rate = read_frames(source), info.frames, info.rate
    start = time.perf_counter()
    steadiness, count = Steadiness(), 0
    fitted = (frame if longest is None else fit(frame, longest) for frame in frames)
    sound = None if source.is_dir() else source
    with VideoWriter(target, rate, sound) if target.suffix else nullcontext() as writer:
        stylised = stylize_frames(stylizer, fitted, style, alpha)
        for frame, result in run.progress(stylised, source.name, total=total, unit="frame"):
            steadiness.add(frame, result)
            if writer is None:
                write_image(target / f"{count:06d}.png", result)
            else:
                writer.write(result)
            count += 1
        if count == 0:
            raise InputError(f"{source} holds no frames: give a video or a folder of pictures")
    return VideoReport(count, time.perf_counter() - start, steadiness)
