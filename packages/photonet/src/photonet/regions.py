"""Regions of two pictures that belong together: from label maps, from colour-coded segmentations, from soft masks.

A segmentation is a picture in which every colour is a label, as in Deep Photo Style Transfer. Colours that compression or
smoothing made are taken for the main colour that is nearest.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from claimkit.errors import InputError
from claimkit.style.images import read_picture

RADIUS = 48  # of a colour in RGB from 0 to 255: what is nearer to a main colour is that colour
SHARE = 0.005  # of both pictures together: what covers less is no main colour
IDS = 64  # grey values all below this are numbers of labels, not colours

Masks = tuple[Tensor, Tensor]


def read_segmentations(
    content: Path, style: Path, content_size: tuple[int, int], style_size: tuple[int, int]
) -> tuple[Int[Tensor, "h w"], Int[Tensor, "H W"]]:
    """Label maps from two segmentations; equal colours get equal labels.

    Args:
        content: Segmentation of the content.
        style: Segmentation of the style.
        content_size: Height and width of the content, which its segmentation must have.
        style_size: Of the style.
    """
    colours = []
    for path, size, of in ((content, content_size, "content"), (style, style_size, "style")):
        rgb = (read_picture(path).rgb * 255).round().to(torch.int64)
        if (rgb.shape[-2], rgb.shape[-1]) != size:
            is_, wanted = (f"{w} x {h}" for h, w in ((rgb.shape[-2], rgb.shape[-1]), size))
            raise InputError(f"the segmentation {path} is {is_} pixels, the {of} {wanted}: give one of the same size")
        colours.append((rgb[0] << 16 | rgb[1] << 8 | rgb[2]).numpy())
    codes, counts = np.unique(np.concatenate([c.ravel() for c in colours]), return_counts=True)
    labels = _main_colours(codes, counts)
    maps = [torch.from_numpy(labels[np.searchsorted(codes, c)]) for c in colours]
    return maps[0], maps[1]


def from_labels(
    content: Int[Tensor, "h w"], style: Int[Tensor, "H W"]
) -> tuple[Float[Tensor, "r h w"], Float[Tensor, "r H W"], list[int]]:
    """Masks of the regions, one a label of the content, and the labels that the style lacks: they take all of the style.

    Raises:
        InputError: No label is in both.
    """
    mine, theirs = content.unique().tolist(), set(style.unique().tolist())
    lacking = [k for k in mine if k not in theirs]
    if len(lacking) == len(mine):
        named = [", ".join(_named(k) for k in sorted(found)[:6]) for found in (mine, theirs)]
        raise InputError(f"the segmentations have no label in common: {named[0]} in the content, {named[1]} in the style")
    whole = torch.ones(style.shape)
    masks = torch.stack([(content == k).float() for k in mine])
    return masks, torch.stack([whole if k in lacking else (style == k).float() for k in mine]), lacking


def checked(masks: Tensor, height: int, width: int, of: str) -> Float[Tensor, "r h w"]:
    """Soft masks for a picture of a size.

    Raises:
        InputError: Wrong shape, values outside [0, 1], or a region that is empty.
    """
    if masks.ndim != 3 or masks.shape[1:] != (height, width):
        raise InputError(f"masks of the {of} have shape {tuple(masks.shape)}: expected (regions, {height}, {width})")
    masks = masks.float()
    if not (masks.isfinite().all() and masks.min() >= 0 and masks.max() <= 1):
        raise InputError(f"masks of the {of} have values outside [0, 1]")
    empty = (masks.amax((1, 2)) == 0).nonzero().flatten().tolist()
    if empty:
        raise InputError(f"region {empty[0]} of the {of} is empty: leave it out on both sides, or give it some pixels")
    return masks


def _main_colours(codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The label of each colour: a code of the main colour that it belongs to."""
    rgb = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], 1)
    if (rgb[:, :1] == rgb).all() and rgb.max() < IDS:
        return rgb[:, 0]
    left, main = counts.astype(float), []
    while left.max() > SHARE * counts.sum() or not main:
        best = int(left.argmax())
        near = np.linalg.norm(rgb - rgb[best], axis=1) <= RADIUS
        if left[near].sum() > SHARE * counts.sum() or not main:
            main.append(best)
        left[near] = 0
    return codes[main][np.linalg.norm(rgb[:, None] - rgb[main][None], axis=2).argmin(1)]


def _named(label: int) -> str:
    return str(label) if label < IDS else f"#{label:06x}"
