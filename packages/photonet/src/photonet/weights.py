"""Weights as files: an encoder and its decoders in safetensors, half precision or eight bits, shapes in the metadata."""

import importlib.resources
import json
from collections.abc import Container, Mapping
from pathlib import Path

import torch
from torch import nn

from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.style.encoders import LevelEncoder
from photonet.network.architecture import Architecture
from photonet.network.auto_encoder import Decoder, PhotoNet

SCALE = "#scale"  # after the name of a tensor kept in eight bits: what a step of each output channel is worth


def shipped() -> Path:
    """The file that comes with the package."""
    return Path(str(importlib.resources.files("photonet"))) / "data" / "slim.safetensors"


def save_networks(
    encoder: LevelEncoder,
    decoders: Mapping[str, Decoder],
    path: Path,
    about: Mapping[str, str] | None = None,
    eight_bits: Container[str] = (),
) -> None:
    """Write an encoder and its decoders by name, rounded to half precision, with what is needed to build them again.

    Args:
        encoder: What the decoders share.
        decoders: By name.
        path: A safetensors file.
        about: Further metadata.
        eight_bits: Decoders whose kernels are rounded to eight bits, 127 steps to the largest weight of an output channel.
    """
    from safetensors.torch import save_file

    shape = {
        "channels": encoder.channels,
        "convolutions": encoder.convolutions[:-1],
        "padding": encoder.padding,
        "decoders": {name: d.architecture.bits for name, d in decoders.items()},
    }
    tensors = _rounded(encoder, "encoder", False)
    for name, decoder in decoders.items():
        tensors |= _rounded(decoder, f"decoder:{name}", name in eight_bits)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {**(about or {}), "photonet": json.dumps(shape)})


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
        for name in [k for k in tensors if k.endswith(SCALE)]:
            tensors[name.removesuffix(SCALE)] *= tensors.pop(name)
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


def _rounded(module: nn.Module, prefix: str, eight_bits: bool) -> dict[str, torch.Tensor]:
    rounded = {}
    for key, tensor in module.state_dict().items():
        name, weight = f"{prefix}/{key}", tensor.detach().float().cpu().contiguous()
        if eight_bits and weight.ndim == 4:
            rounded[name + SCALE] = weight.abs().amax((1, 2, 3), keepdim=True).clamp_min(torch.finfo().tiny) / 127
            rounded[name] = (weight / rounded[name + SCALE]).round().to(torch.int8)
        else:
            rounded[name] = weight.half()
    return rounded


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(f"{prefix}/"): t for k, t in tensors.items() if k.startswith(f"{prefix}/")}
