"""One picture's way through a network, computing only what is asked for and putting off what can be put off."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.transforms import Statistics
from photonet.execution.convolution import Folded, in_bands
from photonet.execution.lazy import Activation, channel_statistics, whitening
from photonet.network.architecture import STAGES, level_of
from photonet.network.auto_encoder import MULTIPLE, PhotoNet

Visit = Callable[[str, Activation], Activation]
Smooth = Callable[[str, Statistics], Statistics]
HALO = 2  # units of 16 rows: at 1/16 of the size, the two convolutions of a stage reach two rows


@dataclass(frozen=True)
class Walk:
    """The way of pictures through a network.

    Attributes:
        network: Encoder and decoder.
        visit: Called with name and features wherever the architecture has a transfer; what it returns goes on.
        pixels: Larger pictures pass convolutions in bands of about so many.
        smooth: Given a name and the statistics of the features there, returns those that norms shall use.
    """

    network: PhotoNet
    visit: Visit
    pixels: int
    smooth: Smooth | None = None

    def __call__(
        self, image: Float[Tensor, "1 3 h w"], levels: Sequence[int], stages: int | None = len(STAGES)
    ) -> Activation | None:
        """Encode, visit the features, pass bottleneck and stages.

        Args:
            image: Sizes are multiples of 16.
            levels: Features that are needed.
            stages: Stages of the decoder to pass; also the transfer before the next is visited. None does not decode.

        Returns:
            What the last stage gave.
        """
        height, width = image.shape[-2:]
        if height % MULTIPLE or width % MULTIPLE or min(height, width) < 2 * MULTIPLE:
            size = f"{width} x {height}"
            raise InputError(
                f"the network takes pictures of multiples of {MULTIPLE} pixels from 32 on, not {size}: pad first"
            )
        architecture, rows = self.network.architecture, max(1, self.pixels // (MULTIPLE * width))
        features = self._encode(image, levels, rows)
        for k in (5, 4, 3, 2, 1):
            if k in features and f"T{k}" in architecture:
                features[k] = self.visit(f"T{k}", features[k])
        if stages is None:
            return None
        x = self._bottleneck(features, rows)
        for j in STAGES:
            if f"stage{j}.T" in architecture:
                x = self.visit(f"stage{j}.T", x)
            if j > stages:
                break
            x = self._stage(j, x, features, rows)
        return x

    def _encode(self, image: Tensor, levels: Sequence[int], rows: int) -> dict[int, Activation]:
        encoder, depth = self.network.encoder, max(levels)
        reach = 2 ** (depth - 1) + sum(2 ** (b - 1) * (encoder.convolutions[b - 1] + 1) for b in range(1, depth))

        def encode(inputs: list[Tensor]) -> list[Tensor]:
            found = encoder(inputs[0], depth)
            return [found[k - 1] for k in levels]

        found = in_bands(encode, [image], image.shape[-2] // MULTIPLE, rows, -(-reach // MULTIPLE))
        return {k: Activation(x) for k, x in zip(levels, found, strict=True)}

    def _bottleneck(self, features: dict[int, Activation], rows: int) -> Activation:
        """f5 with the aggregated levels; a norm waits until after the pooling unless a transfer mixed the channels."""
        parts = [features[5]]
        for k in self.network.architecture.aggregated:
            x, size = self._normalised(k, features), 2 ** (5 - k)
            waits = x.monotone
            (pooled,) = in_bands(
                lambda v, x=x, size=size, waits=waits: [
                    F.max_pool2d(v[0] if waits else replace(x, values=v[0]).mapped(), size)
                ],
                [x.values],
                features[5].values.shape[-2],
                rows,
                0,
            )
            parts.append(Activation(pooled, x.pending if waits else None))
        layer = self._layer("pyramid")
        return Activation(Folded(layer, [p.form for p in parts])([p.values for p in parts], rectify=False))

    def _stage(self, stage: int, x: Activation, features: dict[int, Activation], rows: int) -> Activation:
        """The convolutions of a stage; the one after the doubling takes the doubling into its weights."""
        architecture, level, last = self.network.architecture, level_of(stage), stage == STAGES[-1]
        parts = [x]
        if level in architecture.skips:
            parts.append(self._normalised(level, features) if f"in{level}" in architecture else features[level])
        mine = [r for r in self.network.decoder.layers if r.stage == stage]
        if not mine:
            return replace(x, doubled=True)
        after = not last and mine[-1].scale < 2 ** (level - 1)
        if after and len(mine) == 1:  # stage 1 with its second convolution alone
            parts = [replace(x, doubled=True)]
        first, *others = (self._layer(r.name) for r in mine)
        begin = Folded(first, [p.form for p in parts])
        end = Folded(others.pop(), [(mine[-1].inputs, None, True)]) if after and others else None

        def convolve(values: list[Tensor]) -> list[Tensor]:
            y = begin(values, rectify=not last)
            for layer in others:
                y = F.relu_(layer(y))
            return [y if end is None else end([y])]

        units = features[5].values.shape[-2]
        (y,) = in_bands(convolve, [p.values for p in parts], units, rows, HALO)
        return Activation(y, doubled=not last and not after)

    def _normalised(self, level: int, features: dict[int, Activation]) -> Activation:
        """Instance norm of a feature as one more map to be applied."""
        x = features[level]
        if x.measured is None:
            found = channel_statistics(x.values)
            x = features[level] = replace(x, measured=self.smooth(f"f{level}", found) if self.smooth else found)
        assert x.measured is not None
        return x.then(whitening(x.seen(x.measured)))

    def _layer(self, name: str) -> nn.Conv2d:
        return cast(nn.Conv2d, self.network.decoder.get_submodule(name))
