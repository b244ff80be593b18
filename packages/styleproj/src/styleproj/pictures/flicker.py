"""How much a painted clip flickers: what changes in the result where the content, moved along, stays what it is."""

from dataclasses import dataclass, field

import numpy as np
import torch
from skimage.registration import optical_flow_ilk
from torch import Tensor
from torch.nn import functional as F

from claimkit.style.images import fit
from styleproj.pictures.colour import luma

FLOW = 160
"""Longer side in pixels at which motion is estimated."""
SAME = 0.05
"""Change of the content, moved along, below which a pixel is taken for the same thing."""


@dataclass
class Flicker:
    """Mean change of the result from frame to frame where the content stays the same, and that of the content there.

    A pixel is followed by optical flow (iterative Lucas-Kanade), estimated on the content at 160 pixels; it counts where the
    content has changed by less than 0.05 along its way.
    """

    content: float = 0.0
    result: float = 0.0
    pixels: int = 0
    _last: tuple[Tensor, Tensor] | None = field(default=None, repr=False)

    def add(self, content: Tensor, result: Tensor) -> None:
        """Take the next frame, ``(3, height, width)`` in [0, 1], and what became of it."""
        if self._last is not None and self._last[0].shape == content.shape:
            before, painted = moved(self._last, content)
            change = (before - content).abs().mean(0)
            same = change < SAME
            self.content += float(change[same].sum())
            self.result += float((painted - result).abs().mean(0)[same].sum())
            self.pixels += int(same.sum())
        self._last = content, result

    def __str__(self) -> str:
        """In words; empty where no two frames were seen."""
        if not self.pixels:
            return "no two frames to compare"
        result, content = self.result / self.pixels, self.content / self.pixels
        return f"flicker {result:.1%}: so much do pixels of the same thing change from frame to frame (source {content:.1%})"


def moved(last: tuple[Tensor, Tensor], content: Tensor) -> tuple[Tensor, Tensor]:
    """The last content and result, moved to where this content has the same things; nan outside the frame."""
    small = [luma(fit(x, FLOW))[0].numpy() for x in (content, last[0])]
    flow = np.stack(optical_flow_ilk(*small, radius=5)).astype(np.float32)
    height, width = content.shape[-2:]
    down, across = F.interpolate(torch.from_numpy(flow)[None], (height, width), mode="bilinear", align_corners=False)[0]
    y = (torch.arange(height)[:, None] + down * height / flow.shape[1] + 0.5) / height * 2 - 1
    x = (torch.arange(width) + across * width / flow.shape[2] + 0.5) / width * 2 - 1
    outside = (y.abs() > 1) | (x.abs() > 1)
    grid = torch.stack([x, y], -1)[None]
    moved = [F.grid_sample(v[None], grid, padding_mode="border", align_corners=False)[0] for v in last]
    return moved[0].masked_fill(outside, torch.nan), moved[1]
