"""Frames of a clip, painted by one map of values that changes slowly, so that what stands still stays as it was painted.

Where each frame is ranked anew, a value's rank, and with it its colour, changes with everything else in the frame; and
where many values are alike, ranks are steep and enlarge noise. Here quantiles and moments of the content are running means
over the frames, and no value may be spread much more than the style as a whole is (as CLAHE bounds a histogram). What then
still changes where the content, moved along, does not, is averaged with what was painted there before.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.style.padding import crop
from claimkit.style.transforms import Affine, Statistics, checked_strength, ot_map
from styleproj.operator.sorted_style import SortedStyle
from styleproj.operator.transforms import AFFINE, bounded
from styleproj.pictures.colour import soft_clip
from styleproj.pictures.flicker import SAME, moved
from styleproj.pictures.style import Style
from styleproj.pictures.stylizer import Stylizer

KNOTS = 256
STEEPEST = 2.0
"""Most that a difference of values is enlarged, over the ratio of the style's deviation to the content's."""
SHARE = 0.04
"""Of each new frame in the running means: about a second is remembered."""
KEPT = 0.7
"""Share of the last result, moved along, where the content has not changed at all; none where it has by :data:`SAME`.

It falls as the square of the change: little of it is lost to the noise that any film has."""
CUT = 0.15
"""Mean change of brightness, in 16 x 16 fields, from which a frame begins another scene."""


def value_map(knots: Float[Tensor, "c k"], style: Float[Tensor, "c k"], steepest: float = STEEPEST) -> Float[Tensor, "c k"]:
    """Where the content's quantiles go: to the style's, with no slope above ``steepest`` times the ratio of deviations.

    Ascending; the mean over knots is the style's. Unbounded (``inf``) it is the style's quantiles themselves.
    """
    own = knots.std(1, keepdim=True).clamp_min(1e-12)
    most = steepest * style.std(1, keepdim=True) / own
    steps = torch.minimum(style.diff(dim=1), (most * knots.diff(dim=1)).nan_to_num(torch.inf, torch.inf))
    values = F.pad(steps.cumsum(1), (1, 0))
    return values + (style - values).mean(1, keepdim=True)


def through(x: Float[Tensor, "c n"], knots: Float[Tensor, "c k"], values: Float[Tensor, "c k"]) -> Float[Tensor, "c n"]:
    """The map that is linear between knots and constant outside."""
    above = torch.searchsorted(knots.contiguous(), x.contiguous()).clamp(1, knots.shape[1] - 1)
    low, high = knots.gather(1, above - 1), knots.gather(1, above)
    share = ((x - low) / (high - low).clamp_min(torch.finfo(x.dtype).tiny)).clamp(0, 1)
    return torch.lerp(values.gather(1, above - 1), values.gather(1, above), share)


@dataclass
class Steady:
    """Paints frames in their order; see the module.

    Attributes:
        stylizer: The network, its transform and its map of colours.
        style: Prepared.
        alpha: Strength in [0, 1].
    """

    stylizer: Stylizer
    style: Style
    alpha: float = 1.0
    _means: dict[str, tuple[Tensor, ...]] = field(default_factory=dict, repr=False)
    _seen: Tensor | None = field(default=None, repr=False)
    _last: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check."""
        checked_strength(self.alpha)

    @torch.inference_mode()
    def __call__(self, frame: Float[Tensor, "3 h w"]) -> Float[Tensor, "3 h w"]:
        """The frame in the style, in [0, 1]; another scene begins anew."""
        self._look(frame)
        stylizer = self.stylizer
        features = [self._moved(x, level) for level, x in enumerate(stylizer.encode(frame))]
        result = crop(stylizer.decode(features)[None], *frame.shape[-2:])
        if stylizer.palette:
            own, wanted = self._statistics("colours", Statistics.of(result)), _at(self.style.colours, result)
            fit = bounded(ot_map(own, wanted), own.mean, stylizer.max_gain).blend(self.alpha)
            result = fit(result).clamp(-stylizer.limit, 1 + stylizer.limit)
            ends = self._running("ends", result.amin((-2, -1), keepdim=True), result.amax((-2, -1), keepdim=True))
            result = soft_clip(result, self.alpha * stylizer.soft_clip, (ends[0], ends[1]))
        return self._averaged(frame.cpu(), result[0].clamp(0, 1).cpu())

    def _moved(self, x: Tensor, level: int) -> Tensor:
        """Features of one level by the map of now."""
        name, wanted = self.stylizer.transform, _at(self.style.statistics[level], x)
        z = x
        if name != "projection":
            own = self._statistics(f"moments{level}", Statistics.of(x))
            fit: Affine = (ot_map if name == "ot-projection" else AFFINE[name])(own, wanted)
            z = fit(x)
        if name.endswith("projection"):
            rows = z[0].flatten(1)
            (knots,) = self._running(f"knots{level}", SortedStyle.of(z[0]).quantiles(KNOTS))
            values = value_map(knots, self.style.levels[level].to(x.device).quantiles(KNOTS))
            z = through(rows, knots, values).view(x.shape)
        return torch.lerp(x, z, self.alpha)

    def _averaged(self, frame: Tensor, result: Tensor) -> Tensor:
        """The result, in part as it was painted before."""
        if self._last is not None and self._last[0].shape == frame.shape:
            content, painted = moved(self._last, frame)
            change = (content - frame).abs().mean(0).nan_to_num(SAME)
            result = torch.lerp(result, painted, KEPT * (1 - (change / SAME).square()).clamp_min(0))
        self._last = frame, result
        return result

    def _statistics(self, name: str, new: Statistics) -> Statistics:
        return Statistics(*self._running(name, new.mean, new.covariance))

    def _running(self, name: str, *new: Tensor) -> tuple[Tensor, ...]:
        """The running means with what was just seen."""
        old = self._means.get(name, new)
        self._means[name] = tuple(torch.lerp(a, b, SHARE) for a, b in zip(old, new, strict=True))
        return self._means[name]

    def _look(self, frame: Tensor) -> None:
        """Forget everything where another scene begins."""
        seen = F.adaptive_avg_pool2d(frame.mean(0, keepdim=True), 16)
        if self._seen is not None and (seen - self._seen).abs().mean() > CUT:
            self._means.clear()
            self._last = None
        self._seen = seen


def _at(s: Statistics, x: Tensor) -> Statistics:
    return Statistics(s.mean.to(x.device), s.covariance.to(x.device))
