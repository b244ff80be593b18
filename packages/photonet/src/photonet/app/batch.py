"""One picture of many: its files read, its segmentations fitted to it, its style prepared once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.media.batch import Task
from claimkit.media.options import PictureOptions
from claimkit.media.picture import Picture, write_picture
from claimkit.media.reading import read_picture
from photonet.execution.style import Style
from photonet.look import Table
from photonet.regions.labels import Say, read_segmentations
from photonet.regions.maps import read_masks
from photonet.stylizer import PhotoStylizer

LOOKS = (".style", ".cube")
"""Suffixes of styles that were prepared, and of tables."""


@dataclass(frozen=True)
class Options:
    """What all pictures of a batch have in common; segmentations go with one pair.

    Pictures of more than ``size`` or ``style_size`` pixels squared are shrunk to that area; 0 keeps them.

    ``say`` is told where labels of them were taken for one; a warning when None.
    """

    alpha: float = 1.0
    size: int = 0
    style_size: int = 1024
    content_segmentation: Path | None = None
    style_segmentation: Path | None = None
    say: Say | None = None


class Batch:
    """Makes pictures with what they have in common; styles are prepared once for each space of colours.

    What is transparent is neither changed nor looked at: it is mirrored from what is seen, and put back as it was.

    Args:
        stylizer: The network.
        options: What is made of a content.
        output: How results are written.
    """

    def __init__(self, stylizer: PhotoStylizer, options: Options, output: PictureOptions):
        self.stylizer, self.options, self.output = stylizer, options, output
        self._known: dict[tuple[Path, bytes | None], tuple[Style | Table, Sequence[str]] | InputError] = {}

    def __call__(self, task: Task) -> Sequence[str]:
        """Make one picture; return what was lost or guessed, a sentence each."""
        o, out = self.options, self.output
        content = read_picture(task.content, "own" if out.profile == "content" else None, side=o.size)
        if o.content_segmentation is not None or o.style_segmentation is not None:
            result, said = _segmented(self.stylizer, task, content, o)
        else:
            style, said = self._style(task.styles[0], content.profile)
            result = self.stylizer.stylize(content.solid, style, o.alpha)
        if content.seen is not None:
            result = torch.where(content.seen > 0, result, content.rgb)
        lost = write_picture(task.target, content.with_rgb(result), quality=out.quality, depth=out.bits, strip=out.strip)
        return [*content.notes, *said, *lost]

    def _style(self, path: Path, space: bytes | None) -> tuple[Style | Table, Sequence[str]]:
        if (path, space) not in self._known:
            try:
                self._known[path, space] = prepare(self.stylizer, path, self.options.style_size, space)
            except InputError as e:
                self._known[path, space] = e if path.name in str(e) else InputError(f"{path}: {e}")
        found = self._known[path, space]
        if isinstance(found, InputError):
            raise found
        return found


def prepare(
    stylizer: PhotoStylizer, path: Path, size: int, space: bytes | None = None
) -> tuple[Style | Table, Sequence[str]]:
    """A style from a picture, in the space of colours of its content, or from a file that keeps one; and notes on it."""
    if path.suffix.lower() in LOOKS:
        return stylizer.prepare(path), ()
    picture = read_picture(path, space, side=size)
    return stylizer.prepare(picture.solid, name=path.stem), picture.notes


def _segmented(stylizer: PhotoStylizer, task: Task, content: Picture, options: Options) -> tuple[Tensor, Sequence[str]]:
    """One pair with segmentations, which have the shapes of the files."""
    of_content, of_style, path = options.content_segmentation, options.style_segmentation, task.styles[0]
    if of_content is None or of_style is None:
        raise InputError("a segmentation of the content needs one of the style, and the other way round: give both")
    if path.suffix.lower() in LOOKS:
        raise InputError("a segmentation of the style goes with its picture, not with a prepared style")
    style = read_picture(path, content.profile, side=options.style_size)
    rgb, small = content.solid, style.solid
    size, style_size = ((x.shape[-2], x.shape[-1]) for x in (rgb, small))
    if of_content.is_dir() and of_style.is_dir():
        masks, style_masks = read_masks(of_content, of_style, size, style_size)
        return stylizer.stylize(rgb, small, options.alpha, masks=masks, style_masks=style_masks), style.notes
    labels, style_labels = read_segmentations(of_content, of_style, size, style_size, options.say)
    return stylizer.stylize(rgb, small, options.alpha, labels=labels, style_labels=style_labels), style.notes
