"""One matrix between colours that belong together: every colour counts as often as its place has a counterpart.

A matrix between whole pictures takes more sky for another light. Here the encoder says which places are alike, whatever
their light (relu3_1, each channel normalised within its picture), and two plans join them: every place of the content asks
the style, every place of the style asks the content,

    E_ij = exp((<f_i, g_j> - H (y_i - y_j)^2) / T),    W_ij = (E_ij / (n sum_j E_ij) + E_ij / (m sum_i E_ij)) / 2.

The sums of W over rows and over columns say how much each place counts in the mean and the covariance of its picture;
between those the matrix is Monge-Kantorovich's. It is one map of colours for all of the picture: no seam, no halo, an exact
table.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.style.encoders import LevelEncoder
from claimkit.style.transforms import Statistics
from photonet.colour.found import heights, normalised, small_features
from photonet.colour.methods import AT, COLOURS, ColourExecutor, mk_map
from photonet.execution.style import Style, checked_style
from photonet.execution.walk import Smooth
from photonet.transforms import bounded

LEVEL, SIDE = 3, 160  # of the encoder, and pixels of the longer side at which it looks
TEMPERATURE = 0.03  # T, of cosines
HEIGHT = 0.2  # H, of heights from -1 to 1
SEEN = 256  # colours are measured at about so many places along the longer side


class MatchedExecutor:
    """Runs the matched matrix where :class:`photonet.colour.methods.ColourExecutor` runs that of whole pictures.

    Where masks are given, they say what belongs together: the matrix of each region is then the plain one.

    Args:
        encoder: Says which places are alike.
        max_gain: Of the matrix.
    """

    multiple = 1
    blends_pictures = True

    def __init__(self, encoder: LevelEncoder, max_gain: float):
        self.encoder = encoder
        self.max_gain = max_gain
        self.plain = ColourExecutor("mk", max_gain)
        self.digest = COLOURS + "matched"

    @torch.inference_mode()
    def prepare(
        self, style: Float[Tensor, "1 3 h w"], masks: Float[Tensor, "r h w"] | None = None, name: str = "style"
    ) -> Style:
        """Features of the style and its colours at so many places; with masks, means and covariances of the regions."""
        if masks is not None:
            return Style(self.plain.prepare(style, masks).points, self.digest, name)
        style = style.cpu()
        return Style({AT: (_sampled(style),), "features": (self._features(style),)}, self.digest, name)

    @torch.inference_mode()
    def __call__(
        self,
        content: Float[Tensor, "1 3 h w"],
        style: Style,
        alpha: float = 1.0,
        masks: Float[Tensor, "r h w"] | None = None,
        smooth: Smooth | None = None,
    ) -> Float[Tensor, "1 3 h w"]:
        """The content with the style's colours, not clamped; as an executor of networks."""
        checked_style(style, self.digest, masks)
        if masks is not None or "features" not in style.points:  # the style has one region
            return self.plain(content, Style(style.points, self.plain.digest), alpha, masks, smooth)
        content, colours, theirs = content.cpu(), style.points[AT][0], style.points["features"][0]
        assert isinstance(colours, Tensor) and isinstance(theirs, Tensor)
        mine = self._features(content)
        counts = matched(mine, theirs)
        a, b = (_measured(x, w) for x, w in zip((_sampled(content), colours), counts, strict=True))
        if smooth is not None:
            a, b = smooth(AT, a), smooth(f"{AT} of the style", b)
        fit = bounded(mk_map(a, b), a.mean, self.max_gain)
        return fit.blend(alpha)(content)

    def _features(self, picture: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 c y x"]:
        return small_features(self.encoder, picture, LEVEL, SIDE)


def matched(
    content: Float[Tensor, "1 c h w"], style: Float[Tensor, "1 c H W"]
) -> tuple[Float[Tensor, "h w"], Float[Tensor, "H W"]]:
    """How much each place of either picture counts, 1 in the mean: where it has no counterpart, half.

    Args:
        content: Features.
        style: Features of the same encoder.
    """
    f, g = (F.normalize(normalised(x), dim=1) for x in (content, style))
    y, z = heights(content), heights(style)
    here = torch.cat([f, 2 * HEIGHT * y, -HEIGHT * y.square(), torch.ones_like(y)], 1)
    there = torch.cat([g, z, torch.ones_like(z), -HEIGHT * z.square()], 1)
    joined = (here / TEMPERATURE @ there.T).exp_()  # of exponents from -60 to 33: single precision holds them and their sums
    of_style, of_content = joined.sum(1).reciprocal() @ joined, joined @ joined.sum(0).reciprocal()
    mine, theirs = (0.5 + 0.5 * x / x.mean() for x in (of_content, of_style))
    return mine.view(content.shape[-2:]), theirs.view(style.shape[-2:])


def _measured(colours: Float[Tensor, "1 3 h w"], counts: Float[Tensor, "y x"]) -> Statistics:
    at = F.interpolate(counts[None, None], size=colours.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
    return Statistics.of(colours, at)


def _sampled(picture: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 y x"]:
    step = max(1, round(max(picture.shape[-2:]) / SEEN))
    return picture[..., ::step, ::step]
