"""A style ready for use: what a network needs of a style picture, in memory and on disk."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.style.transforms import Statistics
from styleproj.network import StyleNetwork
from styleproj.sorted_style import SortedStyle, barycentre


@dataclass(frozen=True)
class Style:
    """Sorted features of a picture at the levels of a network, and the statistics of its colours.

    Attributes:
        levels: One an encoder level that the network transforms.
        colours: Mean and covariance of red, green and blue.
        network: Digest of the network that they come from.
        name: For file names and messages.
    """

    levels: tuple[SortedStyle, ...]
    colours: Statistics
    network: str
    name: str = "style"

    def save(self, path: Path) -> None:
        """Write a safetensors file, atomically."""
        from safetensors.torch import save_file

        tensors = {f"level{i}": s.values.detach().cpu().contiguous() for i, s in enumerate(self.levels)}
        tensors |= {"colour_mean": self.colours.mean.cpu(), "colour_covariance": self.colours.covariance.cpu()}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, {"network": self.network, "name": self.name, "kind": "styleproj"})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: Not such a file.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as f:
                about = f.metadata() or {}
                if about.get("kind") != "styleproj":
                    raise InputError(f"{path} holds no style: give a picture, or a file that Style.save wrote")
                levels = tuple(SortedStyle(f.get_tensor(f"level{i}")) for i in range(len(f.keys()) - 2))
                colours = Statistics(f.get_tensor("colour_mean"), f.get_tensor("colour_covariance"))
            return cls(levels, colours, about["network"], about["name"])
        except SafetensorError as e:
            raise InputError(f"{path} holds no style: give a picture, or a file that Style.save wrote") from e


def mix(styles: list[Style], weights: list[float]) -> Style:
    """One style between several: their Wasserstein barycentre channel by channel, and the mean of their colours."""
    levels = zip(*(s.levels for s in styles), strict=True)
    mixed = tuple(barycentre(level, weights) for level in levels)
    shares = [w / sum(weights) for w in weights]
    colours = Statistics(
        sum((w * s.colours.mean for w, s in zip(shares, styles, strict=True)), torch.zeros(())),
        sum((w * s.colours.covariance for w, s in zip(shares, styles, strict=True)), torch.zeros(())),
    )
    return Style(mixed, colours, styles[0].network, "+".join(s.name for s in styles))


def digest(network: StyleNetwork) -> str:
    """Short sha256 of a network's shape and weights: two networks that differ have styles that do not fit each other."""
    total = hashlib.sha256(json.dumps([network.levels, network.channels]).encode())
    for name, tensor in network.encoder.state_dict().items():
        total.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def picture_digest(image: Tensor, mask: Tensor | None) -> str:
    """Short sha256 of a picture and the part of it that counts."""
    total = hashlib.sha256(str(tuple(image.shape)).encode() + image.cpu().contiguous().numpy().tobytes())
    if mask is not None:
        total.update(mask.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]
