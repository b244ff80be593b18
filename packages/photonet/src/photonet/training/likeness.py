"""How unlike two pictures are to a network that knows pictures, by edges and by pixels: what decoders are trained by."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from claimkit.style.looks import edge_similarity, style_gram_distance
from claimkit.style.metrics import rms


@dataclass(frozen=True)
class Likeness:
    """Weights of the losses.

    Attributes:
        likeness: Of the distance of features, over their norm.
        drawing: Of what is missing of the edges.
        pixels: Of the root mean square error.
        gram: Of the distance of Gram matrices.
    """

    likeness: float = 6.0
    drawing: float = 8.0
    pixels: float = 6.0
    gram: float = 2.0

    def losses(self, judge: Callable[[Tensor], list[Tensor]], made: Tensor, wanted: Tensor, step: int) -> dict[str, Tensor]:
        """Each loss by its name, and their weighted sum as ``total``.

        Args:
            judge: Gives levels of features, such as :class:`claimkit.style.looks.Judge`.
            made: Pictures ``(b, 3, h, w)`` that have a gradient.
            wanted: What they should be.
            step: Number of the step: every other is judged at half the size, the others on a quarter of the picture.
        """
        seen, kept = (F.avg_pool2d(x, 2) if step % 2 else _quarter(x, step) for x in (made, wanted))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                target = judge(kept)
            own = judge(seen)
        means = {
            "likeness": torch.stack([_apart(f, g).mean() for f, g in zip(own, target, strict=True)]).mean(),
            "drawing": 1 - edge_similarity(made, wanted).mean(),
            "pixels": rms((made - wanted).flatten(1)).mean(),
            "gram": style_gram_distance(own, target).mean(),
        }
        return means | {"total": torch.stack([getattr(self, k) * v for k, v in means.items()]).sum()}


def _apart(f: Tensor, g: Tensor) -> Tensor:
    """Norm of the difference of features over the norm of those that are wanted."""
    return rms((f.float() - g.float()).flatten(1)) / rms(g.float().flatten(1))


def _quarter(x: Tensor, step: int) -> Tensor:
    """The same quarter of each picture, another one each step."""
    height, width = (n // 2 for n in x.shape[-2:])
    down, across = (step * 37 % (n + 1) for n in (height, width))
    return x[..., down : down + height, across : across + width]
