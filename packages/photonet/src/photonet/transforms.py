"""Feature transforms under one interface: callable, ``(x, s) -> z``, and where they can, a fit of two sets of statistics.

Those with a ``fit`` are affine and can be folded into the next convolution; any other callable, such as styleproj's
projection, is called with features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.style.transforms import Affine, Statistics, ot_map, wct_map

EPSILON = 1e-5  # under the root of a variance, as AdaIN and instance norm have it


class Transform(Protocol):
    """Gives content features ``(batch, channel, height, width)`` what style features have, which may be of another size."""

    def __call__(self, x: Tensor, s: Tensor, /) -> Tensor:
        """Features of the shape of ``x``."""
        ...


@runtime_checkable
class AffineTransform(Protocol):
    """A transform that looks at mean and covariance alone."""

    def __call__(self, x: Tensor, s: Tensor, /) -> Tensor:
        """Features of the shape of ``x``."""
        ...

    def fit(self, content: Statistics, style: Statistics) -> Affine:
        """The map for content features and style features with these statistics."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """A transform given by its map between two sets of statistics."""

    name: str
    rule: Callable[[Statistics, Statistics], Affine]

    def fit(self, content: Statistics, style: Statistics) -> Affine:
        """The map from the one to the other."""
        return self.rule(content, style)

    def __call__(self, x: Tensor, s: Tensor) -> Tensor:
        """Statistics of both, the map, and its application."""
        return self.fit(Statistics.of(x), Statistics.of(s))(x)


def adain_map(content: Statistics, style: Statistics) -> Affine:
    """AdaIN as an affine map: each channel takes mean and standard deviation of the style's (1703.06868, equation 8)."""
    theirs, mine = (s.covariance.diagonal(dim1=-2, dim2=-1) + EPSILON for s in (style, content))
    scale = (theirs / mine).sqrt()
    return Affine(torch.diag_embed(scale), style.mean - scale * content.mean)


LOADING = 1e-5  # of the mean variance: what single precision measures of a covariance; below it is noise
LEAST = 1e-12  # variance added where there is none at all


def loaded(statistics: Statistics, load: float = LOADING) -> Statistics:
    """With a share of the mean variance added to every direction, so that none is too small to be inverted."""
    covariance = statistics.covariance
    share = load * covariance.diagonal(dim1=-2, dim2=-1).mean(-1) + LEAST
    identity = torch.eye(covariance.shape[-1]).to(covariance)
    return Statistics(statistics.mean, covariance + share[..., None, None] * identity)


def damped_wct(content: Statistics, style: Statistics) -> Affine:
    """Whitening and colouring with both covariances loaded, so that a content in its own style stays what it was.

    Of a kept style the spectrum is kept, too: one factorisation a content.
    """
    root, inverse = (_loaded_power(s, power) for s, power in ((style, 0.5), (content, -0.5)))
    matrix = root @ inverse
    return Affine(matrix, style.mean - (matrix @ content.mean[..., None])[..., 0])


def loaded_ot(load: float = LOADING) -> Callable[[Statistics, Statistics], Affine]:
    """Optimal transport with both covariances loaded by a share of their mean variance: more, less style and outlines."""
    return lambda content, style: ot_map(loaded(content, load), loaded(style, load))


def bounded(fit: Affine, mean: Tensor, most: float) -> Affine:
    """The map with no singular value above ``most``, and the content's mean where it sent it.

    A difference between two places of the content then grows at most so many times: noise and steps of 8 bits in a flat
    picture do not become the style's contrast.
    """
    u, values, v = torch.linalg.svd(fit.matrix)
    if bool((values <= most).all()):
        return fit
    matrix = (u * values.clamp_max(most)[..., None, :]) @ v
    return Affine(matrix, fit.bias + ((fit.matrix - matrix) @ mean[..., None])[..., 0])


def _loaded_power(statistics: Statistics, power: float) -> Tensor:
    """Of the loaded covariance; with fewer positions than channels, rounding must not make a variance negative."""
    values, vectors = statistics.spectrum
    loaded = values + LOADING * values.mean(-1, keepdim=True) + LEAST
    return (vectors * loaded.pow(power)[..., None, :]) @ vectors.mT


TRANSFORMS: dict[str, Gaussian] = {
    "wct": Gaussian("wct", damped_wct),
    "wct-exact": Gaussian("wct-exact", partial(wct_map, regularization="none")),
    "wct-relative": Gaussian("wct-relative", partial(wct_map, regularization="relative")),
    "wct-identity": Gaussian("wct-identity", partial(wct_map, regularization="identity")),
    "adain": Gaussian("adain", adain_map),
    "ot": Gaussian("ot", loaded_ot()),
}
"""``wct`` meets the style's covariance as far as it can be measured, ``wct-exact`` in every direction, noise included;
``relative`` and ``identity`` load the content's covariance before it is inverted, as the final PhotoNAS and the search of
1912.02398 do in their code: a weaker effect. ``ot`` changes the content least."""


def resolve(transform: str | Transform) -> Transform:
    """A transform by its name, or itself.

    Raises:
        InputError: No such name.
    """
    if not isinstance(transform, str):
        return transform
    if transform not in TRANSFORMS:
        raise InputError(f"there is no transform {transform!r}: expected one of {', '.join(TRANSFORMS)}, or a callable")
    return TRANSFORMS[transform]
