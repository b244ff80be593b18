"""Many runs at once: replicas of small models with the weighted gradient written out in batched matrix products.

For linear, multi-layer and diagonal linear models this is far faster than ``vmap(grad)`` on a CPU. For convolutions on a CPU
a loop over replicas is faster than vmap(grad) (benchmarks/replicas.py), products of patches than both (``convolutional``).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from claimkit.errors import InputError
from msgd.noise import Noise


@dataclass(frozen=True)
class DiagonalLinear:
    """Diagonal linear networks ``f(x) = <x, u*u - v*v>`` with squared loss ``(f(x) - y)^2 / 2``, one data set a replica.

    Attributes:
        x: Inputs, shape ``(replicas, n, d)``.
        y: Targets, shape ``(replicas, n)``.
    """

    x: Float[Tensor, "replicas n d"]
    y: Float[Tensor, "replicas n"]

    def start(self, alpha: float) -> Float[Tensor, "replicas two_d"]:
        """U = v = alpha: the predictor starts at zero."""
        return torch.full((self.x.shape[0], 2 * self.x.shape[2]), alpha, dtype=self.x.dtype, device=self.x.device)

    def predictor(self, theta: Float[Tensor, "replicas two_d"]) -> Float[Tensor, "replicas d"]:
        """u*u - v*v."""
        squares = theta.square()
        d = self.x.shape[2]
        return squares[:, :d] - squares[:, d:]

    def losses(self, theta: Float[Tensor, "replicas two_d"]) -> Float[Tensor, "replicas n"]:
        """Losses of all rows."""
        return torch.baddbmm(self.y[:, :, None], self.x, self.predictor(theta)[:, :, None], beta=-1)[:, :, 0].square() / 2

    def gradient(
        self,
        theta: Float[Tensor, "replicas two_d"],
        weight: Float[Tensor, "replicas rows"],
        index: Int[Tensor, "replicas rows"] | None = None,
    ) -> Float[Tensor, "replicas two_d"]:
        """G W of every replica; with ``index`` only those rows are touched."""
        x, y = _rows(self.x, self.y, index)
        residual = torch.baddbmm(y[:, :, None], x, self.predictor(theta)[:, :, None], beta=-1)[:, :, 0]
        along = torch.bmm((weight * residual)[:, None, :], x)
        signs = theta.new_tensor([[2.0], [-2.0]])  # derivatives of u*u - v*v are 2u and -2v
        return (theta.unflatten(1, (2, -1)) * (along * signs)).flatten(1)


class Layered(ABC):
    """Networks of affine layers with relu between them and cross-entropy at the end, one a replica, on rows common to all.

    A replica's parameters are one row: of every layer the matrix, then its bias.

    Attributes:
        y: Classes, shape ``(n,)``.
    """

    y: Tensor

    @property
    @abstractmethod
    def inputs(self) -> Tensor:
        """What the first layer gets, its rows first."""

    @property
    @abstractmethod
    def shapes(self) -> Sequence[tuple[int, int]]:
        """Rows and columns of the matrices; each has a bias a column."""

    @property
    def parameters(self) -> int:
        """Weights of one replica."""
        return sum((rows + 1) * columns for rows, columns in self.shapes)

    def losses(self, theta: Float[Tensor, "replicas parameters"]) -> Float[Tensor, "replicas n"]:
        """Losses of all rows."""
        seen, _, y = self._forward(theta)
        return torch.nn.functional.cross_entropy(seen[-1].transpose(1, 2), y, reduction="none")

    def accuracy(self, theta: Float[Tensor, "replicas parameters"]) -> Float[Tensor, " replicas"]:
        """Share of the rows whose largest output is their class."""
        seen, _, y = self._forward(theta)
        return (seen[-1].argmax(2) == y).float().mean(1)

    def gradient(
        self,
        theta: Float[Tensor, "replicas parameters"],
        weight: Float[Tensor, "replicas rows"],
        index: Int[Tensor, "replicas rows"] | None = None,
    ) -> Float[Tensor, "replicas parameters"]:
        """G W of every replica, the backward pass written out; with ``index`` only those rows are touched."""
        seen, matrices, y = self._forward(theta, index)
        delta = seen[-1].softmax(2)
        delta.scatter_add_(2, y[:, :, None], torch.full_like(delta[:, :, :1], -1))
        delta *= weight[:, :, None]
        parts: list[Tensor] = []
        for layer in reversed(range(len(matrices))):
            below = seen[layer]
            parts = [torch.bmm(below.transpose(1, 2), delta).flatten(1), delta.sum(1), *parts]
            if layer:
                delta = torch.bmm(delta, matrices[layer].transpose(1, 2))
                delta = self._scatter(layer, torch.ops.aten.threshold_backward(delta, below, 0))
        return torch.cat(parts, 1)

    def _gather(self, layer: int, outputs: Tensor) -> Tensor:
        """What a layer gets from the outputs of the one below; another shape of the same numbers."""
        return outputs

    def _scatter(self, layer: int, delta: Tensor) -> Tensor:
        """Back from the shape of :meth:`_gather`."""
        return delta

    def _forward(self, theta: Tensor, index: Tensor | None = None) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """What each layer gets and the outputs, the matrices, and the classes."""
        x, y = self.inputs, self.y
        x, y = (t.expand(len(theta), *t.shape) if index is None else t[index] for t in (x, y))
        seen, matrices, at = [x.reshape(len(theta), -1, x.shape[-1])], [], 0
        for layer, (rows, columns) in enumerate(self.shapes):
            matrices.append(theta[:, at : at + rows * columns].unflatten(1, (rows, columns)))
            bias = theta[:, None, at + rows * columns : at + (rows + 1) * columns]
            at += (rows + 1) * columns
            if layer:
                seen[-1] = self._gather(layer, seen[-1].relu_())
            seen.append(torch.bmm(seen[-1], matrices[-1]).add_(bias))  # baddbmm fills the bias first, and is slower here
        return seen, matrices, y


@dataclass(frozen=True)
class Perceptron(Layered):
    """Networks ``x -> W_L relu(... relu(W_1 x + b_1)) + b_L`` with cross-entropy; linear with no hidden layer.

    Attributes:
        x: Inputs, shape ``(n, d)``, common to all replicas.
        y: Classes, shape ``(n,)``.
        widths: Layer widths, the first d, the last the number of classes.
    """

    x: Float[Tensor, "n d"]
    y: Int[Tensor, " n"]
    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse widths that do not fit the data."""
        if len(self.widths) < 2 or self.widths[0] != self.x.shape[1] or self.widths[-1] <= int(self.y.max()):
            raise InputError(
                f"widths {self.widths} do not fit inputs of {self.x.shape[1]} numbers and classes up to {int(self.y.max())}"
            )

    @property
    def inputs(self) -> Tensor:
        """The rows themselves."""
        return self.x

    @property
    def shapes(self) -> Sequence[tuple[int, int]]:
        """A matrix between every two widths."""
        return list(pairwise(self.widths))

    def start(self, replicas: int, generator: Generator | None = None) -> Float[Tensor, "replicas parameters"]:
        """He initialisation, biases zero."""
        parts = []
        for fan_in, fan_out in self.shapes:
            scale = (2 / fan_in) ** 0.5
            parts.append(torch.randn(replicas, fan_in * fan_out, generator=generator).to(self.x) * scale)
            parts.append(torch.zeros(replicas, fan_out).to(self.x))
        return torch.cat(parts, 1)


def descend(
    model: DiagonalLinear | Layered,
    theta: Float[Tensor, "replicas parameters"],
    noise: Noise,
    eta: float,
    steps: int,
    generator: Generator,
    block: int = 256,
) -> Float[Tensor, "replicas parameters"]:
    """Run M-SGD on all replicas with independent noise; weights are drawn ``block`` steps at a time."""
    replicas = len(theta)
    theta = theta.clone()
    for done in range(0, steps, block):
        now = min(block, steps - done)
        weight, index = noise.draw(now * replicas, generator)
        weights = weight.to(theta).unflatten(0, (now, replicas))
        indices = [None] * now if index is None else index.unflatten(0, (now, replicas))
        for w, i in zip(weights, indices, strict=True):
            theta.add_(model.gradient(theta, w, i), alpha=-eta)
    return theta


def _rows(x: Tensor, y: Tensor, index: Tensor | None) -> tuple[Tensor, Tensor]:
    """The named rows of every replica's own data."""
    if index is None:
        return x, y
    replica = torch.arange(len(x), device=x.device)[:, None]
    return x[replica, index], y[replica, index]
