"""The network and its projection as one graph of plain operators, for onnxruntime, browsers and telephones.

Sorting and scattering are operators of ONNX, so the projection travels with the network: two pictures and a strength go in,
the stylized picture comes out. Sizes are fixed when the graph is made. Where a picture is of exactly one colour, rounding
decides the order of its features, and the grain there differs from runtime to runtime.
"""

import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import atomic_path
from styleproj.networks.network import StyleNetwork

SUFFIXES = (".onnx", ".pt2")


class PortableProjection(nn.Module):
    """Content and style picture in, stylized picture out, written with operators that every runtime has.

    The same as ``Stylizer(network, ties="stable", transform="projection", palette=False)`` on pictures of these sizes.

    Args:
        network: Encoder and decoder.
        style_size: Height and width of the style picture.
        size: Height and width of the content and the result.
    """

    def __init__(self, network: StyleNetwork, size: tuple[int, int], style_size: tuple[int, int]) -> None:
        super().__init__()
        for sides in (size, style_size):
            if min(sides) < 2 * network.multiple or any(n % network.multiple for n in sides):
                raise InputError(
                    f"{sides[1]} x {sides[0]} pixels: sides must be multiples of {network.multiple}, at least twice it"
                )
        self.network = network
        for level, k in enumerate(network.levels):
            count, own = (h * w // 4 ** (k - 1) for h, w in (size, style_size))
            where = ((torch.arange(count, dtype=torch.float64) + 0.5) * (own / count) - 0.5).clamp(0, own - 1)
            self.register_buffer(f"lower{level}", where.long())
            self.register_buffer(f"share{level}", (where - where.floor()).float())

    def forward(
        self, content: Float[Tensor, "1 3 h w"], style: Float[Tensor, "1 3 H W"], strength: Float[Tensor, "1"]
    ) -> Float[Tensor, "1 3 h w"]:
        """Pictures in [0, 1], strength in [0, 1]."""
        levels = []
        for level, (x, s) in enumerate(zip(self.network.encode(content), self.network.encode(style), strict=True)):
            lower, share = getattr(self, f"lower{level}"), getattr(self, f"share{level}")
            values = s.flatten(2).sort(-1).values
            low = values.index_select(-1, lower)
            high = values.index_select(-1, (lower + 1).clamp(max=values.shape[-1] - 1))
            order = x.flatten(2).sort(-1).indices  # equal values by position: ONNX says so of its operator, torch does so
            z = torch.zeros_like(x.flatten(2)).scatter(-1, order, torch.minimum(low + share * (high - low), high))
            levels.append(strength * z.view(x.shape) + (1 - strength) * x)
        return self.network.decode(tuple(levels)).clamp(0, 1)


def export(network: StyleNetwork, path: Path, size: tuple[int, int], style_size: tuple[int, int]) -> Path:
    """Write ``path`` as ONNX (``.onnx``) or as ``torch.export``'s program (``.pt2``): inputs content, style, strength.

    Args:
        network: What is exported.
        path: Its suffix says as what.
        size: Height and width of content and result, multiples of ``network.multiple``.
        style_size: Height and width of the style picture, likewise.

    Raises:
        InputError: Another suffix, or sizes that the network cannot take.
        MissingPackageError: ONNX was asked for and is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: give a name that ends in {' or '.join(SUFFIXES)}")
    if path.suffix == ".onnx":
        for module in ("onnx", "onnxscript"):
            run.require(module, "exports to ONNX", "./packages/styleproj[export]")
    portable = PortableProjection(network, size, style_size).eval()
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
