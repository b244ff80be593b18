"""Genomes as networks: photonet's 31 operators, and in the extended space the encoder's depth and width, too.

The published space (1906.02470, 1912.02398) always encodes to relu5_1 at full width, which is most of what a pruned network
costs. A shallow candidate encodes to relu4_1 or relu3_1 and its decoder begins at the stage that has this size; a narrow one
has half of the channels, in the encoder and in the decoder.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.style.encoders import LevelEncoder
from photonet.network.architecture import DEAD, NAMES, STAGES, Architecture
from photonet.network.auto_encoder import Decoder, Levels, PhotoNet, normalised
from photonet.network.cost import Layer, encoder_macs, layers
from photonet.transforms import resolve

PUBLISHED = tuple(n for i, n in enumerate(NAMES) if i != DEAD)
EXTENDED = (*PUBLISHED, "shallow", "shallower", "narrow")
Transform = Callable[[Tensor, Tensor], Tensor]
LEVEL = {1: 5, 2: 4, 3: 3}  # deepest level of the encoder, by the stage at which the decoder begins


@dataclass(frozen=True)
class Candidate:
    """A network of the published or of the extended space.

    Attributes:
        architecture: Which of photonet's operators it has.
        depth: Deepest level of its encoder: 5, 4 or 3.
        narrow: Whether encoder and decoder have half of the channels.
    """

    architecture: Architecture
    depth: int = 5
    narrow: bool = False

    @classmethod
    def of(cls, genome: str) -> "Candidate":
        """From a genome of either space."""
        on = {n for n, b in zip(EXTENDED, genome, strict=False) if b == "1"}
        depth = 3 if "shallower" in on else 4 if "shallow" in on else 5
        return cls(Architecture.of(_effective(on & set(PUBLISHED), depth)), depth, "narrow" in on)

    def genome(self, extended: bool) -> str:
        """Canonical; that of the published space has no depth and width."""
        on = set(self.architecture.operators)
        on |= {
            n
            for n, is_on in (("shallow", self.depth == 4), ("shallower", self.depth == 3), ("narrow", self.narrow))
            if is_on
        }
        return "".join("01"[n in on] for n in (EXTENDED if extended else PUBLISHED))

    @property
    def start(self) -> int:
        """Stage of the decoder that is fed by the bottleneck."""
        return 6 - self.depth

    @property
    def stages(self) -> tuple[int, ...]:
        """Stages that it has."""
        return STAGES[self.start - 1 :]

    @cached_property
    def aggregated(self) -> tuple[int, ...]:
        """Levels that join the deepest one in the bottleneck."""
        return tuple(k for k in self.architecture.aggregated if k < self.depth)

    @property
    def operators(self) -> int:
        """Operators in use; the deepest level of a shallow encoder is none."""
        return len(self.architecture) - (self.depth < 5)

    def layers(self, channels: Sequence[int]) -> Iterator[Layer]:
        """Convolutions of its decoder."""
        for x in layers(self.architecture, channels):
            if x.name == "pyramid":
                inputs = sum(channels[k - 1] for k in (self.depth, *self.aggregated))
                yield x._replace(inputs=inputs, outputs=channels[min(self.depth, 4) - 1], scale=2 ** (self.depth - 1))
            elif x.stage >= self.start:
                yield x

    def macs(self, height: int, width: int, channels: Sequence[int], convolutions: Sequence[int]) -> int:
        """Multiply-accumulates of the convolutions for one picture and one style, as deep as the style is needed."""
        a = self.architecture
        depth = min(a.style_depth, self.depth) if not a.style_decoded else self.depth
        cost = [
            (x, (height // x.scale) * (width // x.scale) * x.kernel**2 * x.inputs * x.outputs) for x in self.layers(channels)
        ]
        total = sum(n for _, n in cost)
        total += sum(n for x, n in cost if x.stage <= a.style_stages) if a.style_decoded else 0
        return total + sum(encoder_macs(height, width, channels, convolutions, d) for d in (self.depth, depth))


class CandidateDecoder(Decoder):
    """photonet's decoder from the stage on that has the size of the encoder's deepest level."""

    def __init__(self, candidate: Candidate, channels: Sequence[int]):
        super().__init__(candidate.architecture, channels)
        self.candidate = candidate
        for x in self.layers:
            if 0 < x.stage < candidate.start:
                delattr(self, x.name)
        self.layers = tuple(candidate.layers(channels))
        self.pyramid = nn.Conv2d(self.layers[0].inputs, self.layers[0].outputs, 1)

    def bottleneck(self, levels: Levels) -> Float[Tensor, "b c h w"]:
        """The deepest level and the aggregated ones, normalised and pooled to its size."""
        depth = self.candidate.depth
        pooled = [F.max_pool2d(normalised(levels[k]), 2 ** (depth - k)) for k in self.candidate.aggregated]
        return self.pyramid(torch.cat([levels[depth], *pooled], 1))

    def forward(self, levels: Levels) -> Float[Tensor, "b 3 h w"]:
        """The picture of features, without transfer."""
        x = self.bottleneck(levels)
        for j in self.candidate.stages:
            x = self.stage(j, x, levels)
        return x


class CandidateNet(PhotoNet):
    """Encoder, decoder and transfers of a candidate: of the published space, the same function as photonet's network."""

    def __init__(self, encoder: LevelEncoder, candidate: Candidate):
        super().__init__(encoder, CandidateDecoder(candidate, encoder.channels))
        self.candidate = candidate

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> dict[int, Tensor]:
        """Features by level, as deep as the candidate goes."""
        return dict(enumerate(self.encoder(image, self.candidate.depth), start=1))

    def forward(
        self,
        content: Float[Tensor, "b 3 h w"],
        style: Float[Tensor, "b 3 H W"],
        transform: str | Transform = "wct-relative",
        alpha: float = 1.0,
    ) -> Float[Tensor, "b 3 h w"]:
        """``content`` in the light of ``style``, not clamped."""
        transfer = _at(resolve(transform), alpha)
        a, c, s = self.architecture, self.encode(content), self.encode(style)
        for k in c:
            if f"T{k}" in a:
                c[k] = transfer(c[k], s[k])
        x, y = self.decoder.bottleneck(c), self.decoder.bottleneck(s) if a.style_decoded else None
        for j in self.candidate.stages:
            if y is not None and f"stage{j}.T" in a:
                x = transfer(x, y)
            x = self.decoder.stage(j, x, c)
            y = self.decoder.stage(j, y, s) if y is not None and j <= a.style_stages else None
        return x


def _at(transform: Transform, alpha: float) -> Transform:
    return transform if alpha == 1 else lambda x, s: alpha * transform(x, s) + (1 - alpha) * x


def _effective(on: set[str], depth: int) -> set[str]:
    """Operators that a shallow encoder leaves; its deepest level counts as aggregated, which a transfer on it needs."""
    if depth == 5:
        return on
    gone = {"T5", "stage1.T", "conv15", "conv16"}
    if depth == 3:
        gone |= {"T4", "bfa4", "stage2.T", "in4", "skip4", "conv18", "conv19", "conv20"}
    return on - gone | {f"bfa{depth}"}
