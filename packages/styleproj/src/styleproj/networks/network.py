"""The network of style projection (2003.07694, section 3): encode, transform the features, decode.

Features are transformed before their ReLU, which the decoder applies: ranks are the same and a third to a half of all values
are no longer tied at zero, where their order, and with it the picture, would be an accident of where they lie.
The paper decodes the last level alone. Here one nearer to the picture can be transformed and handed over as well ("skip",
which the paper's ablation names), meant for strokes from the deep level and drawing from the shallow one; in weights of two
levels that are shipped the deep one has no effect (claim P13, model card), and the default has one.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.style.encoders import LevelEncoder

Features = tuple[Tensor, ...]
Transform = Callable[[Tensor, Tensor], Tensor]


class Residual(nn.Module):
    """x + conv(relu(conv(x))), the second convolution zero at first."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        self.second = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect")
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(bias_of(self.second))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.second(F.relu(self.first(x), inplace=True)).add_(x)


class Decoder(nn.Module):
    """The encoder's mirror: 3x3 convolutions with ReLU, nearest doubling, no ReLU at the end.

    Args:
        channels: Channels of the encoder's levels 1 to depth.
        convolutions: Convolutions of the blocks 1 to depth; one in the last where it is not given.
        levels: Levels it is given, ascending, the last is the depth; the others join as further channels.
        residuals: Residual blocks in each block, from block 1, before its last convolution: where strokes are drawn.
    """

    def __init__(
        self,
        channels: Sequence[int],
        convolutions: Sequence[int],
        levels: Sequence[int],
        residuals: Sequence[int] = (),
    ):
        super().__init__()
        self.levels = tuple(levels)
        depth = len(channels)
        self.convolutions = (*convolutions, 1)[:depth]
        self.residuals = tuple(residuals) + (0,) * (depth - len(residuals))
        for block in range(depth, 0, -1):
            c, n = channels[block - 1], self.convolutions[block - 1]
            for i in range(n, 0, -1):
                width = 2 * c if i == n and block in self.levels[:-1] else c
                after = c if i > 1 else (channels[block - 2] if block > 1 else 3)
                self.add_module(f"conv{block}_{i}", nn.Conv2d(width, after, 3, padding=1, padding_mode="reflect"))
            for i in range(1, self.residuals[block - 1] + 1):
                self.add_module(f"residual{block}_{i}", Residual(c))

    def activations(self, features: Features) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Name, input and output before ReLU of every convolution outside residual blocks, in order."""
        return self._activations(features, inplace=False)

    def forward(self, features: Features) -> Float[Tensor, "b 3 h w"]:
        """The picture, about [0, 1], not clamped."""
        return deque(self._activations(features, inplace=True), maxlen=1)[0][2]

    def _activations(self, features: Features, inplace: bool) -> Iterator[tuple[str, Tensor, Tensor]]:
        """The same; a ReLU that is done in place overwrites an output once the next is asked for."""
        given = {k: F.relu(f) for k, f in zip(self.levels, features, strict=True)}
        depth = self.levels[-1]
        x = given[depth]
        for block in range(depth, 0, -1):
            if block < depth:
                x = F.interpolate(x, scale_factor=2, mode="nearest")
                if block in given:
                    x = torch.cat([x, given[block]], 1)
            for i in range(self.convolutions[block - 1], 0, -1):
                if i == 1:
                    for k in range(1, self.residuals[block - 1] + 1):
                        x = getattr(self, f"residual{block}_{k}")(x)
                y = getattr(self, f"conv{block}_{i}")(x)
                yield f"conv{block}_{i}", x, y
                if (block, i) != (1, 1):
                    x = F.relu(y, inplace=inplace)


class StyleNetwork(nn.Module):
    """Encoder and decoder; the transform between them is an argument.

    Args:
        encoder: Gives features by levels.
        decoder: Takes the levels it names.
    """

    def __init__(self, encoder: LevelEncoder, decoder: Decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    @property
    def levels(self) -> tuple[int, ...]:
        """The encoder's levels that are transformed, ascending."""
        return self.decoder.levels

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of those levels."""
        return tuple(self.encoder.channels[k - 1] for k in self.levels)

    @property
    def multiple(self) -> int:
        """Height and width of a picture must be multiples of this."""
        return 2 ** (self.levels[-1] - 1)

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Features:
        """Features at :attr:`levels`, before ReLU."""
        return tuple(self.encoder.at(image, self.levels))

    def decode(self, features: Features) -> Float[Tensor, "b 3 h w"]:
        """The picture of features, not clamped."""
        return self.decoder(features)

    def forward(
        self, content: Float[Tensor, "b 3 h w"], style: Float[Tensor, "b 3 H W"], transform: Transform
    ) -> Float[Tensor, "b 3 h w"]:
        """``content`` in the style of ``style``; ``transform(x, s)`` is applied level by level."""
        pairs = zip(self.encode(content), self.encode(style), strict=True)
        return self.decode(tuple(transform(x, s) for x, s in pairs))


def bias_of(layer: nn.Conv2d) -> Tensor:
    """The bias of a convolution that has one."""
    if layer.bias is None:
        raise TypeError("this convolution has no bias")
    return layer.bias
