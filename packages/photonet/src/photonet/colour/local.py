"""The matrix, and what a network adds to it where it stands: as matrices of small windows, as strong as the drawing allows.

1. The whole picture takes the style's mean and covariance of colours (Monge-Kantorovich): x.
2. A small copy of x passes the network. Within every window what it changed is taken for an affine map of x's colours, by
   ridge regression, as the guided filter has it (He, Sun and Tang, 2010): y - x = A x + b. Of a halo little is such a map.
3. The maps are carried to the picture's own size, as in deep bilateral learning (Gharbi et al., 2017): x + s (A x + b).
   The strength s in [0, 1] is about the largest at which the small copy keeps the SSIM of edges that the matrix has, but for
   a bit.

What it costs hardly depends on the picture's size, and flat places, whose colours say nothing, keep the matrix alone.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from claimkit.style.padding import crop, pad_to_multiple
from claimkit.style.transforms import Statistics
from photonet.colour.methods import COLOURS, ColourExecutor
from photonet.execution.executor import Executor
from photonet.execution.style import Style, checked_style
from photonet.execution.walk import Smooth
from photonet.network.auto_encoder import MULTIPLE, PhotoNet
from photonet.regions.guided_filter import carried, local_maps, shrunk

SIDE = 144  # longer side in pixels of the copy that the network sees
WINDOWS = 64  # the longer side is so many times a window's radius
FLAT = 1e-3  # variance of colours, squared units of [0, 1], below which a window says nothing
LOST = 0.015  # of the SSIM of edges: what the network may take from the drawing that the matrix keeps
TRIES = 6  # of a strength; after them the matrix stays alone


class LocalExecutor:
    """Runs the matrix and the network where :class:`photonet.colour.methods.ColourExecutor` runs the matrix alone.

    Args:
        network: Sees small copies of content and style.
        max_gain: Of the matrix, and of the network's transfers.
    """

    multiple = 1
    blends_pictures = True

    def __init__(self, network: PhotoNet, max_gain: float | None = None):
        self.matrix = ColourExecutor("mk", max_gain)
        self.network = Executor(network, "ot", max_gain=max_gain)
        self.digest = COLOURS + "local"

    @torch.inference_mode()
    def prepare(
        self, style: Float[Tensor, "1 3 h w"], masks: Float[Tensor, "r h w"] | None = None, name: str = "style"
    ) -> Style:
        """The style's colours, and what the network's transfers need of a small copy, region by region."""
        whole = self.matrix.prepare(style, masks)
        seen = self.network.prepare(_padded(_small(style.cpu())), None if masks is None else _padded(_small(masks[None]))[0])
        return Style({**whole.points, **seen.points}, self.digest, name)

    @torch.inference_mode()
    def __call__(
        self,
        content: Float[Tensor, "1 3 h w"],
        style: Style,
        alpha: float = 1.0,
        masks: Float[Tensor, "r h w"] | None = None,
        smooth: Smooth | None = None,
    ) -> Float[Tensor, "1 3 h w"]:
        """The content with the style's colours and light, not clamped; as an executor of networks."""
        checked_style(style, self.digest, masks)
        content = content.cpu()
        coloured = self.matrix(content, Style(style.points, self.matrix.digest), 1.0, masks, smooth).clamp_(0, 1)
        small = _small(coloured)
        at = None if masks is None else _padded(_small(masks[None].cpu()))[0]
        seen = self.network(_padded(small), Style(style.points, self.network.digest), 1.0, at, smooth)
        lit = crop(seen, *small.shape[-2:])[0].clamp(0, 1)
        radius = max(1, round(max(small.shape[-2:]) / WINDOWS))
        maps, shifts = local_maps(lit - small[0], small[0], radius, FLAT)
        change = (maps * small[0][:, None]).sum(0) + shifts
        strength = _strength(small[0], change, _small(content)[0])
        if smooth is not None:
            strength = float(smooth("strength", Statistics(torch.tensor([[strength]]), torch.zeros(1, 1, 1))).mean)
        result = carried(coloured[0], strength * torch.cat([maps.flatten(0, 1), shifts]))
        if masks is not None:  # what no region covers stays; there the network would give it back almost
            result = torch.lerp(coloured[0], result, masks.cpu().sum(0).clamp_max(1).to(result))
        return torch.lerp(content, result[None], alpha)


def _strength(small: Float[Tensor, "3 h w"], change: Float[Tensor, "3 h w"], content: Float[Tensor, "3 h w"]) -> float:
    """A share of the change that keeps the content's drawing but for :data:`LOST`, about the largest."""
    from claimkit.style.metrics import ssim_edge  # scikit-image, which other methods do without

    kept, share = ssim_edge(small, content), 1.0
    for _ in range(TRIES):
        lost = kept - ssim_edge((small + share * change).clamp(0, 1), content)
        if lost <= LOST:
            return share
        share *= min(0.8, (LOST / lost) ** 0.5)  # the loss grows about with the square
    return 0.0


def _small(picture: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c y x"]:
    """At most :data:`SIDE` pixels on the longer side."""
    return shrunk(picture, SIDE / max(picture.shape[-2:]))


def _padded(picture: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c y x"]:
    return pad_to_multiple(picture, MULTIPLE)
