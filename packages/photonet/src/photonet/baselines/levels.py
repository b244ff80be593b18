"""From level to level of an encoder, and back: what a cascade and WCT2 are made of, whatever the pooling."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.style.encoders import LevelEncoder
from photonet.baselines.pooling import Kept, Pooling


def encode_level(
    encoder: LevelEncoder, x: Float[Tensor, "b c h w"], level: int, pooling: Pooling
) -> tuple[Float[Tensor, "b d y x"], Kept]:
    """The features of ``level`` (after ReLU) from those of the level before, or from the picture where it is 1."""
    if level == 1:
        return F.relu(encoder.get_submodule("conv1_1")(encoder.input(x))), ()
    block = level - 1
    for i in range(2, encoder.convolutions[block - 1] + 1):
        x = F.relu(getattr(encoder, f"conv{block}_{i}")(x))
    x, kept = pooling.down(x)
    return F.relu(getattr(encoder, f"conv{level}_1")(x)), kept


def encode(
    encoder: LevelEncoder, picture: Float[Tensor, "b 3 h w"], depth: int, pooling: Pooling
) -> tuple[list[Tensor], list[Kept]]:
    """The levels 1 to ``depth`` after ReLU, and what was kept on the way to each; sizes are multiples of 2^(depth-1)."""
    levels: list[Tensor] = []
    kept: list[Kept] = []
    x = picture
    for k in range(1, depth + 1):
        x, k_kept = encode_level(encoder, x, k, pooling)
        levels.append(x)
        kept.append(k_kept)
    return levels, kept


class LevelDecoder(nn.Module):
    """The encoder's mirror: 3x3 convolutions with ReLU, none at the end; the pooling's way up is an argument.

    Args:
        channels: Of the levels 1 to depth.
        convolutions: Convolutions of the encoder's blocks, at least those below depth.
    """

    def __init__(self, channels: Sequence[int], convolutions: Sequence[int]):
        super().__init__()
        self.convolutions = (*tuple(convolutions)[: len(channels) - 1], 1)
        widths = (3, *channels)
        for level, n in enumerate(self.convolutions, start=1):
            for i in range(1, n + 1):
                out = widths[level] if i > 1 else widths[level - 1]
                layer = nn.Conv2d(widths[level], out, 3, padding=1, padding_mode="reflect")
                self.add_module(f"conv{level}_{i}", layer)

    @property
    def depth(self) -> int:
        """The level that it starts from."""
        return len(self.convolutions)

    def level(self, x: Float[Tensor, "b c h w"], level: int, pooling: Pooling, kept: Kept) -> Float[Tensor, "b d H W"]:
        """Features of the level before, after ReLU, from those of ``level``; of level 1 the picture."""
        x = getattr(self, f"conv{level}_1")(x)
        if level == 1:
            return x
        x = pooling.up(F.relu(x), kept)
        for i in range(self.convolutions[level - 2], 1, -1):
            x = F.relu(getattr(self, f"conv{level - 1}_{i}")(x))
        return x

    def forward(self, x: Float[Tensor, "b c h w"], pooling: Pooling, kept: Sequence[Kept]) -> Float[Tensor, "b 3 H W"]:
        """The picture, about [0, 1], not clamped, from the features of the deepest level and what :func:`encode` kept."""
        for k in range(self.depth, 0, -1):
            x = self.level(x, k, pooling, kept[k - 1])
        return x
