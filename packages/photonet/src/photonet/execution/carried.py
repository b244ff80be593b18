"""A network on pictures larger than it need see: its change is found on a smaller copy and carried to the picture's size.

What a network changes is smooth but for the picture's own edges. In every small window of the copy it is taken for an affine
map of the copy's colours, by ridge regression as the guided filter has it, and the maps are interpolated, as in deep
bilateral learning (Gharbi et al., 2017). The picture's own detail stays, of an outline little does, and what it costs hardly
depends on the picture's size. It is not the picture that the network makes of all pixels: of a photograph of 640 pixels of
which the network saw a ninth it was 5 to 8 levels of 255 away, where the network changes 80.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from claimkit.errors import InputError
from claimkit.style.padding import crop, pad_to_multiple
from photonet.execution.executor import Executor
from photonet.execution.style import Style
from photonet.execution.walk import Smooth
from photonet.network.auto_encoder import MULTIPLE
from photonet.regions.guided_filter import carried, local_maps, shrunk

LEAST = 64
RADIUS, FLAT = 4, 1e-4  # of a window in pixels of the copy; variance of colours below which it says nothing


class CarriedExecutor:
    """Runs a network on a copy of at most ``size`` x ``size`` pixels where :class:`Executor` runs it on the picture.

    Args:
        executor: Of the network; smaller pictures are its own, and its kept styles are the same.
        size: Pixels squared of the copy, at least :data:`LEAST`.

    Raises:
        InputError: A smaller size.
    """

    multiple = 1
    blends_pictures = False

    def __init__(self, executor: Executor, size: int):
        if size < LEAST:
            raise InputError(f"network_size = {size}: expected at least {LEAST} pixels, or 0 for the picture's own")
        self.executor = executor
        self.size = size
        self.digest = executor.digest

    def prepare(
        self, style: Float[Tensor, "1 3 h w"], masks: Float[Tensor, "r h w"] | None = None, name: str = "style"
    ) -> Style:
        """As the network looks at a style."""
        return self.executor.prepare(_padded(style), None if masks is None else _padded(masks[None])[0], name)

    @torch.inference_mode()
    def __call__(
        self,
        content: Float[Tensor, "1 3 h w"],
        style: Style,
        alpha: float = 1.0,
        masks: Float[Tensor, "r h w"] | None = None,
        smooth: Smooth | None = None,
    ) -> Float[Tensor, "1 3 h w"]:
        """As :meth:`Executor.__call__`; not clamped."""
        scale = self.size / math.sqrt(content.shape[-2] * content.shape[-1])
        small = shrunk(content, scale)
        at = None if masks is None else _padded(shrunk(masks[None], scale).clamp(0, 1))[0]
        seen = crop(self.executor(_padded(small), style, alpha, at, smooth), *small.shape[-2:])
        if small is content:
            return seen
        maps, shifts = local_maps(seen[0].clamp(0, 1) - small[0], small[0], RADIUS, FLAT)
        return carried(content[0].cpu(), torch.cat([maps.flatten(0, 1), shifts]).cpu())[None]


def _padded(picture: Float[Tensor, "1 c h w"]) -> Float[Tensor, "1 c y x"]:
    return pad_to_multiple(picture, MULTIPLE)
