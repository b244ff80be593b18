"""One picture of many: its files read, its masks fitted to it, its style prepared once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.media.batch import Task
from claimkit.media.options import PictureOptions
from claimkit.media.picture import Picture, write_picture
from claimkit.media.reading import read_picture
from styleproj.pictures.canvas import checked_detail, checked_stroke
from styleproj.pictures.style import Style
from styleproj.pictures.stylizer import PreserveColor, Stylizer


@dataclass(frozen=True)
class Options:
    """What all pictures of a batch have in common; see :meth:`Stylizer.stylize`.

    Pictures of more than ``size`` or ``style_size`` pixels squared are shrunk to that area; 0 keeps them.
    """

    alpha: float = 1.0
    weights: tuple[float, ...] = ()
    size: int = 1024
    style_size: int = 512
    mask: Path | None = None
    style_mask: Path | None = None
    labels: Path | None = None
    style_labels: Path | None = None
    preserve_color: PreserveColor | None = None
    stroke: float | None = None
    keep_detail: float = 0.0

    def __post_init__(self) -> None:
        """Check what can be without a picture, before any is read."""
        checked_stroke(self.stroke)
        checked_detail(self.keep_detail)

    @property
    def files(self) -> tuple[Path | None, ...]:
        """The masks and maps, which are read as well."""
        return self.mask, self.style_mask, self.labels, self.style_labels


class Batch:
    """Makes pictures with what they have in common; styles are prepared once for each space of colours.

    Args:
        stylizer: The network.
        options: What is made of a content.
        output: How results are written.
    """

    def __init__(self, stylizer: Stylizer, options: Options, output: PictureOptions):
        self.stylizer, self.options, self.output = stylizer, options, output
        self._known: dict[tuple[Path, bytes | None], Style | Picture | InputError] = {}

    def __call__(self, task: Task) -> Sequence[str]:
        """Make one picture; return what was lost or guessed, a sentence each."""
        o = self.options
        content = read_picture(task.content, "own" if self.output.profile == "content" else None, side=o.size)
        styles = [self._style(path, content.profile) for path in task.styles]
        first = styles[0]
        labels, style_labels, style_mask = read_labels(o.labels, content), None, None
        if isinstance(first, Picture):
            style_labels = read_labels(o.style_labels, first)
            style_mask = together(read_mask(o.style_mask, first), first.seen)
        if labels is not None and style_labels is None:
            labels = labels.unique(return_inverse=True)[1]  # values or colours in ascending order are styles 0, 1, ...
        result = self.stylizer.stylize(
            content.solid,
            [s if isinstance(s, Style) else s.solid for s in styles],
            o.alpha,
            weights=o.weights or None,
            mask=together(read_mask(o.mask, content), content.seen),
            style_mask=style_mask,
            labels=labels,
            style_labels=style_labels,
            preserve_color=o.preserve_color,
            stroke=o.stroke,
            keep_detail=o.keep_detail,
        )
        if content.seen is not None:
            result = torch.where(content.seen > 0, result, content.rgb)
        said = write_picture(
            task.target,
            content.with_rgb(result),
            quality=self.output.quality,
            depth=self.output.bits,
            strip=self.output.strip,
        )
        return [*content.notes, *(n for s in styles if isinstance(s, Picture) for n in s.notes), *said]

    def _style(self, path: Path, space: bytes | None) -> Style | Picture:
        """A style prepared once; the picture itself where what is needed of it depends on the content, a mask or labels."""
        if (path, space) not in self._known:
            o = self.options
            try:
                if path.suffix == ".style":
                    self._known[path, space] = self.stylizer.prepare(path)
                else:
                    picture = read_picture(path, space, side=o.style_size)
                    as_picture = o.preserve_color == "coral" or o.style_mask or o.style_labels
                    self._known[path, space] = picture if as_picture else prepare(self.stylizer, picture, path.stem)
            except InputError as e:
                self._known[path, space] = e if path.name in str(e) else InputError(f"{path}: {e}")
        style = self._known[path, space]
        if isinstance(style, InputError):
            raise style
        return style


def prepare(stylizer: Stylizer, picture: Picture, name: str) -> Style:
    """The style of a picture; what is transparent in it does not count."""
    return stylizer.prepare(picture.solid, picture.seen, name)


def read_mask(path: Path | None, picture: Picture) -> Tensor | None:
    """A mask in [0, 1] from the brightness of a file, at the size of the picture.

    Raises:
        InputError: The file has another size than the picture's.
    """
    if path is None:
        return None
    values = _of_size(path, picture).rgb.mean(0)
    return F.interpolate(values[None, None], picture.pixels.shape[:2], mode="area")[0, 0]


def read_labels(path: Path | None, picture: Picture) -> Tensor | None:
    """Labels from the values or colours of a file, exactly as they are, at the size of the picture.

    Raises:
        InputError: The file has another size than the picture's.
    """
    if path is None:
        return None
    values = torch.from_numpy(_of_size(path, picture).pixels.astype("int64"))
    codes = (values[..., 0] << 32) + (values[..., 1] << 16) + values[..., 2]
    labels = codes.unique(return_inverse=True)
    at = F.interpolate(labels[1][None, None].double(), picture.pixels.shape[:2], mode="nearest")[0, 0].long()
    return labels[0][at]


def together(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Where both masks are; None is everywhere."""
    if one is None or other is None:
        return other if one is None else one
    return one * other


def _of_size(path: Path, picture: Picture) -> Picture:
    values = read_picture(path, managed=False)
    if values.size != picture.size:
        is_, wanted = (f"{w} x {h}" for w, h in (values.size, picture.size))
        raise InputError(f"the mask {path} is {is_} pixels, its picture {wanted}: give one of the same size")
    return values
