"""The cascades of WCT (Li et al., 1705.08086) and PhotoWCT (1802.06474): encode, transform, decode, level after level.

The deepest level comes first, and each round takes the picture of the round before. PhotoWCT keeps the positions of the
maxima in every pooling and puts decoded values there; WCT repeats them over the square. Levels 4 to 1, as in PhotoWCT.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from claimkit.style.encoders import LevelEncoder
from claimkit.style.padding import crop, pad_to_multiple
from photonet.baselines.levels import LevelDecoder, encode
from photonet.baselines.pooling import POOLINGS, PoolingName
from photonet.baselines.transform import Towards, Transform, affine

DEPTH = 4


@dataclass(frozen=True)
class CascadeStyle:
    """The transforms towards one style, by level."""

    levels: tuple[Towards, ...]


class Cascade(nn.Module):
    """One auto-encoder a level, all with one encoder.

    Args:
        encoder: Gives features by levels.
        pooling: ``positions`` is PhotoWCT, ``nearest`` WCT.
        depth: The level of the first round.
    """

    def __init__(self, encoder: LevelEncoder, pooling: PoolingName = "positions", depth: int = DEPTH):
        super().__init__()
        self.encoder = encoder
        self.pooling = POOLINGS[pooling]
        shapes = [(encoder.channels[:k], encoder.convolutions) for k in range(1, depth + 1)]
        self.decoders = nn.ModuleList(LevelDecoder(*shape) for shape in shapes)

    @property
    def depth(self) -> int:
        """Number of rounds."""
        return len(self.decoders)

    def prepare(self, style: Float[Tensor, "1 3 H W"], transform: Transform | None = None) -> CascadeStyle:
        """The style's side of all rounds; by default photonet's WCT."""
        padded = pad_to_multiple(style, 2 ** (self.depth - 1))
        features, _ = encode(self.encoder, padded, self.depth, self.pooling)
        return CascadeStyle(tuple((transform or affine())(f) for f in features))

    def reconstruct(self, picture: Float[Tensor, "b 3 h w"], level: int) -> Float[Tensor, "b 3 h w"]:
        """One round without a transform; sizes are multiples of 2^(level-1)."""
        features, kept = encode(self.encoder, picture, level, self.pooling)
        return self.decoders[level - 1](features[-1], self.pooling, kept)

    def forward(self, content: Float[Tensor, "1 3 h w"], style: CascadeStyle) -> Float[Tensor, "1 3 h w"]:
        """The content in the style; [0, 1], any size."""
        x = pad_to_multiple(content, 2 ** (self.depth - 1))
        for level in range(self.depth, 0, -1):
            features, kept = encode(self.encoder, x, level, self.pooling)
            x = self.decoders[level - 1](style.levels[level - 1](features[-1]), self.pooling, kept)
        return crop(x, *content.shape[2:]).clamp(0, 1)


class Baseline(Protocol):
    """A method that looks at a style once and then at any number of contents."""

    def prepare(self, style: Tensor, transform: Transform | None = None) -> Any:
        """The style's side."""
        ...

    def __call__(self, content: Tensor, style: Any, /) -> Tensor:
        """The content in the style."""
        ...


def stylize(
    method: Baseline, content: Float[Tensor, "3 h w"], style: Float[Tensor, "3 H W"], transform: Transform | None = None
) -> Float[Tensor, "3 h w"]:
    """One picture by a baseline, without gradients."""
    with torch.inference_mode():
        return method(content[None], method.prepare(style[None], transform))[0]
