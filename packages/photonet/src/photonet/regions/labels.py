"""Regions of two pictures that belong together: from label maps, from segmentations in files, from soft masks.

A segmentation is a picture in which every colour is a label, as in Deep Photo Style Transfer, or every number, as
ADE20K (150 classes), Cityscapes and VOC (255 is void) have it. Colours that compression or smoothing made are taken for
the main colour that is nearest; what a map that is meant exactly loses by that is said.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, maximum_filter, minimum_filter
from torch import Tensor

from claimkit.errors import InputError
from claimkit.style.images import image_files
from claimkit.style.transforms import labels_at
from photonet.regions.guided_filter import guided_filter
from photonet.regions.maps import read_map

RADIUS = 48  # of a colour in RGB from 0 to 255: what is nearer to a main colour is that colour
SHARE = 0.005  # of both pictures together: what covers less is no main colour
IDS = 64  # grey values all below this, but for void, are numbers of labels, however ragged their regions
RAGGED = 0.005  # share of pixels whose value nowhere fills 3 x 3 pixels: above it, values were mixed at borders or by noise
ALIKE = 10  # colours no farther apart are one to the eye, and in no palette two: taking them for one needs no word
VOID, NOWHERE = 255, -1  # number that means no region in maps of three numbers or more; its label here
FEATHER = 80  # the softness of a border is the longer side divided by this
FLAT = 1e-4  # variance of colours, squared units of [0, 1], below which there is no edge that a border could follow

Say = Callable[[str], None]


def read_segmentations(
    content: Path,
    style: Path,
    content_size: tuple[int, int],
    style_size: tuple[int, int],
    say: Say | None = None,
) -> tuple[Int[Tensor, "h w"], Int[Tensor, "H W"]]:
    """Label maps from two segmentations; equal colours, or equal numbers, get equal labels; -1 is no region.

    Args:
        content: Segmentation of the content.
        style: Segmentation of the style.
        content_size: Height and width of the content; a segmentation of the same shape is given this size.
        style_size: Of the style.
        say: Given a sentence where labels that may have been meant apart are taken for one; a warning when None.

    Raises:
        InputError: No map of labels, or of another shape than its picture.
    """
    say = _warn if say is None else say
    read = [read_map(path) for path in (content, style)]
    numbers = all(m.values.ndim == 2 for m in read)
    maps = [m.values if numbers else _code(m.values) for m in read]
    maps = [v if m.seen is None else _nearest(v, m.seen) for v, m in zip(maps, read, strict=True)]
    labels = _labels(maps, numbers, all(m.exact for m in read), say)
    labels = [x if m.seen is None else np.where(m.seen, x, NOWHERE) for x, m in zip(labels, read, strict=True)]
    sized = [
        _at_size(x, size, path, of)
        for x, size, path, of in zip(labels, (content_size, style_size), (content, style), ("content", "style"), strict=True)
    ]
    return sized[0], sized[1]


def from_labels(
    content: Int[Tensor, "h w"], style: Int[Tensor, "H W"]
) -> tuple[Float[Tensor, "r h w"], Float[Tensor, "r H W"], list[int]]:
    """Masks of the regions, one a label of the content, and the labels that the style lacks: they take all of the style.

    Label -1 is no region: it takes all of the style, too.

    Raises:
        InputError: No label is in both.
    """
    mine, theirs = content.unique().tolist(), set(style.unique().tolist()) - {NOWHERE}
    lacking = [k for k in mine if k not in theirs]
    if len(lacking) == len(mine):
        named = [", ".join(_named(k) for k in sorted(found)[:6]) for found in (mine, theirs)]
        raise InputError(f"the segmentations have no label in common: {named[0]} in the content, {named[1]} in the style")
    whole = torch.ones(style.shape)
    masks = torch.stack([(content == k).float() for k in mine])
    return masks, torch.stack([whole if k in lacking else (style == k).float() for k in mine]), lacking


@dataclass(frozen=True)
class FrameRegions:
    """Segmentations of the frames of a video, in one order of regions: the style's labels, then all others.

    Attributes:
        maps: One for all frames, or one for each.
        style: The style's segmentation.
        style_size: Height and width of the style.
        labels: Of the style.
        style_masks: Of the style's regions; the last is all of it, for what it lacks.
    """

    maps: Sequence[Path]
    style: Path
    style_size: tuple[int, int]
    labels: Sequence[int]
    style_masks: Float[Tensor, "r h w"]
    say: Say

    @classmethod
    def read(cls, content: Path | None, style: Path | None, style_size: tuple[int, int], say: Say) -> "FrameRegions | None":
        """From a map or a folder of maps in the order of their names, and the style's; None where there is neither.

        Raises:
            InputError: One without the other, or no map of labels.
        """
        if (content is None) != (style is None):
            raise InputError("a segmentation of the content needs one of the style, and the other way round: give both")
        if content is None or style is None:
            return None
        maps = image_files(content) if content.is_dir() else [content]
        first = read_map(maps[0]).values.shape
        theirs = read_segmentations(maps[0], style, (first[0], first[1]), style_size, say)[1]
        known = [k for k in theirs.unique().tolist() if k != NOWHERE]
        masks = torch.stack([*((theirs == k).float() for k in known), torch.ones(style_size)])
        return cls(maps, style, style_size, known, masks, say)

    def __call__(self, frame: Float[Tensor, "3 h w"], number: int) -> Float[Tensor, "r h w"]:
        """Feathered masks of a frame.

        Raises:
            InputError: There is no map for it, or one of another shape.
        """
        if len(self.maps) > 1 and number >= len(self.maps):
            raise InputError(f"there are {len(self.maps)} segmentations, but more frames: give one for each, or one for all")
        path = self.maps[0] if len(self.maps) == 1 else self.maps[number]
        size = frame.shape[-2], frame.shape[-1]
        say = self.say if number == 0 else _silent
        labels = read_segmentations(path, self.style, size, self.style_size, say)[0]
        masks = torch.stack([(labels == k).float() for k in self.labels])
        return feathered(torch.cat([masks, 1 - masks.sum(0, keepdim=True)]), frame)


def feathered(masks: Float[Tensor, "r h w"], guide: Float[Tensor, "3 h w"]) -> Float[Tensor, "r h w"]:
    """Masks whose borders follow the picture's edges and are soft where it has none, so that no seam is seen.

    Each is passed through a guided filter with the picture as guide; together they sum to what they summed to.

    Args:
        masks: Of regions, in [0, 1].
        guide: The picture, in [0, 1].
    """
    if len(masks) == 1:
        return masks
    radius = max(1, max(guide.shape[1:]) // FEATHER)
    soft = guided_filter(masks, guide, radius, FLAT).clamp(0, 1)
    return (soft * (masks.sum(0) / soft.sum(0).clamp_min(1e-6))).clamp(0, 1)


def checked(masks: Tensor, height: int, width: int, of: str) -> Float[Tensor, "r h w"]:
    """Soft masks for a picture of a size.

    Raises:
        InputError: Wrong shape, values outside [0, 1], or a region of the style that is empty.
    """
    if masks.ndim != 3 or masks.shape[1:] != (height, width):
        raise InputError(f"masks of the {of} have shape {tuple(masks.shape)}: expected (regions, {height}, {width})")
    masks = masks.float()
    if not (masks.isfinite().all() and masks.min() >= 0 and masks.max() <= 1):
        raise InputError(f"masks of the {of} have values outside [0, 1]")
    empty = (masks.amax((1, 2)) == 0).nonzero().flatten().tolist()
    if empty and of == "style":
        raise InputError(f"region {empty[0]} of the style is empty: leave it out on both sides, or give it some pixels")
    return masks


def _labels(maps: Sequence[NDArray[np.int64]], numbers: bool, exact: bool, say: Say) -> list[NDArray[np.int64]]:
    """Labels of the pixels of both maps."""
    codes, counts = np.unique(np.concatenate([m.ravel() for m in maps]), return_counts=True)
    even = [maximum_filter(m, 3) == minimum_filter(m, 3) for m in maps]
    solid = np.isin(codes, np.concatenate([m[e] for m, e in zip(maps, even, strict=True)]))
    if numbers and exact and not (IDS <= codes[codes != VOID].max(initial=0) < VOID and codes.min() >= 0):
        solid[:] = True
    if not exact or counts[~solid].sum() > RAGGED * counts.sum():
        greys = codes * 0x010101 if numbers else codes
        labels = _main_colours(greys, counts, RADIUS)
        if lost := _merged(greys, labels, solid, 0 if numbers else ALIKE):
            say(
                f"the segmentations have mixed values at borders: {lost} values that fill a place of their own were taken "
                f"for the nearest of {len(np.unique(labels))} main ones; if they are labels, save them without smoothing"
            )
        return [(labels // 0x010101 if numbers else labels)[np.searchsorted(codes, m)] for m in maps]
    filled = [_nearest(m, np.isin(m, codes[solid])) for m in maps]
    if not numbers:
        labels = _main_colours(codes[solid], counts[solid], ALIKE)
        if lost := _merged(codes[solid], labels, counts[solid] > 0, 0):
            say(
                f"{lost} colours of the segmentations are so near to others that they were taken for them; if they are "
                "labels of their own, save numbers in a map of one channel"
            )
        return [labels[np.searchsorted(codes[solid], m)] for m in filled]
    return [np.where(m == VOID, NOWHERE, m) for m in filled] if solid.sum() > 2 else filled


def _main_colours(codes: NDArray[np.int64], counts: NDArray[np.int64], radius: float) -> NDArray[np.int64]:
    """The label of each colour: a code of the main colour that it belongs to."""
    rgb, least = _rgb(codes), SHARE * counts.sum() if radius > ALIKE else 0
    left, main = counts.astype(float), []
    while left.max() > least or not main:
        best = int(left.argmax())
        near = np.linalg.norm(rgb - rgb[best], axis=1) <= radius
        if left[near].sum() > least or not main:
            main.append(best)
        left[near] = 0
    return codes[main][np.linalg.norm(rgb[:, None] - rgb[main][None], axis=2).argmin(1)]


def _merged(codes: NDArray[np.int64], labels: NDArray[np.int64], solid: NDArray[np.bool_], beyond: float) -> int:
    """How many values that fill a place were taken for another that is farther than so much from them."""
    return int((solid & (np.linalg.norm(_rgb(codes) - _rgb(labels), axis=1) > beyond)).sum())


def _rgb(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1)


def _nearest(values: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where a value is not known, that of the nearest place where it is."""
    if known.all() or not known.any():
        return values
    rows, columns = np.asarray(distance_transform_edt(~known, return_distances=False, return_indices=True))
    return values[rows, columns]


def _code(rgb: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each colour; grey maps beside coloured ones are colours, too."""
    if rgb.ndim == 2:
        return rgb.clip(0, 255) * 0x010101
    return rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]


def _at_size(labels: NDArray[np.int64], size: tuple[int, int], path: Path, of: str) -> Tensor:
    """At the picture's size, where the shapes agree to a pixel."""
    (h, w), (height, width) = labels.shape, size
    scale = max(height, width) / max(h, w)
    if abs(h * scale - height) > max(1, scale) or abs(w * scale - width) > max(1, scale):
        raise InputError(f"the segmentation {path} is {w} x {h} pixels, the {of} {width} x {height}: give one of its shape")
    return labels_at(torch.from_numpy(labels), height, width)


def _named(label: int) -> str:
    return "no region" if label == NOWHERE else str(label) if label < IDS else f"#{label:06x}"


def _silent(sentence: str) -> None:
    """What was said of the first frame need not be said of each."""


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=3)
