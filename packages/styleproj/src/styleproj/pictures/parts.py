"""Which part of a picture takes which style: masks, labels and mixtures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.padding import pad_to_multiple
from styleproj.pictures.style import Style, mix

Part: TypeAlias = tuple[Tensor | None, Style]
"""Where, ``(height, width)`` or None for everywhere, and the style there."""


def parts_of(
    prepare: Callable[..., Style],
    styles: Sequence[Tensor | Path | str | Style],
    weights: Sequence[float] | None,
    style_mask: Tensor | None,
    labels: Tensor | None,
    style_labels: Tensor | None,
    mask: Tensor | None,
) -> list[Part]:
    """Which part of the content takes which style; None is all of it."""
    if not styles or (len(styles) > 1 and (style_mask is not None or style_labels is not None)):
        raise InputError(f"{len(styles)} styles: masks and labels of a style picture go with exactly one")
    if style_labels is not None:
        if labels is None or isinstance(styles[0], Style):
            raise InputError("style_labels need labels of the content, and a style picture rather than a prepared style")
        common = [int(k) for k in labels.unique() if (style_labels == k).any()]
        prepared = [(k, prepare(styles[0], (style_labels == k).float())) for k in common]
        return [(labels == k, s) for k, s in prepared]
    prepared = [prepare(s, style_mask) for s in styles]
    if labels is not None:
        if weights is not None or int(labels.max()) >= len(styles) or int(labels.min()) < 0:
            raise InputError(f"labels go from 0 to {len(styles) - 1}, one for each style, and take no weights")
        return [(labels == k, s) for k, s in enumerate(prepared) if (labels == k).any()]
    if len(prepared) == 1 and weights is None:
        return [(None if mask is None else mask > 0, prepared[0])]
    return [(None if mask is None else mask > 0, mix(prepared, list(weights or [1.0] * len(prepared))))]


def at_level(where: Tensor | None, x: Tensor, multiple: int) -> Tensor | None:
    """A part of the picture as a part of its features ``x``: positions that it touches.

    Args:
        where: Of the picture's size, which was padded to ``multiple`` before it was encoded.
        x: ``(..., height, width)``.
        multiple: Of the network.
    """
    if where is None:
        return None
    padded = pad_to_multiple(where.to(x)[None, None], multiple)
    return F.max_pool2d(padded, padded.shape[-1] // x.shape[-1])[0, 0] > 0
