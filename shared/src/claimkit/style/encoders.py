"""Encoders that give features by levels: VGG-19 from any of the files in use, and the same shape made slim.

Level k is the activation after the first convolution of block k (``relu1_1`` .. ``relu5_1``), at 1/2^(k-1) of the size.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.errors import InputError

Padding = Literal["reflect", "zeros"]
VGG_CHANNELS = (64, 128, 256, 512, 512)
VGG_CONVOLUTIONS = (2, 2, 4, 4)
MEAN = (0.485, 0.456, 0.406)  # of ImageNet, what torchvision's files expect to be subtracted
STD = (0.229, 0.224, 0.225)


class LevelEncoder(nn.Module):
    """Blocks of 3x3 convolutions and ReLU with 2x2 max pooling between them, up to the first convolution of the last block.

    Args:
        channels: Channels of each block.
        convolutions: Convolutions of each block but the last, which has one.
        padding: ``reflect`` as style transfer uses VGG, ``zeros`` as it was trained.
    """

    def __init__(self, channels: Sequence[int], convolutions: Sequence[int], padding: Padding = "reflect"):
        super().__init__()
        self.channels = tuple(channels)
        self.convolutions = (*tuple(convolutions)[: len(channels) - 1], 1)
        self.padding: Padding = padding
        if len(self.convolutions) != len(self.channels):
            raise InputError(
                f"{len(channels)} blocks need {len(channels) - 1} counts of convolutions, not {len(convolutions)}"
            )
        self.input = nn.Conv2d(3, 3, 1)
        width = 3
        for block, (c, n) in enumerate(zip(self.channels, self.convolutions, strict=True), start=1):
            for i in range(1, n + 1):
                self.add_module(f"conv{block}_{i}", nn.Conv2d(width, c, 3, padding=1, padding_mode=padding))
                width = c

    @property
    def depth(self) -> int:
        """Number of levels."""
        return len(self.channels)

    def activations(self, image: Float[Tensor, "b 3 h w"], depth: int | None = None) -> Iterator[tuple[str, Tensor]]:
        """Name and output before ReLU of every convolution up to level ``depth``, in order."""
        return self._activations(image, self.depth if depth is None else depth, None)

    def at(self, image: Float[Tensor, "b 3 h w"], levels: Collection[int]) -> list[Tensor]:
        """The levels that are named, ascending, before ReLU: the same order of values, without the ties that zeros are.

        What lies between is overwritten, which saves time.
        """
        kept = {f"conv{k}_1" for k in levels}
        return [y for name, y in self._activations(image, max(levels), kept) if name in kept]

    def _activations(self, image: Tensor, depth: int, kept: Collection[str] | None) -> Iterator[tuple[str, Tensor]]:
        x = self.input(image)
        for block, n in enumerate(self.convolutions[:depth], start=1):
            if block > 1:
                x = F.max_pool2d(x, 2)
            for i in range(1, (n if block < depth else 1) + 1):
                y = getattr(self, name := f"conv{block}_{i}")(x)
                yield name, y
                if (block, i) != (depth, 1):
                    x = F.relu(y, inplace=kept is not None and name not in kept)

    def forward(self, image: Float[Tensor, "b 3 h w"], depth: int | None = None) -> list[Tensor]:
        """The levels 1 to ``depth``, by default all; height and width must be multiples of 2^(depth-1)."""
        return [F.relu(y) for y in self.at(image, range(1, (self.depth if depth is None else depth) + 1))]


class VGG19(LevelEncoder):
    """VGG-19 (1409.1556) to ``relu{depth}_1`` for RGB in [0, 1]: what a file expects is the 1x1 convolution ``input``."""

    def __init__(self, depth: int = 4, padding: Padding = "reflect"):
        super().__init__(VGG_CHANNELS[:depth], VGG_CONVOLUTIONS, padding)


class SlimEncoder(LevelEncoder):
    """VGG's shape with a quarter of its channels and two convolutions a block: what styleproj ships."""

    def __init__(self, channels: Sequence[int] = (16, 32, 64, 128), convolutions: Sequence[int] = (2, 2, 2)):
        super().__init__(channels, convolutions)


def vgg19_state(source: Path | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of :class:`VGG19` from any of three files, recognised by their keys; convolutions that are absent are left out.

    ``features.0.weight``: torchvision's, input (x - mean) / std. ``0.weight`` with a 1x1 convolution first: the "normalised"
    VGG-19 that AdaIN made known. ``conv0.weight``, ``conv1_1.weight``: the same with names.
    """
    state = read_state(source) if isinstance(source, Path) else dict(source)
    names = [f"conv{b}_{i}" for b, n in enumerate((2, 2, 4, 4, 4), start=1) for i in range(1, n + 1)]
    weights = [k.removesuffix(".weight") for k in state if k.endswith(".weight") and state[k].ndim == 4]
    if weights and all(re.fullmatch(r"features\.\d+", k) for k in weights):
        std, mean = torch.tensor(STD), torch.tensor(MEAN)
        given = {"input": (torch.diag(1 / std)[:, :, None, None], -mean / std)}
        given |= {
            n: _pair(state, k) for n, k in zip(names, sorted(weights, key=lambda k: int(k.split(".")[1])), strict=False)
        }
    elif weights and all(k.isdigit() for k in weights) and state[f"{min(weights, key=int)}.weight"].shape[-1] == 1:
        given = {n: _pair(state, k) for n, k in zip(["input", *names], sorted(weights, key=int), strict=False)}
    elif "conv0" in weights and "conv1_1" in weights:
        given = {n: _pair(state, k) for n, k in [("input", "conv0"), *((k, k) for k in names if k in weights)]}
    else:
        raise InputError(
            "this is no VGG-19: expected torchvision's keys (features.0.weight) or those of the normalised VGG-19"
        )
    return {f"{n}.{part}": t for n, pair in given.items() for part, t in zip(("weight", "bias"), pair, strict=True)}


def load_vgg19(source: Path | Mapping[str, Tensor], depth: int | None = None, padding: Padding = "reflect") -> VGG19:
    """VGG-19 from a file or a state dictionary, frozen, as deep as the file goes or to ``depth``."""
    state = vgg19_state(source)
    deepest = max(b for b in range(1, 6) if b == 1 or f"conv{b}_1.weight" in state)
    depth = deepest if depth is None else depth
    if not 1 <= depth <= deepest:
        raise InputError(f"this VGG-19 goes to relu{deepest}_1: depth must be from 1 to {deepest}, not {depth}")
    encoder = VGG19(depth, padding)
    wanted = encoder.state_dict()
    if wrong := [k for k, t in wanted.items() if k not in state or state[k].shape != t.shape]:
        raise InputError(f"this is no VGG-19: {wrong[0]} is missing or not of shape {tuple(wanted[wrong[0]].shape)}")
    encoder.load_state_dict({k: state[k] for k in wanted})
    return encoder.eval().requires_grad_(False)


def read_state(path: Path) -> dict[str, Tensor]:
    """A flat dictionary of tensors from a ``.safetensors`` file or one of torch's, of which no code is run."""
    from safetensors.torch import load_file

    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:
        raise InputError(
            f"{path} cannot be read as weights: expected an existing .safetensors or .pt of a state dictionary"
        ) from e
    if not isinstance(state, dict) or not state or not all(isinstance(t, Tensor) for t in state.values()):
        raise InputError(f"{path} holds no flat dictionary of tensors: save the model's state_dict() alone")
    return state


def _pair(state: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    if f"{name}.bias" not in state:
        raise InputError(f"this is no VGG-19: {name} has no bias")
    return state[f"{name}.weight"], state[f"{name}.bias"]
