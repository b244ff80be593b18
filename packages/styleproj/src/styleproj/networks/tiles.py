"""Encoding and decoding pictures of any size piece by piece, with the result of doing it at once.

A piece is cut out with a halo as wide as the network looks, and the halo's share is dropped. Features of the whole picture
are put together before they are transformed, so that ranks and statistics are those of the whole picture; only the memory of
the convolutions is bounded.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from styleproj.networks.network import Features, StyleNetwork

Span = tuple[slice, slice]


def reach(network: StyleNetwork) -> int:
    """Pixels that encoder and decoder look beyond a position at most, as a multiple of the deepest stride."""
    depth = network.levels[-1]
    encoder, decoder = network.encoder.convolutions, network.decoder
    look, draw = 2 ** (depth - 1), 2 ** (depth - 1) * decoder.convolutions[depth - 1]  # of the last level, on either side
    for block in range(1, depth):
        stride = 2 ** (block - 1)
        look += stride * (encoder[block - 1] + 1)  # and a pooling
        draw += stride * (decoder.convolutions[block - 1] + 2 * decoder.residuals[block - 1] + 1)  # and a doubling
    draw += 2 ** (depth - 1) * 2 * decoder.residuals[depth - 1]
    return -(-max(look, draw) // network.multiple) * network.multiple


def encode(network: StyleNetwork, image: Tensor, tile: int) -> Features:
    """Features of a picture, level by level.

    Args:
        network: Encoder.
        image: ``(3, height, width)``, multiples of the network's.
        tile: Side of the pieces in pixels, a multiple of the network's.
    """
    size = image.shape[-2:]
    if max(size) <= tile:
        return network.encode(image[None])
    strides = [2 ** (level - 1) for level in network.levels]
    whole = [
        image.new_empty(1, channels, size[0] // stride, size[1] // stride)
        for channels, stride in zip(network.channels, strides, strict=True)
    ]
    for core, cut, inner in _pieces(size, tile, reach(network)):
        part = network.encode(image[None, :, *cut])
        for target, source, stride in zip(whole, part, strides, strict=True):
            target[:, :, *_shrink(core, stride)] = source[:, :, *_shrink(inner, stride)]
    return tuple(whole)


def decode(network: StyleNetwork, features: Features, tile: int) -> Tensor:
    """The picture of features, ``(3, height, width)``, about [0, 1], not clamped; arguments as in :func:`encode`."""
    strides = [2 ** (level - 1) for level in network.levels]
    size = torch.Size(n * strides[-1] for n in features[-1].shape[-2:])
    if max(size) <= tile:
        return network.decode(features)[0]
    whole = features[0].new_empty(3, *size)
    for core, cut, inner in _pieces(size, tile, reach(network)):
        part = tuple(f[:, :, *_shrink(cut, stride)] for f, stride in zip(features, strides, strict=True))
        whole[:, *core] = network.decode(part)[0][:, *inner]
    return whole


def _pieces(size: torch.Size, tile: int, halo: int) -> Iterator[tuple[Span, Span, Span]]:
    """Where a piece lies in the whole, where it is cut with its halo, and where it lies in that cut."""

    def spans(length: int) -> list[tuple[slice, slice, slice]]:
        found = []
        for start in range(0, length, tile):
            stop = min(start + tile, length)
            low, high = max(start - halo, 0), min(stop + halo, length)
            found.append((slice(start, stop), slice(low, high), slice(start - low, stop - low)))
        return found

    for rows in spans(size[0]):
        for columns in spans(size[1]):
            yield (rows[0], columns[0]), (rows[1], columns[1]), (rows[2], columns[2])


def _shrink(span: Span, stride: int) -> Span:
    rows, columns = (slice(s.start // stride, s.stop // stride) for s in span)
    return rows, columns
