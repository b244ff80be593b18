"""Regions that nobody drew: the encoder's features and the height in the picture, clustered in both pictures at once.

A matrix knows which colours a picture has and not where; the encoder knows what is where. Positions of content and style
that look alike (relu4_1, each picture normalised by itself: light does not count) and stand at a like height fall into one
cluster, and every cluster has a matrix of its own (Monge-Kantorovich), softly blended.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.encoders import LevelEncoder
from claimkit.style.padding import pad_to_multiple
from photonet.colour.methods import AT, COLOURS, METHODS
from photonet.execution.lazy import Activation
from photonet.execution.style import Style, checked_maker
from photonet.execution.transfers import Transfers
from photonet.execution.walk import Smooth
from photonet.network.auto_encoder import MULTIPLE
from photonet.regions.labels import feathered

LEVEL = 4
CLUSTERS = 4
DIRECTIONS = 8  # of feature space: the main ones
HEIGHT = 3.4  # spreads of the features that the height of a picture counts for
SOFTNESS = 0.5  # of the mean squared distance to a centre: the temperature of membership
FEWEST = 0.05  # share of either picture below which a cluster is left out
SIDE = 256  # pixels at which features are looked at


class RegionExecutor:
    """Runs the matrix in regions that it finds, where :class:`photonet.colour.methods.ColourExecutor` runs it on the whole.

    Args:
        encoder: Gives the features.
        max_gain: Of each matrix.
    """

    multiple = 1
    blends_pictures = True

    def __init__(self, encoder: LevelEncoder, max_gain: float | None = None):
        self.encoder = encoder
        self.transfers = Transfers(METHODS["mk"].transform, max_gain=max_gain)
        self.digest = COLOURS + "regions"

    @torch.inference_mode()
    def prepare(self, style: Float[Tensor, "1 3 h w"], masks: Tensor | None = None, name: str = "style") -> Style:
        """Features of the style, and its colours at so many places.

        Raises:
            InputError: Masks are given: it finds its own.
        """
        _refuse(masks)
        step = max(1, max(style.shape[-2:]) // SIDE)
        return Style(
            {AT: (style[..., ::step, ::step].cpu(),), "features": (self._features(style.cpu()),)}, self.digest, name
        )

    @torch.inference_mode()
    def __call__(
        self,
        content: Float[Tensor, "1 3 h w"],
        style: Style,
        alpha: float = 1.0,
        masks: Tensor | None = None,
        smooth: Smooth | None = None,
    ) -> Float[Tensor, "1 3 h w"]:
        """The content with the style's colours, region by region, not clamped.

        Raises:
            InputError: Masks are given, or frames of a video, whose regions would not stay.
        """
        checked_maker(style, self.digest)
        _refuse(masks)
        if smooth is not None:
            raise InputError("regions that are found change from frame to frame: for videos take another --method")
        colours, theirs = style.points[AT][0], style.points["features"][0]
        assert isinstance(colours, Tensor) and isinstance(theirs, Tensor)
        content = content.cpu()
        found = common_regions(self._features(content), theirs)
        if found is None:
            mine, style_masks = None, None
        else:
            mine = feathered(_at(found[0], content), content[0])
            style_masks = _at(found[1], colours)
        points = self.transfers.look(Activation(colours), style_masks)
        return self.transfers(AT, Activation(content), points, alpha, mine, None).tensor()

    def _features(self, picture: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 c y x"]:
        return small_features(self.encoder, picture, LEVEL, SIDE)


def small_features(encoder: LevelEncoder, picture: Float[Tensor, "1 3 h w"], level: int, side: int) -> Tensor:
    """One level of the features ``(1, c, y, x)`` of a copy of at most ``side`` pixels on the longer side."""
    scale, stride = side / max(picture.shape[-2:]), 2 ** (level - 1)
    if scale < 1:
        size = [max(stride, round(n * scale)) for n in picture.shape[-2:]]
        picture = F.interpolate(picture, size=size, mode="bilinear", antialias=True)
    features = encoder(pad_to_multiple(picture, MULTIPLE), level)[level - 1]
    return features[..., : -(-picture.shape[-2] // stride), : -(-picture.shape[-1] // stride)]


def common_regions(
    content: Float[Tensor, "1 c h w"], style: Float[Tensor, "1 c H W"], clusters: int = CLUSTERS
) -> tuple[Float[Tensor, "r h w"], Float[Tensor, "r H W"]] | None:
    """Soft masks of the regions that both have, each position's summing to 1; None where they have less than two in common.

    Args:
        content: Features.
        style: Features of the same encoder.
        clusters: At most so many.
    """
    from sklearn.cluster import KMeans  # 160 MB, of which other methods have no need

    mine, theirs = (normalised(x) for x in (content, style))
    if min(len(mine), len(theirs)) == 1:
        return None
    main = torch.linalg.svd(torch.cat([mine, theirs]), full_matrices=False).Vh[:DIRECTIONS]
    both = torch.cat([mine, theirs]) @ main.T
    both = both / both.std(0).clamp_min(1e-6).sqrt()
    both_heights = torch.cat([heights(content), heights(style)])
    points = torch.cat([both / both.std().clamp_min(1e-6), HEIGHT * both_heights], 1)
    known = KMeans(min(clusters, len(points)), n_init=2, random_state=0)  # pyright: ignore[reportArgumentType]
    known.fit(points.double().numpy())
    spread = max(float(known.inertia_ or 0) / len(points), 1e-9)
    distances = torch.cdist(points.double(), torch.from_numpy(known.cluster_centers_).double()).square()
    kept = torch.arange(distances.shape[1])
    while True:
        share = torch.softmax(-distances[:, kept] / (2 * SOFTNESS * spread), 1)
        first, second = share[: len(mine)], share[len(mine) :]
        least = torch.minimum(first.mean(0), second.mean(0))
        if least.min() >= FEWEST or len(kept) == 1:
            break
        kept = kept[torch.arange(len(kept)) != least.argmin()]
    if len(kept) < 2:
        return None
    return tuple(p.T.float().reshape(-1, *x.shape[-2:]) for p, x in ((first, content), (second, style)))  # type: ignore[return-value]


def normalised(features: Float[Tensor, "1 c h w"]) -> Float[Tensor, "n c"]:
    """Positions in rows, each channel with mean 0 and spread 1 in this picture; 0 where there is one position."""
    rows = features.flatten(2)[0].T
    spread = rows.std(0, correction=min(1, len(rows) - 1))
    return (rows - rows.mean(0)) / spread.clamp_min(1e-6)


def heights(features: Float[Tensor, "1 c h w"]) -> Float[Tensor, "n 1"]:
    """How high each position is, -1 above, 1 below."""
    height, width = features.shape[-2:]
    return torch.linspace(-1, 1, height).view(-1, 1).expand(-1, width).reshape(-1, 1)


def _at(masks: Float[Tensor, "r h w"], picture: Float[Tensor, "1 3 H W"]) -> Float[Tensor, "r H W"]:
    return F.interpolate(masks[None], size=picture.shape[-2:], mode="bilinear", align_corners=False)[0].clamp(0, 1)


def _refuse(masks: Tensor | None) -> None:
    if masks is not None:
        raise InputError("the method 'regions' finds its own regions: leave masks out, or take --method mk with them")
