"""Writing the stylizer as a graph for other runtimes: ONNX, or the program of ``torch.export``."""

import warnings
from pathlib import Path

import torch

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import atomic_path
from styleproj.networks.network import StyleNetwork
from styleproj.networks.portable import PortableStylizer, PortableTransform

SUFFIXES = (".onnx", ".pt2")


def export(
    network: StyleNetwork,
    path: Path,
    size: tuple[int, int],
    style_size: tuple[int, int],
    transform: PortableTransform = "ot-projection",
) -> Path:
    """Write ``path`` as ONNX (``.onnx``) or as ``torch.export``'s program (``.pt2``): inputs content, style, strength.

    Args:
        network: What is exported.
        path: Its suffix says as what.
        size: Height and width of content and result, multiples of ``network.multiple``.
        style_size: Height and width of the style picture, likewise.
        transform: How features take the style; ``projection`` for weights that ``styleproj train`` wrote.

    Raises:
        InputError: Another suffix, or sizes that the network cannot take.
        MissingPackageError: ONNX was asked for and is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: give a name that ends in {' or '.join(SUFFIXES)}")
    if path.suffix == ".onnx":
        for module in ("onnx", "onnxscript"):
            run.require(module, "exports to ONNX", "./packages/styleproj[export]")
    portable = PortableStylizer(network, size, style_size, transform).eval()
    shown = torch.zeros(1, 3, *size), torch.zeros(1, 3, *style_size), torch.ones(1)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own imports
        if path.suffix == ".pt2":
            torch.export.save(torch.export.export(portable, shown), temporary)
        else:
            names = ["content", "style", "strength"]
            program = torch.onnx.export(
                portable, shown, input_names=names, output_names=["picture"], dynamo=True, verbose=False
            )
            assert program is not None
            program.save(temporary)
    return path
