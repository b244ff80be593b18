"""Frame after frame, from a video or a folder of pictures, into a video or a folder of pictures."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import AnyPath
from claimkit.media.clip import Frame, clip_info, read_frames
from claimkit.media.depth.levels import to_bits
from claimkit.media.options import ClipOptions
from claimkit.media.picture import Picture, write_picture
from claimkit.media.policy import check_results, list_pictures
from claimkit.media.reading import read_picture
from claimkit.media.writing import ClipReport, VideoWriter, check_container, rewrite_clip

if TYPE_CHECKING:
    from torch import Tensor

RATE = Fraction(25)
"""Frames a second of a folder of pictures."""


def transform_frames(
    source: AnyPath,
    target: AnyPath,
    change: "Callable[[Frame], Tensor]",
    options: ClipOptions | None = None,
    side: int = 0,
    inputs: tuple[AnyPath, ...] = (),
) -> ClipReport:
    """Write what becomes of every frame.

    Args:
        source: A video, or a folder of pictures in the order of their names.
        target: A video, which appears whole or not at all and keeps the source's times, sounds and subtitles; or, where it
            has no suffix, a folder of pictures, which then holds the frames of this clip alone.
        change: What becomes of a frame, ``(3, h, w)`` in [0, 1]; of one size for all.
        options: Of a video.
        side: Frames are shrunk to at most so many pixels squared before; 0 keeps their size.
        inputs: Other files that are read, and must not be replaced.

    Raises:
        InputError: The source cannot be read, holds no frame, or would be replaced; there are frames that must not be; or
            HDR shall be kept in pictures.
    """
    source, target, options = Path(source), Path(target), options or ClipOptions()
    if not source.exists():
        raise InputError(f"{source} does not exist: give a video, or a folder of frames")
    if target.suffix:
        check_container(target, options)
        check_results([target], [source, *inputs], options.existing)
        if options.existing == "skip" and target.exists():
            return ClipReport(0, 0.0, (f"{target} exists already and is skipped",))
    elif options.hdr == "keep":
        raise InputError("hdr = 'keep': pictures are written as SDR; give --out a video, or leave it at tone-map")
    elif target.is_dir() and source.is_dir() and target.samefile(source):
        raise InputError(f"the results would lie among the frames of {source}: give --out another folder")
    elif _written(target) and options.existing == "refuse":
        raise InputError(f"{target} holds frames already: give another --out, or --existing replace")
    elif _written(target) and options.existing == "skip":
        return ClipReport(0, 0.0, (f"{target} holds frames already and is skipped",))
    if target.suffix and not source.is_dir():
        return rewrite_clip(source, target, change, options, side)
    notes: list[str] = []
    frames = _pictures(source, side, notes) if source.is_dir() else read_frames(source, side, notes=notes)
    total = len(list_pictures(source).files) if source.is_dir() else clip_info(source).frames
    times: list[float] = []
    shown = run.progress(frames, source.name, total=total, unit="frame")
    if target.suffix:
        with VideoWriter(target, RATE, options) as writer:
            for frame in shown:
                writer.write(change(frame))
                times.append(frame.time)
    else:
        for frame in shown:
            pixels = change(frame).detach().permute(1, 2, 0).float().cpu().numpy()
            write_picture(target / f"{len(times):06d}.png", Picture(to_bits(np.clip(pixels, 0, 1), 8)))
            times.append(frame.time)
        for old in _written(target)[len(times) :]:
            old.unlink()  # of an earlier, longer clip
    return ClipReport(len(times), times[-1] - times[0], tuple(notes))


def _written(target: Path) -> list[Path]:
    """Frames that were written to a folder, in their order."""
    return sorted(p for p in target.glob("*.png") if p.stem.isdigit() and len(p.stem) == 6)


def _pictures(folder: Path, side: int, notes: list[str]) -> Iterator[Frame]:
    listing = list_pictures(folder)
    notes += listing.skipped
    for number, path in enumerate(listing.files):
        picture = read_picture(path, side=side)
        notes += picture.notes
        pixels = to_bits(picture.pixels, 8)
        if picture.opacity is not None:
            share = to_bits(picture.opacity, 8)[..., None] / np.float32(255)
            pixels = to_bits(pixels / np.float32(255) * share + (1 - share), 8)
        yield Frame(pixels, number, 1 / RATE)
