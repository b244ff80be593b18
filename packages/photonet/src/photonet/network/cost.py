"""What a network costs: multiplications and additions of its convolutions, and parameters of its decoder."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from photonet.network.architecture import STAGES, Architecture, level_of

VGG_CHANNELS = (64, 128, 256, 512, 512)
VGG_CONVOLUTIONS = (2, 2, 4, 4)


class Layer(NamedTuple):
    """A convolution of the decoder: stage (0 is the bottleneck), channels, side of the kernel, and 1/scale it works at."""

    name: str
    stage: int
    inputs: int
    outputs: int
    kernel: int
    scale: int


def layers(architecture: Architecture, channels: Sequence[int] = VGG_CHANNELS) -> Iterator[Layer]:
    """The convolutions of the decoder in their order (table of section 3 of 1912.02398), for any channels of f1 .. f5."""
    c = (0, *channels)
    a = architecture
    yield Layer("pyramid", 0, c[5] + sum(c[k] for k in a.aggregated), c[4], 1, 16)
    if "conv15" in a:
        yield Layer("conv15", 1, c[4], c[4], 3, 16)
    if "conv16" in a:
        yield Layer("conv16", 1, c[4], c[4], 3, 8)
    for stage, (first, middle, narrow, last) in {2: (17, 18, 19, 20), 3: (21, 22, 23, 24)}.items():
        k = level_of(stage)
        wide, thin, scale = c[k], c[k - 1], 2 ** (k - 1)
        yield Layer(f"conv{first}", stage, wide * (2 if k in a.skips else 1), wide, 3, scale)
        if f"conv{middle}" in a:
            yield Layer(f"conv{middle}", stage, wide, wide, 3, scale)
        yield Layer(f"conv{narrow}", stage, wide, thin, 3 if f"conv{narrow}" in a else 1, scale)
        if f"conv{last}" in a:
            yield Layer(f"conv{last}", stage, thin, thin, 3, scale // 2)
    yield Layer("conv25", 4, c[2] * (2 if 2 in a.skips else 1), c[1], 3, 2)
    if "conv26" in a:
        yield Layer("conv26", 4, c[1], c[1], 3, 1)
    yield Layer("conv27", 5, c[1] * (2 if 1 in a.skips else 1), 3, 3, 1)


def encoder_macs(
    height: int,
    width: int,
    channels: Sequence[int] = VGG_CHANNELS,
    convolutions: Sequence[int] = VGG_CONVOLUTIONS,
    depth: int = 5,
) -> int:
    """Multiply-accumulates of the encoder to level ``depth``; 0 of depth 0. Its 1x1 convolution of the input counts."""
    if depth == 0:
        return 0
    total, width_before = height * width * 9, 3
    for block in range(1, depth + 1):
        positions = (height // 2 ** (block - 1)) * (width // 2 ** (block - 1))
        for _ in range(convolutions[block - 1] if block < depth else 1):
            total += positions * 9 * width_before * channels[block - 1]
            width_before = channels[block - 1]
    return total


def decoder_macs(
    architecture: Architecture,
    height: int,
    width: int,
    channels: Sequence[int] = VGG_CHANNELS,
    stages: int = len(STAGES),
) -> int:
    """Multiply-accumulates of the bottleneck and the first ``stages`` stages of the decoder, once."""
    return sum(
        (height // x.scale) * (width // x.scale) * x.kernel**2 * x.inputs * x.outputs
        for x in layers(architecture, channels)
        if x.stage <= stages
    )


def macs(
    architecture: Architecture,
    height: int,
    width: int,
    channels: Sequence[int] = VGG_CHANNELS,
    cached_style: bool = False,
    lazy: bool = True,
    convolutions: Sequence[int] = VGG_CONVOLUTIONS,
) -> int:
    """Multiply-accumulates of the convolutions for one picture and one style of the same size.

    Args:
        architecture: The network.
        height: Pixels, a multiple of 16.
        width: Pixels, a multiple of 16.
        channels: Of f1 .. f5.
        cached_style: The style's share was done before.
        lazy: The style is encoded as deep as the network needs; otherwise to f5, as the eager network does.
        convolutions: Of the encoder's blocks 1 to 4.
    """
    total = encoder_macs(height, width, channels, convolutions) + decoder_macs(architecture, height, width, channels)
    if cached_style:
        return total
    total += encoder_macs(height, width, channels, convolutions, architecture.style_depth if lazy else 5)
    if architecture.style_decoded:
        total += decoder_macs(architecture, height, width, channels, architecture.style_stages)
    return total


def parameters(architecture: Architecture, channels: Sequence[int] = VGG_CHANNELS) -> int:
    """Weights and biases of the decoder."""
    return sum(x.kernel**2 * x.inputs * x.outputs + x.outputs for x in layers(architecture, channels))
