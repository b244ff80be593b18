"""Videos, frame by frame with one prepared style, and how steadily the result follows its content."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from claimkit.media.clip import Frame
from claimkit.media.frames import transform_frames
from claimkit.media.options import ClipOptions
from styleproj.pictures.style import Style
from styleproj.pictures.stylizer import Stylizer


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
    """What was done: frames, seconds for reading, stylising and writing them, steadiness, and what was lost or changed."""

    frames: int
    seconds: float
    steadiness: Steadiness
    notes: tuple[str, ...] = ()


def stylize_frames(
    stylizer: Stylizer, frames: Iterable[Tensor], style: Style, alpha: float
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of a frame and what it becomes."""
    for frame in frames:
        yield frame, stylizer.stylize(frame, style, alpha)


def stylize_video(
    stylizer: Stylizer,
    source: Path,
    style: Style,
    target: Path,
    alpha: float = 1.0,
    size: int = 0,
    output: ClipOptions | None = None,
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

    Raises:
        InputError: The source cannot be read, has no frames, or would be replaced.
    """
    start, steadiness = time.perf_counter(), Steadiness()

    def change(frame: Frame) -> Tensor:
        content = frame.rgb
        result = stylizer.stylize(content, style, alpha)
        steadiness.add(content, result)
        return result

    done = transform_frames(source, target, change, output, size)
    return VideoReport(done.frames, time.perf_counter() - start, steadiness, done.notes)
