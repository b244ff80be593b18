"""Videos: one prepared style, and statistics of the content that change slowly, so that the result does not flicker."""

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from claimkit import run
from claimkit.errors import InputError
from claimkit.style.images import fit, image_files, read_image, write_image
from claimkit.style.transforms import Statistics
from claimkit.style.video import VideoWriter, read_frames, video_info
from photonet.look import Table
from photonet.regions import FrameRegions
from photonet.style import Style
from photonet.stylizer import PhotoStylizer

CUT = 0.15  # mean absolute change from frame to frame, of values in [0, 1], that is taken for another scene


@dataclass
class Smoother:
    """Exponential moving averages of the statistics at every transfer and norm of a network.

    Attributes:
        memory: Share of what was before, from 0 (each frame by itself) to below 1.
    """

    memory: float = 0.8
    _kept: dict[str, Statistics] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Check."""
        if not 0 <= self.memory < 1:
            raise InputError(f"memory = {self.memory}: expected a share from 0 to below 1")

    def __call__(self, name: str, now: Statistics) -> Statistics:
        """The average, this frame's included; the first frame's are its own."""
        before, m = self._kept.get(name), self.memory
        if before is not None:
            step = now.mean - before.mean
            spread = m * (1 - m) * step[..., None] * step[..., None, :]  # of the mixture of both: their means differ
            covariance = m * before.covariance + (1 - m) * now.covariance + spread
            now = Statistics(before.mean + (1 - m) * step, covariance)
        self._kept[name] = now
        return now

    def forget(self) -> None:
        """Begin anew, at a cut."""
        self._kept.clear()


@dataclass
class Steadiness:
    """Mean absolute change from frame to frame, of content and result; what exceeds a ratio of 1 may be flicker."""

    content: float = 0.0
    result: float = 0.0

    @property
    def ratio(self) -> float | None:
        """Change of the result over that of the content; None where nothing moved."""
        return self.result / self.content if self.content > 0 else None


@dataclass(frozen=True)
class VideoReport:
    """What was done: frames, cuts, seconds for reading, stylising and writing, and steadiness."""

    frames: int
    cuts: int
    seconds: float
    steadiness: Steadiness


def stylize_video(
    stylizer: PhotoStylizer,
    source: Path,
    style: Style | Table,
    target: Path,
    alpha: float = 1.0,
    longest: int | None = None,
    memory: float = 0.8,
    regions: FrameRegions | None = None,
) -> VideoReport:
    """Stylise a video, or a folder of frames in the order of their names.

    Args:
        stylizer: The network.
        source: Video file, or folder of pictures.
        style: Prepared once.
        target: Video file; or, where it has no suffix, a folder for frames. A video appears whole or not at all.
        alpha: Strength in [0, 1].
        longest: Shrink frames so that their longer side is at most this.
        memory: Of :class:`Smoother`; it begins anew where the picture changes all at once.
        regions: Of the frames, where the style was prepared with theirs.

    Raises:
        InputError: The source cannot be read, or has no frames.
    """
    if source.is_dir():
        files = image_files(source)
        frames, total, rate = (read_image(f) for f in files), len(files), Fraction(25)
    else:
        info = video_info(source)
        frames, total, rate = read_frames(source), info.frames, info.rate
    start, steadiness, smoother = time.perf_counter(), Steadiness(), Smoother(memory)
    count = cuts = 0
    last: tuple[Tensor, Tensor] | None = None
    with VideoWriter(target, rate, None if source.is_dir() else source) if target.suffix else nullcontext() as writer:
        for frame in run.progress(frames, source.name, total=total, unit="frame"):
            content = frame if longest is None else fit(frame, longest)
            moved = 0.0 if last is None else float((content - last[0]).abs().mean())
            cut = moved > CUT
            if cut:
                smoother.forget()
                cuts += 1
            masks = None if regions is None else regions(content, count)
            result = stylizer.stylize(content, style, alpha, masks=masks, smooth=smoother)
            if last is not None and not cut:
                steadiness.content += moved
                steadiness.result += float((result - last[1]).abs().mean())
            if writer is None:
                write_image(target / f"{count:06d}.png", result)
            else:
                writer.write(result)
            last, count = (content, result), count + 1
        if count == 0:
            raise InputError(f"{source} holds no frames: give a video or a folder of pictures")
    return VideoReport(count, cuts, time.perf_counter() - start, steadiness)
