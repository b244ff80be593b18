"""The network of PhotoNet (arXiv 1907.03118; operators as in 1912.02398): one auto-encoder, transfers on the way back.

Transfers on features come first and feed both the bottleneck and the skips. Then the content and the pure style pass the
same decoder in lock-step, and a transfer before a stage gives the content's activation what the style's has. Everything is
computed as it is written; :mod:`photonet.execution.executor` gives the same pictures with less work.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.encoders import LevelEncoder
from photonet.network.architecture import STAGES, Architecture, level_of
from photonet.network.cost import layers
from photonet.transforms import EPSILON, Transform, resolve

MULTIPLE = 16  # of a picture's height and width in pixels
Levels = Mapping[int, Tensor]


class Decoder(nn.Module):
    """The convolutions that an architecture has, under the names ``pyramid`` and ``conv15`` .. ``conv27``.

    Args:
        architecture: Which.
        channels: Of the encoder's levels 1 to 5.
    """

    def __init__(self, architecture: Architecture, channels: Sequence[int]):
        super().__init__()
        self.architecture = architecture
        self.channels = tuple(channels)
        self.layers = tuple(layers(architecture, channels))
        for x in self.layers:
            padding = "reflect" if x.kernel > 1 else "zeros"
            self.add_module(x.name, nn.Conv2d(x.inputs, x.outputs, x.kernel, padding=x.kernel // 2, padding_mode=padding))

    def bottleneck(self, levels: Levels) -> Float[Tensor, "b c h w"]:
        """What the first stage is given: f5 and the aggregated levels, normalised and pooled to its size."""
        pooled = [F.max_pool2d(normalised(levels[k]), 2 ** (5 - k)) for k in self.architecture.aggregated]
        return self.get_submodule("pyramid")(torch.cat([levels[5], *pooled], 1))

    def stage(self, stage: int, x: Float[Tensor, "b c h w"], levels: Levels) -> Tensor:
        """One stage; all but the last double height and width."""
        level = level_of(stage)
        if level in self.architecture.skips:
            skip = levels[level]
            x = torch.cat([x, normalised(skip) if f"in{level}" in self.architecture else skip], 1)
        return self.convolve(stage, x)

    def convolve(self, stage: int, x: Float[Tensor, "b c h w"]) -> Tensor:
        """The convolutions of a stage; those at twice its scale come after the doubling."""
        doubled = stage == STAGES[-1]
        for layer in self.layers:
            if layer.stage == stage:
                if layer.scale < 2 ** (level_of(stage) - 1) and not doubled:
                    x, doubled = F.interpolate(x, scale_factor=2, mode="nearest"), True
                x = self.get_submodule(layer.name)(x)
                x = x if stage == STAGES[-1] else F.relu(x)
        return x if doubled else F.interpolate(x, scale_factor=2, mode="nearest")

    def forward(self, levels: Levels) -> Float[Tensor, "b 3 h w"]:
        """The picture of features, about [0, 1], not clamped; no transfer."""
        x = self.bottleneck(levels)
        for j in STAGES:
            x = self.stage(j, x, levels)
        return x


class PhotoNet(nn.Module):
    """Encoder, decoder, and the transfers that the decoder's architecture names.

    Args:
        encoder: Gives five levels.
        decoder: For the encoder's channels.
    """

    def __init__(self, encoder: LevelEncoder, decoder: Decoder):
        super().__init__()
        if encoder.channels != decoder.channels:
            raise InputError(f"the decoder is for channels {decoder.channels}, the encoder has {encoder.channels}")
        self.encoder = encoder
        self.decoder = decoder

    @property
    def architecture(self) -> Architecture:
        """The decoder's."""
        return self.decoder.architecture

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> dict[int, Tensor]:
        """Features by level, 1 to 5."""
        if image.shape[-2] % MULTIPLE or image.shape[-1] % MULTIPLE or min(image.shape[-2:]) < 2 * MULTIPLE:
            size = f"{image.shape[-1]} x {image.shape[-2]}"
            raise InputError(
                f"the network takes pictures of multiples of {MULTIPLE} pixels from 32 on, not {size}: pad first"
            )
        return dict(enumerate(self.encoder(image), start=1))

    def reconstruct(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """The picture encoded and decoded, without any transfer."""
        return self.decoder(self.encode(image))

    def forward(
        self,
        content: Float[Tensor, "b 3 h w"],
        style: Float[Tensor, "b 3 H W"],
        transform: str | Transform = "wct",
        alpha: float = 1.0,
    ) -> Float[Tensor, "b 3 h w"]:
        """``content`` in the light of ``style``, not clamped; sizes may differ, and are multiples of 16.

        Args:
            content: RGB in [0, 1].
            style: RGB in [0, 1].
            transform: Name in :data:`photonet.transforms.TRANSFORMS`, or a callable ``(x, s) -> z``.
            alpha: Every transfer gives ``alpha z + (1 - alpha) x``.
        """
        chosen = resolve(transform)

        def transfer(x: Tensor, s: Tensor) -> Tensor:
            z = chosen(x, s)
            return z if alpha == 1 else alpha * z + (1 - alpha) * x

        a, c, s = self.architecture, self.encode(content), self.encode(style)
        for k in c:
            if f"T{k}" in a:
                c[k] = transfer(c[k], s[k])
        x, y = self.decoder.bottleneck(c), self.decoder.bottleneck(s) if a.style_decoded else None
        for j in STAGES:
            if y is not None and f"stage{j}.T" in a:
                x = transfer(x, y)
            x = self.decoder.stage(j, x, c)
            y = self.decoder.stage(j, y, s) if y is not None and j <= a.style_stages else None
        return x


def normalised(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Instance norm without parameters: each channel of each picture with mean 0 and variance 1."""
    return F.instance_norm(x, eps=EPSILON)
