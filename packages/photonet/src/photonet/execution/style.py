"""A style ready for use: what a network needs of a style picture, in memory and on disk."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.style.transforms import Statistics
from photonet.network.auto_encoder import PhotoNet

Point: TypeAlias = Statistics | Tensor
"""What a transfer needs of the style: statistics, or the features themselves where the transform is not affine."""
OWN = "a transform of one's own"


@dataclass(frozen=True)
class Made:
    """How whoever looked at a style makes pictures; as nothing was said where an earlier version kept the style.

    Attributes:
        transform: Name of the transform of features, :data:`OWN` of one that has no name here; empty without a network.
        max_gain: By how much a difference may grow.
        network_size: What a network sees of larger pictures.
    """

    transform: str = ""
    max_gain: float | None = None
    network_size: int = 0


@dataclass(frozen=True)
class Style:
    """What the style is at every transfer of a network, region by region.

    Attributes:
        points: By the transfer's name, one entry a region; one where there are no regions.
        network: Digest of the network, or name of the method of colours, that looked at it.
        name: For file names and messages.
        made: With what it is used unless somebody says otherwise.
    """

    points: Mapping[str, tuple[Point, ...]]
    network: str
    name: str = "style"
    made: Made = Made()

    @property
    def regions(self) -> int:
        """Number of regions."""
        return max((len(p) for p in self.points.values()), default=1)

    def save(self, path: Path) -> None:
        """Write a safetensors file, atomically."""
        from safetensors.torch import save_file

        tensors: dict[str, Tensor] = {"none": torch.zeros(0)}  # a network without transfers has none
        for name, regions in self.points.items():
            for i, point in enumerate(regions):
                if isinstance(point, Statistics):
                    tensors |= {f"{name}:{i}:mean": point.mean, f"{name}:{i}:covariance": point.covariance}
                else:
                    tensors[f"{name}:{i}:features"] = point
        about = {"kind": "photonet", "network": self.network, "name": self.name, "made": json.dumps(asdict(self.made))}
        with atomic_path(path) as temporary:
            save_file({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, temporary, about)

    @classmethod
    def load(cls, path: Path) -> "Style":
        """Read what :meth:`save` wrote.

        Raises:
            InputError: Not such a file, or one that holds what is not finite.
        """
        from safetensors import SafetensorError, safe_open

        found: dict[str, dict[int, Point]] = {}
        none = InputError(f"{path} holds no style: give a picture, or a file that Style.save wrote")
        try:
            with safe_open(path, "pt") as f:
                about = f.metadata() or {}
                if about.get("kind") != "photonet":
                    raise none
                for key in f.keys():  # noqa: SIM118 - not a dictionary
                    if not f.get_tensor(key).isfinite().all():
                        raise InputError(f"{path} holds a style that is not finite: prepare it again from its picture")
                    name, _, rest = key.partition(":")
                    region, _, part = rest.partition(":")
                    if part == "mean":
                        point: Point = Statistics(f.get_tensor(key), f.get_tensor(key.replace("mean", "covariance")))
                    elif part == "features":
                        point = f.get_tensor(key)
                    else:
                        continue
                    found.setdefault(name, {})[int(region)] = point
            styles = {n: tuple(r[i] for i in sorted(r)) for n, r in found.items()}
            return cls(styles, about["network"], about["name"], Made(**json.loads(about.get("made", "{}"))))
        except InputError:
            raise
        except FileNotFoundError as e:
            raise InputError(f"{path} does not exist: give a picture, or a file that Style.save wrote") from e
        except (SafetensorError, KeyError, ValueError, TypeError) as e:
            raise none from e


def checked_maker(style: Style, maker: str) -> None:
    """Refuse a style that another network or method looked at.

    Raises:
        InputError: It is another's.
    """
    if style.network != maker:
        raise InputError(f"the style {style.name!r} is of another network or method: prepare it from its picture again")


def checked_style(style: Style, maker: str, masks: Tensor | None) -> None:
    """Refuse a style that another network or method looked at, and another number of regions.

    Raises:
        InputError: It does not fit.
    """
    checked_maker(style, maker)
    regions = 1 if masks is None else len(masks)
    if style.points and regions != style.regions:
        raise InputError(f"the style {style.name!r} has {style.regions} regions and the content {regions}: give as many")


def digest(network: PhotoNet) -> str:
    """Short sha256 of architecture and weights: styles of one network do not fit another."""
    total = hashlib.sha256(json.dumps([network.architecture.bits, network.encoder.channels]).encode())
    for name, tensor in network.state_dict().items():
        total.update(name.encode() + tensor.cpu().float().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]
