"""A style ready for use: what a network needs of a style picture, in memory and on disk."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.style.transforms import Statistics
from styleproj.networks.network import StyleNetwork
from styleproj.operator.sorted_style import SortedStyle, barycentre

FORMAT = 2
"""What a style holds; another number is another digest, so that nothing kept by an earlier version is taken up."""


@dataclass(frozen=True)
class Style:
    """Sorted features of a picture at the levels of a network, their statistics, and those of its colours.

    Attributes:
        levels: One an encoder level that the network transforms.
        statistics: Mean and covariance of the same features, of which the sorted values know each channel alone.
        colours: Mean and covariance of red, green and blue.
        network: Digest of the network that they come from.
        name: For file names and messages.
    """

    levels: tuple[SortedStyle, ...]
    statistics: tuple[Statistics, ...]
    colours: Statistics
    network: str
    name: str = "style"

    def save(self, path: Path) -> None:
        """Write a safetensors file, atomically."""
        from safetensors.torch import save_file

        tensors = {f"level{i}": s.values.detach().cpu().contiguous() for i, s in enumerate(self.levels)}
        for name, s in (*((f"level{i}", s) for i, s in enumerate(self.statistics)), ("colour", self.colours)):
            tensors |= {f"{name}_mean": s.mean.cpu(), f"{name}_covariance": s.covariance.cpu()}
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
                names = sorted(k for k in f.keys() if k.startswith("level") and "_" not in k)  # noqa: SIM118 - no mapping
                if any(f"{n}_mean" not in f.keys() for n in names):  # noqa: SIM118
                    raise InputError(f"{path} was kept by an earlier version: prepare the style from its picture again")
                levels = tuple(SortedStyle(f.get_tensor(n)) for n in names)
                *statistics, colours = (
                    Statistics(f.get_tensor(f"{n}_mean"), f.get_tensor(f"{n}_covariance")) for n in (*names, "colour")
                )
            return cls(levels, tuple(statistics), colours, about["network"], about["name"])
        except SafetensorError as e:
            raise InputError(f"{path} holds no style: give a picture, or a file that Style.save wrote") from e


def mix(styles: list[Style], weights: list[float]) -> Style:
    """One style between several: their Wasserstein barycentre channel by channel, and the mean of their statistics."""
    levels = zip(*(s.levels for s in styles), strict=True)
    mixed = tuple(barycentre(level, weights) for level in levels)
    shares = [w / sum(weights) for w in weights]

    def mean(of: Sequence[Statistics]) -> Statistics:
        means = (w * s.mean for w, s in zip(shares, of, strict=True))
        covariances = (w * s.covariance for w, s in zip(shares, of, strict=True))
        return Statistics(sum(means, torch.zeros(())), sum(covariances, torch.zeros(())))

    statistics = tuple(mean(level) for level in zip(*(s.statistics for s in styles), strict=True))
    name = "+".join(s.name for s in styles)
    return Style(mixed, statistics, mean([s.colours for s in styles]), styles[0].network, name)


def digest(network: StyleNetwork) -> str:
    """Short sha256 of a network's shape and weights: two networks that differ have styles that do not fit each other."""
    total = hashlib.sha256(json.dumps([FORMAT, network.levels, network.channels]).encode())
    for name, tensor in network.encoder.state_dict().items():
        total.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def picture_digest(image: Tensor, mask: Tensor | None) -> str:
    """Short sha256 of a picture and the part of it that counts."""
    total = hashlib.sha256(str(tuple(image.shape)).encode() + image.cpu().contiguous().numpy().tobytes())
    if mask is not None:
        total.update(mask.cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]
