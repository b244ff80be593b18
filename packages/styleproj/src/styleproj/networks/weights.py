"""Weights as files: half precision in safetensors, the architecture in the file's metadata."""

import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path

import torch

from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.style.encoders import LevelEncoder
from styleproj.networks.network import Decoder, StyleNetwork

NAMES = ("studio", "easel", "brush", "paint", "joint", "deep", "slim")


def weights_file(name: str) -> Path:
    """A file of the package: ``studio``, the default, those before it, and ``deep``; see the card."""
    return Path(str(importlib.resources.files("styleproj"))) / "data" / f"{name}.safetensors"


def shipped() -> Path:
    """The file of the default network."""
    return weights_file("studio")


def weights_files(name: str) -> list[Path]:
    """The file of the package, and the one whose encoder it shares where it holds the decoder alone."""
    other = _read(weights_file(name))[0].get("encoder")
    return [weights_file(name)] + ([weights_file(other)] if other else [])


def save_network(
    network: StyleNetwork, path: Path, metadata: Mapping[str, str] | None = None, encoder_of: str | None = None
) -> None:
    """Write the network, rounded to half precision, with what is needed to build it again.

    Args:
        network: What to write.
        path: Where.
        metadata: What else to say in the file.
        encoder_of: One of :data:`NAMES` with the same encoder, which is then left out of the file.
    """
    from safetensors.torch import save_file

    encoder, decoder = network.encoder, network.decoder
    shape = {
        "channels": encoder.channels,
        "convolutions": encoder.convolutions[:-1],
        "padding": encoder.padding,
        "levels": decoder.levels,
        "deepest": decoder.convolutions[-1],
        "residuals": decoder.residuals,
    }
    tensors = {k: t.detach().to(torch.float16).contiguous() for k, t in network.state_dict().items()}
    metadata = {**(metadata or {}), "architecture": json.dumps(shape)}
    if encoder_of:
        metadata["encoder"] = encoder_of
        tensors = {k: t for k, t in tensors.items() if not k.startswith("encoder.")}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_network(path: Path | None = None) -> StyleNetwork:
    """The network of a file, or of a name in :data:`NAMES`, by default ``studio``; float32, frozen, in evaluation mode.

    Raises:
        InputError: The file is none that :func:`save_network` wrote.
    """
    from safetensors import SafetensorError

    path = shipped() if path is None else path
    if str(path) in NAMES and not path.exists():
        path = weights_file(str(path))
    try:
        metadata, tensors = _read(path)
        shape = json.loads(metadata["architecture"])
        if "encoder" in metadata:
            other = _read(weights_file(NAMES[NAMES.index(metadata["encoder"])]))[1]
            tensors |= {k: t for k, t in other.items() if k.startswith("encoder.")}
        encoder = LevelEncoder(shape["channels"], shape["convolutions"], shape["padding"])
        convolutions = [*shape["convolutions"], shape.get("deepest", 1)]
        decoder = Decoder(shape["channels"], convolutions, shape["levels"], shape["residuals"])
        network = StyleNetwork(encoder, decoder)
        network.load_state_dict({k: t.float() for k, t in tensors.items()})
    except FileNotFoundError as e:
        raise InputError(f"{path} does not exist: give a file that styleproj train wrote") from e
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as e:
        raise InputError(f"{path} holds no network of styleproj: give a file that styleproj train wrote") from e
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """What a file says of itself, and its tensors."""
    from safetensors import safe_open

    with safe_open(path, "pt") as f:
        return f.metadata() or {}, {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 - not a dictionary
