"""Videos: one prepared style, and statistics of the content that change slowly, so that the result does not flicker."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from claimkit.errors import InputError
from claimkit.media.clip import Frame
from claimkit.media.frames import transform_frames
from claimkit.media.options import ClipOptions
from claimkit.style.transforms import Statistics
from photonet.execution.style import Style
from photonet.look import Table
from photonet.regions.labels import FrameRegions
from photonet.stylizer import PhotoStylizer

CUT = 0.15  # mean absolute change from frame to frame, of values in [0, 1], that is taken for another scene
SEEN = 960  # changes are measured at about so many places along the longer side: whole frames kept are 50 MB at 1080p


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
    """What was done: frames, cuts, seconds for reading, stylising and writing, steadiness, and what was lost or changed."""

    frames: int
    cuts: int
    seconds: float
    steadiness: Steadiness
    notes: tuple[str, ...] = ()


# the arguments of styleproj's, described again: neither package imports the other, and the loops differ
def stylize_video(
    stylizer: PhotoStylizer,
    source: Path,
    style: Style | Table,
    target: Path,
    alpha: float = 1.0,
    size: int = 0,
    memory: float = 0.8,
    regions: FrameRegions | None = None,
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
        memory: Of :class:`Smoother`; it begins anew where the picture changes all at once.
        regions: Of the frames, where the style was prepared with theirs.
        output: Encoder, quality and the like.

    Raises:
        InputError: The source cannot be read, has no frames, or would be replaced; or HDR shall be kept, whose values only a
            table of colours made for them can be given.
    """
    if output is not None and output.hdr == "keep" and not isinstance(style, Table):
        raise InputError(
            "hdr = 'keep': the light of a photograph is SDR's; leave it at tone-map, or give a .cube that was made for HDR"
        )
    start, steadiness, smoother = time.perf_counter(), Steadiness(), Smoother(memory)
    count = cuts = 0
    last: tuple[Tensor, Tensor] | None = None

    def change(frame: Frame) -> Tensor:
        nonlocal count, cuts, last
        content = frame.rgb
        now = _sampled(content)
        moved = 0.0 if last is None else float((now - last[0]).abs_().mean())
        cut = moved > CUT
        if cut:
            smoother.forget()
            cuts += 1
        masks = None if regions is None else regions(content, count)
        result = stylizer.stylize(content, style, alpha, masks=masks, smooth=smoother)
        made = _sampled(result)
        if last is not None and not cut:
            steadiness.content += moved
            steadiness.result += float((made - last[1]).abs_().mean())
        last, count = (now, made), count + 1
        return result

    done = transform_frames(source, target, change, output, size)
    return VideoReport(done.frames, cuts, time.perf_counter() - start, steadiness, done.notes)


def _sampled(picture: Tensor) -> Tensor:
    """Some of the pixels, on a grid."""
    step = max(1, round(max(picture.shape[-2:]) / SEEN))
    return picture[:, ::step, ::step].clone() if step > 1 else picture
