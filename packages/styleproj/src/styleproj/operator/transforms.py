"""How features take a style, by name: the paper's projection, the same after joint moments, and moments alone."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.style.transforms import Affine, Statistics, ot_map, wct_map
from styleproj.operator.projection import Ties, project
from styleproj.operator.sorted_style import SortedStyle

FeatureTransform = Literal["projection", "ot-projection", "adain", "wct", "ot"]


def adain_map(content: Statistics, style: Statistics) -> Affine:
    """AdaIN as a map: each channel takes the mean and deviation of the style's, whatever the others do."""
    own, wanted = (s.covariance.diagonal(dim1=1, dim2=2) + 1e-5 for s in (content, style))
    scale = (wanted / own).sqrt()
    return Affine(torch.diag_embed(scale), style.mean - scale * content.mean)


AFFINE: dict[str, Callable[[Statistics, Statistics], Affine]] = {"adain": adain_map, "wct": wct_map, "ot": ot_map}


def checked_transform(name: FeatureTransform) -> FeatureTransform:
    """The name of a transform.

    Raises:
        InputError: There is none of this name.
    """
    if name not in get_args(FeatureTransform):
        raise InputError(f"transform = {name!r} is none of {', '.join(get_args(FeatureTransform))}")
    return name


def transform(
    x: Tensor, values: SortedStyle, statistics: Statistics, name: FeatureTransform, alpha: float, ties: Ties
) -> Tensor:
    """Features with a style's distribution.

    Args:
        x: ``(1, channel, height, width)``.
        values: Sorted values of the style's channels.
        statistics: Mean and covariance of the style's features.
        name: ``projection`` by ranks; ``ot-projection`` by the optimal map between the moments first, then by ranks, so that
            channels that belong together move together; ``adain``, ``wct`` and ``ot`` by moments alone.
        alpha: Strength in [0, 1].
        ties: Order among equal values.
    """
    values = values.to(x.device)
    if name == "projection":
        return project(x, values, alpha, ties=ties)
    wanted = Statistics(statistics.mean.to(x.device), statistics.covariance.to(x.device))
    own = Statistics.of(x)
    if name == "ot-projection":
        return alpha * project(ot_map(own, wanted)(x), values, ties=ties) + (1 - alpha) * x
    return AFFINE[name](own, wanted).blend(alpha)(x)


def bounded(fit: Affine, mean: Tensor, most: float) -> Affine:
    """A symmetric map whose largest eigenvalue is at most ``most``; where ``mean`` goes stays as it is.

    Colours that a picture hardly varies in are then not spread over the whole range, where they would be clipped.
    """
    values, vectors = torch.linalg.eigh(fit.matrix)
    matrix = (vectors * values.clamp(max=most)[:, None]) @ vectors.mT
    return Affine(matrix, fit.bias + ((fit.matrix - matrix) @ mean[..., None])[..., 0])
