"""Feature transforms with a closed form: AdaIN, WCT, optimal transport; affine maps to be cached, blended and folded.

AdaIN: Huang and Belongie, 1703.06868. WCT: Li et al., 1705.08086, the whitening damped as PhotoNAS's code does it. Optimal
transport between Gaussians: Lu et al., 1906.00668.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError

Regularization = Literal["none", "identity", "relative"]
BLOCK = 1 << 15  # positions whose products are summed in single precision before they join the double-precision sum
FLOOR = 1e-10  # eigenvalues below this share of the largest are taken for zero
ROUNDING = 16  # a channel whose spread is below so many roundings of its mean is constant
LEAST = 10  # positions a region needs on both sides, as FastPhotoStyle has it


def checked_strength(alpha: float) -> float:
    """The strength of a transfer.

    Raises:
        InputError: It is outside [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha = {alpha} is outside [0, 1]: 0 is the content, 1 the full style")
    return alpha


@dataclass(frozen=True)
class Statistics:
    """Mean (B, C) and covariance (B, C, C) of features over positions, in double precision; keep it to use a style again."""

    mean: Float[Tensor, "b c"]
    covariance: Float[Tensor, "b c c"]

    @classmethod
    def of(cls, features: Float[Tensor, "b c h w"], mask: Float[Tensor, "h w"] | None = None) -> "Statistics":
        """Of features, over the number of positions; ``mask`` is a soft weight of each."""
        x = features.flatten(2)
        weight = torch.ones_like(x[0, 0]) if mask is None else mask.flatten().to(x)
        if weight.shape != x.shape[2:] or (weight < 0).any() or not weight.sum() > 0:
            raise InputError(
                f"a mask needs the features' size {tuple(features.shape[2:])}, no negative weight, and some positive"
            )
        share = weight / weight.sum()
        mean = (x * share).sum(2, dtype=torch.float64)
        covariance = x.new_zeros(x.shape[0], x.shape[1], x.shape[1], dtype=torch.float64)
        for part, w in zip(x.split(BLOCK, 2), share.split(BLOCK), strict=True):
            centred = (part - mean[..., None].to(x)) * w.sqrt()
            covariance += (centred @ centred.mT).double()
        return cls.measured(mean, covariance, x.dtype)

    @classmethod
    def measured(cls, mean: Tensor, covariance: Tensor, dtype: torch.dtype) -> "Statistics":
        """As summed from features of ``dtype``; a channel that is constant but for rounding has no spread."""
        varies = covariance.diagonal(dim1=1, dim2=2) > (ROUNDING * torch.finfo(dtype).eps * mean) ** 2
        return cls(mean, covariance * (varies[:, :, None] & varies[:, None]))

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (B, C), none below zero, and eigenvectors (B, C, C) of the covariance."""
        values, vectors = torch.linalg.eigh(self.covariance)
        return values.clamp_min(0), vectors

    @cached_property
    def root(self) -> Float[Tensor, "b c c"]:
        """Symmetric square root of the covariance."""
        return _function(*self.spectrum, power=0.5)


@dataclass(frozen=True)
class Affine:
    """z = matrix x + bias at every position, for each picture of a batch."""

    matrix: Float[Tensor, "b c c"]
    bias: Float[Tensor, "b c"]

    def __call__(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """One matrix product in the precision of ``x``."""
        matrix, bias = self.matrix.to(x), self.bias.to(x)
        return torch.baddbmm(bias[..., None], matrix.expand(len(x), -1, -1), x.flatten(2)).view(x.shape)

    def blend(self, alpha: float) -> "Affine":
        """The map to alpha z + (1 - alpha) x."""
        identity = torch.eye(self.matrix.shape[-1]).to(self.matrix)
        return Affine(alpha * self.matrix + (1 - alpha) * identity, alpha * self.bias)

    def fold(self, weight: Float[Tensor, "o c k l"], bias: Float[Tensor, " o"]) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution that does this map and the given convolution at once.

        Exact for reflection padding and for one picture, where nothing stands between the two.
        """
        if len(self.matrix) != 1:
            raise InputError(f"a convolution has room for the map of one picture, not of {len(self.matrix)}")
        matrix, shift = self.matrix[0].to(weight), self.bias[0].to(weight)
        return torch.einsum("ockl,cd->odkl", weight, matrix), bias + torch.einsum("ockl,c->o", weight, shift)


def adain(x: Float[Tensor, "b c h w"], s: Float[Tensor, "b c H W"], alpha: float = 1.0, eps: float = 1e-5) -> Tensor:
    """Give each channel of ``x`` the mean and standard deviation of ``s``."""
    (vx, mx), (vs, ms) = (torch.var_mean(f, (2, 3), correction=0, keepdim=True) for f in (x, s))
    scale = ((vs + eps) / (vx + eps)).sqrt()
    return x * (alpha * scale + 1 - alpha) + alpha * (ms - mx * scale)


def wct_map(content: Statistics, style: Statistics, regularization: Regularization = "relative") -> Affine:
    """Whitening and colouring, both symmetric: the map is Σs^(1/2) Σc'^(-1/2).

    With ``regularization`` none Σc' is Σc, and the result has exactly the style's covariance where the content varies;
    with identity it is Σc + I, with relative 1.5 Σc + diag(Σc), as in PhotoNAS's code: weaker, better conditioned.
    """
    _same_channels(content, style)
    covariance = content.covariance
    diagonal = covariance.diagonal(dim1=-2, dim2=-1)
    loaded = {
        "none": covariance,
        "identity": covariance + torch.eye(diagonal.shape[-1]).to(diagonal),
        "relative": 1.5 * covariance + torch.diag_embed(diagonal),
    }
    if regularization not in loaded:
        raise InputError(f"regularization must be none, identity or relative, not {regularization!r}")
    inverse = _function(*torch.linalg.eigh(loaded[regularization]), power=-0.5)
    return _between(style.root @ inverse, content, style)


def ot_map(content: Statistics, style: Statistics) -> Affine:
    """The map of least squared change that gives a Gaussian ``content`` the mean and covariance of ``style``."""
    _same_channels(content, style)
    inverse = _function(*content.spectrum, power=-0.5)
    inner = content.root @ style.covariance @ content.root
    values, vectors = torch.linalg.eigh((inner + inner.mT) / 2)
    return _between(inverse @ _function(values.clamp_min(0), vectors, power=0.5) @ inverse, content, style)


def wct(
    x: Float[Tensor, "b c h w"],
    s: Float[Tensor, "b c H W"] | Statistics,
    alpha: float = 1.0,
    regularization: Regularization = "relative",
) -> Float[Tensor, "b c h w"]:
    """WCT of features, or with the kept statistics of a style."""
    style = s if isinstance(s, Statistics) else Statistics.of(s)
    return wct_map(Statistics.of(x), style, regularization).blend(alpha)(x)


def wct_by_region(
    x: Float[Tensor, "b c h w"],
    s: Float[Tensor, "b c H W"],
    content_labels: Int[Tensor, "y x"],
    style_labels: Int[Tensor, "Y X"],
    alpha: float = 1.0,
    regularization: Regularization = "relative",
) -> Float[Tensor, "b c h w"]:
    """WCT within each label that both maps, of any size, have on at least ten positions; elsewhere ``x`` stays."""
    mine, theirs, out = labels_at(content_labels, *x.shape[2:]), labels_at(style_labels, *s.shape[2:]), x.clone()
    for label in mine.unique():
        here, there = mine == label, theirs == label
        if min(here.sum(), there.sum()) < LEAST:
            continue
        fit = wct_map(Statistics.of(x, here.to(x)), Statistics.of(s, there.to(s)), regularization).blend(alpha)
        out[..., here] = fit(x[..., here][..., None])[..., 0]
    return out


def labels_at(labels: Int[Tensor, "y x"], height: int, width: int) -> Int[Tensor, "{height} {width}"]:
    """A label map at another size, nearest neighbour."""
    return F.interpolate(labels[None, None].double(), size=(height, width), mode="nearest")[0, 0].to(labels.dtype)


def _function(values: Tensor, vectors: Tensor, power: float) -> Tensor:
    """V d^power V'; of eigenvalues that are zero but for rounding, zero."""
    tiny = torch.finfo(values.dtype).tiny
    kept = values > FLOOR * values.amax(-1, keepdim=True).clamp_min(tiny)
    scaled = torch.where(kept, values.clamp_min(tiny) ** power, 0)
    return (vectors * scaled[..., None, :]) @ vectors.mT


def _between(matrix: Tensor, content: Statistics, style: Statistics) -> Affine:
    return Affine(matrix, style.mean - (matrix @ content.mean[..., None])[..., 0])


def _same_channels(content: Statistics, style: Statistics) -> None:
    if content.mean.shape[-1] != style.mean.shape[-1]:
        raise InputError(f"content has {content.mean.shape[-1]} channels and style {style.mean.shape[-1]}: use one encoder")
