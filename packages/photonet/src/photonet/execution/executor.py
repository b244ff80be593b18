"""The same pictures as the network of :mod:`photonet.network.auto_encoder` with less work.

Only what the string of bits needs is computed; the style's share is computed once and kept; affine transfers, norms and
doublings are put off until a convolution takes them into its weights; large pictures pass convolutions in bands, while
statistics remain those of the whole picture.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from photonet.execution.lazy import Activation
from photonet.execution.style import Point, Style, checked_style, digest
from photonet.execution.transfers import Transfers
from photonet.execution.walk import Smooth, Walk
from photonet.network.auto_encoder import MULTIPLE, PhotoNet
from photonet.transforms import Transform, resolve


class Executor:
    """Runs a network on one picture at a time.

    Args:
        network: Encoder and decoder; put into evaluation mode.
        transform: Name in :data:`photonet.transforms.TRANSFORMS`, or a callable ``(x, s) -> z``.
        pixels: Larger pictures are worked on in bands of about so many pixels; the result does not depend on it.
        positions: Measure statistics at about so many evenly spaced positions only; at all when None.
        max_gain: Of each transfer, as :class:`photonet.execution.transfers.Transfers` has it.
    """

    multiple = MULTIPLE  # of heights and widths
    blends_pictures = False  # strength acts on features

    def __init__(
        self,
        network: PhotoNet,
        transform: str | Transform = "wct",
        *,
        pixels: int = 1 << 21,
        positions: int | None = None,
        max_gain: float | None = None,
    ):
        self.network = network.eval().to(memory_format=torch.channels_last)
        self.transfers = Transfers(resolve(transform), positions, max_gain)
        self.pixels = pixels
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
            points[at] = self.transfers.look(x, masks)
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
        checked_style(style, self.digest, masks)

        def transfer(at: str, x: Activation) -> Activation:
            return self.transfers(at, x, style.points[at], alpha, masks, smooth)

        walked = Walk(self.network, transfer, self.pixels, smooth)(content, self.network.architecture.content_levels)
        assert walked is not None
        return walked.tensor()
