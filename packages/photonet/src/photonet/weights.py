"""Weights as files: one encoder and any number of decoders in safetensors, half precision, shapes in the file's metadata."""

import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from paperkit.errors import InputError
from paperkit.files import atomic_path
from paperkit.style.encoders import LevelEncoder
from photonet.architecture import Architecture
from photonet.network import Decoder, PhotoNet


def shipped() -> Path:
    """The file that comes with the package."""
    return Path(str(importlib.resources.files("photonet"))) / "data" / "slim.safetensors"


def save_networks(
    encoder: LevelEncoder, decoders: Mapping[str, Decoder], path: Path, about: Mapping[str, str] | None = None
) -> None:
    """Write an encoder and its decoders by name, rounded to half precision, with what is needed to build them again."""
    from safetensors.torch import save_file

    shape = {
        "channels": encoder.channels,
        "convolutions": encoder.convolutions[:-1],
        "padding": encoder.padding,
        "decoders": {name: d.architecture.bits for name, d in decoders.items()},
    }
    modules = {"encoder": encoder, **{f"decoder:{name}": d for name, d in decoders.items()}}
    tensors = {f"{m}/{k}": t.detach() for m, module in modules.items() for k, t in module.state_dict().items()}
    with atomic_path(path) as temporary:
        halves = {k: t.to("cpu", torch.float16).contiguous() for k, t in tensors.items()}
        save_file(halves, temporary, {**(about or {}), "photonet": json.dumps(shape)})


def load_networks(path: Path | None = None) -> dict[str, PhotoNet]:
    """All networks of a file by name, by default the shipped ones; they share their encoder. float32, frozen.

    Raises:
        InputError: The file is none that :func:`save_networks` wrote.
    """
    from safetensors import SafetensorError, safe_open

    path = shipped() if path is None else path
    try:
        with safe_open(path, "pt") as f:
            shape = json.loads((f.metadata() or {})["photonet"])
            tensors = {k: f.get_tensor(k).float() for k in f.keys()}  # noqa: SIM118 - not a dictionary
        encoder = LevelEncoder(shape["channels"], shape["convolutions"], shape["padding"])
        encoder.load_state_dict(_part(tensors, "encoder"))
        networks = {}
        for name, bits in shape["decoders"].items():
            decoder = Decoder(Architecture(bits), shape["channels"])
            decoder.load_state_dict(_part(tensors, f"decoder:{name}"))
            networks[name] = PhotoNet(encoder, decoder)
    except FileNotFoundError as e:
        raise InputError(f"{path} does not exist: give a file that photonet train wrote") from e
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as e:
        raise InputError(f"{path} holds no networks of photonet: give a file that photonet train wrote") from e
    for network in networks.values():
        network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return networks


def load_network(name: str | None = None, path: Path | None = None) -> PhotoNet:
    """One network of a file, by its name or its bits; the first when no name is given.

    Raises:
        InputError: The file does not hold it.
    """
    networks = load_networks(path)
    if name is None:
        return next(iter(networks.values()))
    if name.lower() in networks:
        return networks[name.lower()]
    wanted = Architecture.parse(name)
    for network in networks.values():
        if network.architecture == wanted:
            return network
    raise InputError(f"there are weights for {', '.join(networks)} but not for {name}: train it with photonet train")


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(f"{prefix}/"): t for k, t in tensors.items() if k.startswith(f"{prefix}/")}
