"""WCT2 (Yoo et al., 1903.09760): one pass, pooling by Haar wavelets, whose differences are handed to the decoder.

WCT at every level of the encoder on the way down, on every difference handed over, and before every level of the decoder
but the first. The way up here is the inverse of the wavelets ("sum" in the authors' code), not the concatenation of five
tensors that their default learns to undo.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from claimkit.style.encoders import LevelEncoder
from claimkit.style.padding import crop, pad_to_multiple
from photonet.baselines.levels import LevelDecoder, encode, encode_level
from photonet.baselines.pooling import POOLINGS, Kept
from photonet.baselines.transform import Towards, Transform, affine

HAAR = POOLINGS["haar"]


@dataclass(frozen=True)
class WaveletStyle:
    """The transforms towards one style: of the encoder's levels, of what is kept between them, of the decoder's levels."""

    encoder: tuple[Towards, ...]
    kept: tuple[tuple[Towards, ...], ...]
    decoder: tuple[Towards, ...]


class WCT2(nn.Module):
    """Encoder and decoder with Haar pooling.

    Args:
        encoder: Its convolutions are used, its pooling is not.
        depth: The deepest level.
    """

    def __init__(self, encoder: LevelEncoder, depth: int = 4):
        super().__init__()
        self.encoder = encoder
        self.decoder = LevelDecoder(encoder.channels[:depth], encoder.convolutions)

    @property
    def depth(self) -> int:
        """The deepest level."""
        return self.decoder.depth

    def prepare(self, style: Float[Tensor, "1 3 H W"], transform: Transform | None = None) -> WaveletStyle:
        """The style's side, its pass through the decoder included; by default photonet's WCT."""
        towards = transform or affine()
        levels, kept = encode(self.encoder, pad_to_multiple(style, 2 ** (self.depth - 1)), self.depth, HAAR)
        decoded, x = [], levels[-1]
        for k in range(self.depth, 1, -1):
            x = self.decoder.level(x, k, HAAR, kept[k - 1])
            decoded.append(towards(x))
        return WaveletStyle(
            tuple(towards(f) for f in levels), tuple(tuple(towards(d) for d in k) for k in kept), tuple(decoded[::-1])
        )

    def reconstruct(self, picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The pass without a transform."""
        levels, kept = encode(self.encoder, picture, self.depth, HAAR)
        return self.decoder(levels[-1], HAAR, kept)

    def forward(self, content: Float[Tensor, "1 3 h w"], style: WaveletStyle) -> Float[Tensor, "1 3 h w"]:
        """The content in the style; [0, 1], any size."""
        x = pad_to_multiple(content, 2 ** (self.depth - 1))
        kept: list[Kept] = []
        for k in range(1, self.depth + 1):
            x, differences = encode_level(self.encoder, x, k, HAAR)
            x = style.encoder[k - 1](x)
            kept.append(_each(style.kept[k - 1], differences))
        for k in range(self.depth, 0, -1):
            if k < self.depth:
                x = style.decoder[k - 1](x)
            x = self.decoder.level(x, k, HAAR, kept[k - 1])
        return crop(x, *content.shape[2:]).clamp(0, 1)


def _each(transforms: Sequence[Towards], features: Kept) -> Kept:
    return tuple(f(x) for f, x in zip(transforms, features, strict=True))
