"""The size at which a picture is painted, and so how broad its strokes are; and which parts keep their drawing."""

import math
from dataclasses import dataclass
from typing import Self

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.images import resize
from styleproj.pictures.colour import luma

SIDE = 512
"""Side in pixels of a square of the area at which strokes of 1 are painted."""
LEAST, MOST = 1 / 16, 16
NEAR = 1 / 32
"""Share of a picture's side within which :func:`detail` looks around."""
CONTRAST = 0.1
"""Standard deviation of luma at which half of the drawing is kept."""


@dataclass(frozen=True)
class Canvas:
    """A content and the size at which it is painted.

    Attributes:
        content: ``(3, height, width)`` as it was given.
        image: The same at the painted size; the same tensor where no stroke was asked for.
    """

    content: Tensor
    image: Tensor

    @classmethod
    def of(cls, content: Tensor, stroke: float | None, least: int) -> Self:
        """Strokes of ``stroke`` times those of a picture of 512 x 512 pixels, whatever the content's size.

        A network draws strokes of some pixels; they are as broad, in shares of the picture, as the picture is small when
        it is painted: with an area of (512 / stroke)^2 pixels. Both sides have at least ``least``.

        Raises:
            InputError: ``stroke`` is outside [1/16, 16].
        """
        if checked_stroke(stroke) is None:
            return cls(content, content)
        height, width = content.shape[-2:]
        scale = SIDE / (stroke or 1) / math.sqrt(height * width)
        return cls(content, resize(content, *(max(least, round(n * scale)) for n in (height, width))))

    def fitted(self, mask: Tensor | None) -> Tensor | None:
        """A mask, or labels, of the content's size at the painted size; labels as they are."""
        if mask is None or self.image is self.content:
            return mask
        size = self.image.shape[-2:]
        if mask.is_floating_point():
            return resize(mask[None], *size)[0]
        return F.interpolate(mask[None, None].double(), size, mode="nearest")[0, 0].to(mask.dtype)

    def back(self, result: Tensor, keep: float = 0.0) -> Tensor:
        """A painted picture at the content's size.

        Of what was too fine to be painted, the content's brightness comes back as far as its detail is kept.
        """
        if self.image is self.content:
            return result
        size = self.content.shape[-2:]
        large = resize(result, *size)
        if keep == 0 or self.image.shape[-1] >= size[-1]:
            return large
        content = self.content.to(large)
        fine = luma(content) - luma(resize(self.image.to(large), *size))
        return (large + keep * detail(content) * fine).clamp(0, 1)


def detail(image: Float[Tensor, "3 h w"]) -> Float[Tensor, "h w"]:
    """How much there is to lose at each place, in [0, 1]: 0 where the picture is even, near 1 in lettering and features.

    c² / (c² + 0.1²), where c is the standard deviation of luma within a 32nd of the picture's side.
    """
    y = luma(image.float())[None]
    y = y - y.mean()  # of what is constant no variance is left but for rounding
    height, width = y.shape[-2:]
    reach = min(max(1, round(NEAR * math.sqrt(height * width) / 2)), height - 1, width - 1)

    def around(x: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(x, (reach,) * 4, mode="reflect"), 2 * reach + 1, 1)

    variance = (around(y.square()) - around(y).square()).clamp_min(0)
    return (variance / (variance + CONTRAST**2))[0, 0]


def checked_stroke(stroke: float | None) -> float | None:
    """The breadth of strokes, if one is asked for.

    Raises:
        InputError: It is outside [1/16, 16].
    """
    if stroke is not None and not LEAST <= stroke <= MOST:
        raise InputError(f"stroke = {stroke}: expected 0.0625 (finest) to 16 (broadest), 1 as at 512 x 512 pixels")
    return stroke


def checked_detail(keep: float) -> float:
    """The share of the drawing that is kept.

    Raises:
        InputError: It is outside [0, 1].
    """
    if not 0 <= keep <= 1:
        raise InputError(f"keep_detail = {keep} is outside [0, 1]: 0 paints everything alike, 1 keeps the finest drawing")
    return keep
