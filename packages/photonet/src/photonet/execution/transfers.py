"""One transfer of features, wherever it stands: of the whole picture or region by region, its gain bounded.

What is asked of the style is looked at once (:meth:`Transfers.look`) and given to any number of contents.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.transforms import LEAST as FEWEST
from claimkit.style.transforms import Affine, Statistics
from photonet.execution.lazy import Activation, measure
from photonet.execution.style import Point
from photonet.execution.walk import Smooth
from photonet.transforms import AffineTransform, Transform, bounded


@dataclass(frozen=True)
class Transfers:
    """What is done at a transfer.

    Attributes:
        transform: Affine, or any callable ``(x, s) -> z``.
        positions: Measure statistics at about so many evenly spaced positions only; at all when None.
        max_gain: By how much an affine transform may stretch a difference of features, in any direction; None: at will.
    """

    transform: Transform
    positions: int | None = None
    max_gain: float | None = None

    def __post_init__(self) -> None:
        """Refuse a bound that no transform could keep, or that cannot be kept."""
        if self.max_gain is None:
            return
        if not 1 <= self.max_gain < float("inf"):
            raise InputError(f"max_gain = {self.max_gain:g}: expected a finite number from 1, which lets no contrast grow")
        if not isinstance(self.transform, AffineTransform):
            raise InputError("max_gain bounds transforms that are matrices: leave it out, or choose another transform")

    def look(self, x: Activation, masks: Float[Tensor, "r H W"] | None) -> tuple[Point, ...]:
        """What the transfer needs of a style's features, one point a region."""
        x = self._ready(x)
        regions = [None] if masks is None else list(masks_at(masks, x.values))
        return tuple(self._point(x, mask) for mask in regions)

    def __call__(
        self,
        at: str,
        x: Activation,
        points: Sequence[Point],
        alpha: float,
        masks: Float[Tensor, "r H W"] | None,
        smooth: Smooth | None,
    ) -> Activation:
        """Content features with what the style has; ``alpha z + (1 - alpha) x``, where masks sum to less than 1 the content.

        Args:
            at: Name of the transfer, for ``smooth``.
            x: Content features.
            points: The style's, one a region.
            alpha: Strength in [0, 1].
            masks: Soft weights of the regions.
            smooth: Given a name and the content's statistics there, returns those to be used.
        """
        x = self._ready(x)
        if masks is None:
            return self._whole(at, x, points[0], alpha, smooth)
        return self._by_region(at, x, points, alpha, masks_at(masks, x.values), smooth)

    def _ready(self, x: Activation) -> Activation:
        """Nothing put off where the transform looks at more than statistics."""
        return x if isinstance(self.transform, AffineTransform) else Activation(x.tensor())

    def _point(self, x: Activation, mask: Tensor | None) -> Point:
        """Of a region too small to be measured, the whole."""
        mask = _measurable(mask)
        if isinstance(self.transform, AffineTransform):
            return x.seen(measure(x.values, mask, self.positions))
        features = x.mapped()
        return features if mask is None else _chosen(features, mask > mask.max() / 2)

    def _fit(
        self, at: str, x: Activation, point: Point, mask: Tensor | None, smooth: Smooth | None
    ) -> tuple[Affine, Statistics]:
        """The map for features, and the statistics of their values."""
        found = measure(x.values, _measurable(mask), self.positions)
        if smooth is not None:
            found = smooth(at, found)
        wanted = point if isinstance(point, Statistics) else measure(point)
        assert isinstance(self.transform, AffineTransform)
        seen = x.seen(found)
        fit = self.transform.fit(seen, wanted)
        return fit if self.max_gain is None else bounded(fit, seen.mean, self.max_gain), found

    def _whole(self, at: str, x: Activation, point: Point, alpha: float, smooth: Smooth | None) -> Activation:
        if isinstance(self.transform, AffineTransform):
            fit, found = self._fit(at, x, point, None, smooth)
            return replace(x, measured=found).then(fit.blend(alpha))
        features = x.mapped()
        z = self.transform(features, _features(point))
        return Activation(z if alpha == 1 else alpha * z + (1 - alpha) * features)

    def _by_region(
        self, at: str, x: Activation, points: Sequence[Point], alpha: float, masks: Tensor, smooth: Smooth | None
    ) -> Activation:
        """Every region's own transfer, blended where masks are soft."""
        features = x.mapped()
        out = features * (1 - masks.sum(0)).clamp_min(0)
        for i, (mask, point) in enumerate(zip(masks, points, strict=True)):
            if not (here := mask > 0).any():
                continue
            if isinstance(self.transform, AffineTransform):
                z = self._fit(f"{at}:{i}", Activation(features), point, mask, smooth)[0].blend(alpha)(features)
                out += z.mul_(mask)
            else:
                part = _chosen(features, here)
                z = alpha * self.transform(part, _features(point)) + (1 - alpha) * part
                out[..., here] += z[:, :, 0] * mask[here]
        return Activation(out, doubled=x.doubled)


def masks_at(masks: Float[Tensor, "r H W"], features: Float[Tensor, "1 c h w"]) -> Float[Tensor, "r h w"]:
    """Masks at the size of features; where they sum to more than 1 they are scaled to 1."""
    stride = masks.shape[-1] // features.shape[-1]
    small = F.avg_pool2d(masks[None].to(features), stride)[0] if stride > 1 else masks.to(features)
    return small / small.sum(0).clamp_min(1)


def _measurable(mask: Tensor | None) -> Tensor | None:
    """The mask, or none where it holds fewer positions than can be measured."""
    return None if mask is None or mask.sum() < FEWEST else mask


def _chosen(features: Tensor, here: Tensor) -> Tensor:
    """Some positions as features (1, C, 1, n)."""
    return features[..., here][:, :, None]


def _features(point: Point) -> Tensor:
    if isinstance(point, Statistics):
        raise InputError("this style was prepared for affine transforms: prepare it again with the transform in use")
    return point
