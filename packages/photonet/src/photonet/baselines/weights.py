"""The baselines that come with the package: their decoders for the slim encoder that photonet ships.

Weights are kept as bytes with a scale for each output channel; what that costs in decibels is in data/BASELINES.md.
"""

import hashlib
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.style.encoders import LevelEncoder
from photonet.baselines.cascade import Cascade
from photonet.baselines.wct2 import WCT2


@dataclass(frozen=True)
class Baselines:
    """What photonet is compared with, all on one encoder."""

    photowct: Cascade
    wct: Cascade
    wct2: WCT2

    @classmethod
    def new(cls, encoder: LevelEncoder) -> "Baselines":
        """With decoders that nobody has trained."""
        return cls(Cascade(encoder, "positions"), Cascade(encoder, "nearest"), WCT2(encoder))

    @property
    def decoders(self) -> nn.ModuleDict:
        """What is trained and kept: all but the encoder."""
        return nn.ModuleDict(
            {"photowct": self.photowct.decoders, "wct": self.wct.decoders, "wct2": self.wct2.decoder},
        )


def shipped() -> Path:
    """The file that comes with the package."""
    return Path(str(importlib.resources.files("photonet"))) / "data" / "baselines.safetensors"


def digest(encoder: LevelEncoder) -> str:
    """Which encoder: sha256 of its weights in half precision."""
    total = hashlib.sha256()
    for name, tensor in sorted(encoder.state_dict().items()):
        total.update(name.encode() + tensor.detach().half().contiguous().cpu().numpy().tobytes())
    return total.hexdigest()


def save_baselines(baselines: Baselines, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the decoders and the digest of the encoder that they are for."""
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for name, tensor in baselines.decoders.state_dict().items():
        if tensor.ndim < 4:
            tensors[name] = tensor.half().contiguous()
        else:
            scale = tensor.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-12) / 127
            tensors[name], tensors[f"{name}.scale"] = (tensor / scale).round().to(torch.int8).contiguous(), scale.float()
    described = {**(metadata or {}), "encoder": digest(baselines.photowct.encoder)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=described)


def load_baselines(encoder: LevelEncoder, path: Path | None = None, *, any_encoder: bool = False) -> Baselines:
    """The baselines of a file, by default the shipped one; float32, frozen.

    Args:
        encoder: That they are for.
        path: The file.
        any_encoder: Take decoders for another encoder, too: to train them further.

    Raises:
        InputError: The file is none that :func:`save_baselines` wrote, or is for another encoder.
    """
    from safetensors import SafetensorError, safe_open

    path = shipped() if path is None else path
    baselines = Baselines.new(encoder)
    try:
        with safe_open(path, "pt") as f:
            described = f.metadata() or {}
            if described["encoder"] != digest(encoder) and not any_encoder:
                raise InputError(f"{path.name} holds decoders for another encoder: train them with training/baselines.py")
            tensors = {k: f.get_tensor(k).float() for k in f.keys()}  # noqa: SIM118 - not a dictionary
        state = {k: t * tensors.get(f"{k}.scale", 1.0) for k, t in tensors.items() if not k.endswith(".scale")}
        baselines.decoders.load_state_dict(state)
    except FileNotFoundError as e:
        raise InputError(f"{path} does not exist: give a file that training/baselines.py wrote") from e
    except (SafetensorError, KeyError, RuntimeError) as e:
        raise InputError(f"{path} holds no baselines: give a file that training/baselines.py wrote") from e
    baselines.decoders.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return baselines
