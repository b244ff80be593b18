"""The same pictures as the network of :mod:`photonet.network` with less work.

Only what the string of bits needs is computed; the style's share is computed once and kept; affine transfers, norms and
doublings are put off until a convolution takes them into its weights; large pictures pass convolutions in bands, while
statistics remain those of the whole picture.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.transforms import LEAST, Affine, Statistics
from photonet.lazy import Activation, measure
from photonet.network import PhotoNet
from photonet.style import Point, Style, digest
from photonet.transforms import AffineTransform, Transform, resolve
from photonet.walk import Smooth, Walk


class Executor:
    """Runs a network on one picture at a time.

    Args:
        network: Encoder and decoder; put into evaluation mode.
        transform: Name in :data:`photonet.transforms.TRANSFORMS`, or a callable ``(x, s) -> z``.
        pixels: Larger pictures are worked on in bands of about so many pixels; the result does not depend on it.
        positions: Measure statistics at about so many evenly spaced positions only; at all when None.
    """

    def __init__(
        self,
        network: PhotoNet,
        transform: str | Transform = "wct",
        *,
        pixels: int = 1 << 21,
        positions: int | None = None,
    ):
        self.network = network.eval().to(memory_format=torch.channels_last)
        self.transform = resolve(transform)
        self.pixels = pixels
        self.positions = positions
        self.digest = digest(network)

    @torch.inference_mode()
    def prepare(
        self, style: Float[Tensor, "1 3 h w"], masks: Float[Tensor, "r h w"] | None = None, name: str = "style"
    ) -> Style:
        """What every transfer needs of the style.

        Args:
            style: RGB in [0, 1], sizes multiples of 16.
            masks: Soft weights of regions; the whole picture is one when None.
            name: What it is called.
        """
        architecture = self.network.architecture
        points: dict[str, tuple[Point, ...]] = {}

        def look(at: str, x: Activation) -> Activation:
            x = self._ready(x)
            regions = [None] if masks is None else list(_at(masks, x.values))
            points[at] = tuple(self._point(x, mask) for mask in regions)
            return x

        if architecture.transfers:
            stages = architecture.style_stages if architecture.style_decoded else None
            Walk(self.network, look, self.pixels)(style, architecture.style_levels, stages)
        return Style(points, self.digest, name)

    @torch.inference_mode()
    def __call__(
        self,
        content: Float[Tensor, "1 3 h w"],
        style: Style,
        alpha: float = 1.0,
        masks: Float[Tensor, "r h w"] | None = None,
        smooth: Smooth | None = None,
    ) -> Float[Tensor, "1 3 h w"]:
        """The content in the light of the style, not clamped.

        Args:
            content: RGB in [0, 1], sizes multiples of 16.
            style: From :meth:`prepare`.
            alpha: Every transfer gives ``alpha z + (1 - alpha) x``.
            masks: Soft weights of the style's regions, in its order; where they sum to less than 1 the content stays.
            smooth: Given a name and the content's statistics there, returns those to be used: for videos.
        """
        if style.network != self.digest:
            raise InputError(f"the style {style.name!r} was made for another network: prepare it from its picture again")
        regions = 1 if masks is None else len(masks)
        if style.points and regions != style.regions:
            raise InputError(f"the style {style.name!r} has {style.regions} regions and the content {regions}: give as many")

        def transfer(at: str, x: Activation) -> Activation:
            points, x = style.points[at], self._ready(x)
            if masks is None:
                return self._whole(at, x, points[0], alpha, smooth)
            return self._by_region(at, x, points, alpha, _at(masks, x.values), smooth)

        walked = Walk(self.network, transfer, self.pixels, smooth)(content, self.network.architecture.content_levels)
        assert walked is not None
        return walked.tensor()

    def _ready(self, x: Activation) -> Activation:
        """Nothing put off where the transform looks at more than statistics."""
        return x if isinstance(self.transform, AffineTransform) else Activation(x.tensor())

    def _point(self, x: Activation, mask: Tensor | None) -> Point:
        """What a transfer needs of a style's features; a region too small to be measured is the whole."""
        mask = None if mask is None or mask.sum() < LEAST else mask
        if isinstance(self.transform, AffineTransform):
            return x.seen(measure(x.values, mask, self.positions))
        features = x.mapped()
        return features if mask is None else _chosen(features, mask > mask.max() / 2)

    def _fit(
        self, at: str, x: Activation, point: Point, mask: Tensor | None, smooth: Smooth | None
    ) -> tuple[Affine, Statistics]:
        """The map for features, and the statistics of their values."""
        mask = None if mask is None or mask.sum() < LEAST else mask
        found = measure(x.values, mask, self.positions)
        if smooth is not None:
            found = smooth(at, found)
        wanted = point if isinstance(point, Statistics) else measure(point)
        assert isinstance(self.transform, AffineTransform)
        return self.transform.fit(x.seen(found), wanted), found

    def _whole(self, at: str, x: Activation, point: Point, alpha: float, smooth: Smooth | None) -> Activation:
        if isinstance(self.transform, AffineTransform):
            fit, found = self._fit(at, x, point, None, smooth)
            return replace(x, measured=found).then(fit.blend(alpha))
        features = x.mapped()
        z = self.transform(features, _features(point))
        return Activation(z if alpha == 1 else alpha * z + (1 - alpha) * features)

    def _by_region(
        self, at: str, x: Activation, points: tuple[Point, ...], alpha: float, masks: Tensor, smooth: Smooth | None
    ) -> Activation:
        """Every region's own transfer, blended where masks are soft."""
        features = x.mapped()
        out = features * (1 - masks.sum(0)).clamp_min(0)
        for i, (mask, point) in enumerate(zip(masks, points, strict=True)):
            if isinstance(self.transform, AffineTransform):
                z = self._fit(f"{at}:{i}", Activation(features), point, mask, smooth)[0].blend(alpha)(features)
                out += z.mul_(mask)
            elif (here := mask > 0).any():
                part = _chosen(features, here)
                z = alpha * self.transform(part, _features(point)) + (1 - alpha) * part
                out[..., here] += z[:, :, 0] * mask[here]
        return Activation(out, doubled=x.doubled)


def _at(masks: Float[Tensor, "r H W"], features: Float[Tensor, "1 c h w"]) -> Float[Tensor, "r h w"]:
    """Masks at the size of features; where they sum to more than 1 they are scaled to 1."""
    stride = masks.shape[-1] // features.shape[-1]
    small = F.avg_pool2d(masks[None].to(features), stride)[0] if stride > 1 else masks.to(features)
    return small / small.sum(0).clamp_min(1)


def _chosen(features: Tensor, here: Tensor) -> Tensor:
    """Some positions as features (1, C, 1, n)."""
    return features[..., here][:, :, None]


def _features(point: Point) -> Tensor:
    if isinstance(point, Statistics):
        raise InputError("this style was prepared for affine transforms: prepare it again with the transform in use")
    return point
