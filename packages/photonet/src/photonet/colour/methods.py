"""Colour transfer without a network: what a photographer tries first, and what a network has to beat.

Every method gives the colours of the content those of the style, wherever they stand: one map of colours a picture, or one a
region. They share masks, strength, videos and kept styles with the networks (:class:`ColourExecutor`).

| method | source | map |
|---|---|---|
| ``mk`` | Monge-Kantorovich: Pitié and Kokaram, 2007 | the symmetric 3x3 matrix between the Gaussians of RGB |
| ``reinhard`` | Reinhard et al., 2001 | mean and spread of each axis of CIELAB |
| ``idt`` | Pitié, Kokaram and Dahyot, 2007 | histograms matched along the axes of turn after turn |
| ``histogram`` | scikit-image's ``match_histograms`` | the histogram of each channel |
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from claimkit.errors import InputError
from claimkit.style.transforms import Affine, Statistics, ot_map
from photonet.execution.lazy import Activation
from photonet.execution.style import Style, checked_style
from photonet.execution.transfers import Transfers
from photonet.execution.walk import Smooth
from photonet.transforms import AffineTransform, Gaussian, Transform, adain_map

ROUNDING = 255.0**-2  # variance of a channel of RGB below which a picture of 8 bits says nothing
SAMPLE = 1 << 14  # colours that say enough of a distribution of three dimensions
KNOTS = 256  # quantiles of an axis
TURNS = 20  # of the axes; the distance to the style's distribution hardly falls after that
COLOURS = "colours:"  # before a method's name, where a style says who looked at it
AT = "picture"  # where the one transfer stands


def mk_map(content: Statistics, style: Statistics) -> Affine:
    """A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 between covariances A and B, both loaded with what 8 bits cannot show."""
    share = ROUNDING * torch.eye(content.covariance.shape[-1]).to(content.covariance)
    a, b = (Statistics(s.mean, s.covariance + share) for s in (content, style))
    return ot_map(a, b)


def iterative_transfer(x: Float[Tensor, "1 c h w"], s: Float[Tensor, "1 c H W"]) -> Float[Tensor, "1 c h w"]:
    """Iterative distribution transfer: in turn after turn, each axis takes the style's quantiles there.

    z <- R' t(R z), t the monotone map from the quantiles of z's axis to those of the style's, for orthogonal R from a fixed
    seed; afterwards every projection that was tried has the style's distribution.
    """
    z, wanted = x.flatten(2)[0].double(), _sampled(s).double()
    generator, shares = np.random.default_rng(0), torch.linspace(0, 1, KNOTS, dtype=torch.float64)
    for turn in range(TURNS):
        square = np.eye(len(z)) if turn == 0 else np.linalg.qr(generator.standard_normal((len(z), len(z))))[0]
        axes = torch.from_numpy(square)
        turned = axes @ z
        here, there = (torch.quantile(axes @ _thin(y), shares, dim=1).T for y in (z, wanted))
        moved = [np.interp(row.numpy(), a.numpy(), b.numpy()) for row, a, b in zip(turned, here, there, strict=True)]
        z = axes.T @ torch.from_numpy(np.stack(moved))
    return z.to(x).view(x.shape)


def match_histograms(x: Float[Tensor, "1 c h w"], s: Float[Tensor, "1 c H W"]) -> Float[Tensor, "1 c h w"]:
    """Each channel with the style's histogram, by scikit-image."""
    from skimage import exposure

    mine, theirs = (y.flatten(2)[0].double().numpy() for y in (x, s))
    return torch.from_numpy(exposure.match_histograms(mine, theirs, channel_axis=0)).to(x).view(x.shape)


def to_lab(rgb: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
    """CIELAB (D65) of sRGB, by scikit-image."""
    from skimage.color import rgb2lab

    return torch.from_numpy(rgb2lab(rgb[0].double().numpy(), channel_axis=0))[None].to(rgb)


def from_lab(lab: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 h w"]:
    """SRGB of CIELAB; colours that no screen has are cut to [0, 1]."""
    from skimage.color import lab2rgb

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*negative Z values")  # such colours are cut, as said
        return torch.from_numpy(lab2rgb(lab[0].double().numpy(), channel_axis=0))[None].to(lab)


def _same(x: Tensor) -> Tensor:
    return x


@dataclass(frozen=True)
class Method:
    """A transform of colours, and the space in which it works."""

    transform: Transform
    there: Callable[[Tensor], Tensor] = _same
    back: Callable[[Tensor], Tensor] = _same


METHODS: dict[str, Method] = {
    "mk": Method(Gaussian("mk", mk_map)),
    "reinhard": Method(Gaussian("reinhard", adain_map), to_lab, from_lab),
    "idt": Method(iterative_transfer),
    "histogram": Method(match_histograms),
}
"""``mk`` changes colours least of all matrices that give the style's mean and covariance."""


def has_matrix(name: str) -> bool:
    """Whether a method is a matrix, so that its gain can be bounded."""
    return name in METHODS and isinstance(METHODS[name].transform, AffineTransform)


class ColourExecutor:
    """Runs a method of colours where :class:`photonet.execution.executor.Executor` runs a network.

    Args:
        name: In :data:`METHODS`.
        max_gain: Of the matrix, as :class:`photonet.execution.transfers.Transfers` has it; for methods that have one.

    Raises:
        InputError: No such method, or a bound that it cannot keep.
    """

    multiple = 1  # of heights and widths: any

    def __init__(self, name: str, max_gain: float | None = None):
        if name not in METHODS:
            raise InputError(f"there is no method {name!r}: expected network, matched, local, regions, {', '.join(METHODS)}")
        self.method = METHODS[name]
        self.blends_pictures = self.method.back is _same  # whether strength alpha is alpha z + (1 - alpha) x of RGB
        self.transfers = Transfers(self.method.transform, max_gain=max_gain)
        self.digest = COLOURS + name

    @torch.inference_mode()
    def prepare(
        self, style: Float[Tensor, "1 3 h w"], masks: Float[Tensor, "r h w"] | None = None, name: str = "style"
    ) -> Style:
        """What the method needs of the style: mean and covariance of its colours, or a sample of them, region by region."""
        points = self.transfers.look(Activation(self.method.there(style.cpu())), masks)
        if not isinstance(self.method.transform, AffineTransform):
            points = tuple(_thin(p.flatten(2))[:, :, None] for p in points if isinstance(p, Tensor))
        return Style({AT: points}, self.digest, name)

    @torch.inference_mode()
    def __call__(
        self,
        content: Float[Tensor, "1 3 h w"],
        style: Style,
        alpha: float = 1.0,
        masks: Float[Tensor, "r h w"] | None = None,
        smooth: Smooth | None = None,
    ) -> Float[Tensor, "1 3 h w"]:
        """The content with the style's colours, not clamped; as :meth:`photonet.execution.executor.Executor.__call__`."""
        checked_style(style, self.digest, masks)
        x = Activation(self.method.there(content.cpu()))
        return self.method.back(self.transfers(AT, x, style.points[AT], alpha, masks, smooth).tensor())


def _sampled(x: Float[Tensor, "1 c h w"]) -> Float[Tensor, "c n"]:
    return _thin(x.flatten(2)[0])


def _thin(x: Float[Tensor, "*c n"]) -> Float[Tensor, "*c m"]:
    """About :data:`SAMPLE` evenly spaced positions."""
    return x[..., :: -(-x.shape[-1] // SAMPLE)]
