"""Many runs at once: replicas of small models with the weighted gradient written out in batched matrix products.

For linear, multi-layer and diagonal linear models this is far faster than ``vmap(grad)`` on a CPU. For convolutions on a CPU
a loop over replicas is faster than vmap(grad) (benchmarks/replicas.py), products of patches than both (``convolutional``).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


@dataclass(frozen=True)
class Perceptron:
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
    def parameters(self) -> int:
        """Weights of one replica."""
        return sum((fan_in + 1) * fan_out for fan_in, fan_out in zip(self.widths, self.widths[1:], strict=False))

    def start(self, replicas: int, generator: Generator | None = None) -> Float[Tensor, "replicas parameters"]:
        """He initialisation, biases zero."""
        parts = []
        for fan_in, fan_out in zip(self.widths, self.widths[1:], strict=False):
            scale = (2 / fan_in) ** 0.5
            parts.append(torch.randn(replicas, fan_in * fan_out, generator=generator).to(self.x) * scale)
            parts.append(torch.zeros(replicas, fan_out).to(self.x))
        return torch.cat(parts, 1)

    def losses(self, theta: Float[Tensor, "replicas parameters"]) -> Float[Tensor, "replicas n"]:
        """Losses of all rows."""
        x = self.x.expand(len(theta), -1, -1)
        logits = self._forward(theta, x)[0][-1]
        return torch.nn.functional.cross_entropy(logits.transpose(1, 2), self.y.expand(len(theta), -1), reduction="none")

    def accuracy(self, theta: Float[Tensor, "replicas parameters"]) -> Float[Tensor, " replicas"]:
        """Share of the rows whose largest output is their class."""
        outputs = self._forward(theta, self.x.expand(len(theta), -1, -1))[0][-1]
        return (outputs.argmax(2) == self.y).float().mean(1)

    def gradient(
        self,
        theta: Float[Tensor, "replicas parameters"],
        weight: Float[Tensor, "replicas rows"],
        index: Int[Tensor, "replicas rows"] | None = None,
    ) -> Float[Tensor, "replicas parameters"]:
        """G W of every replica, the backward pass written out."""
        x = self.x.expand(len(theta), -1, -1) if index is None else self.x[index]
        y = self.y.expand(len(theta), -1) if index is None else self.y[index]
        activations, matrices = self._forward(theta, x)
        delta = activations[-1].softmax(2)
        delta.scatter_add_(2, y[:, :, None], torch.full_like(delta[:, :, :1], -1))
        delta *= weight[:, :, None]
        parts: list[Tensor] = []
        for layer in reversed(range(len(matrices))):
            below = activations[layer]
            parts = [torch.bmm(below.transpose(1, 2), delta).flatten(1), delta.sum(1), *parts]
            if layer:
                delta = torch.bmm(delta, matrices[layer].transpose(1, 2)) * (below > 0)
        return torch.cat(parts, 1)

    def _forward(self, theta: Tensor, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Activations of all layers, and the weight matrices."""
        activations, matrices = [x], []
        at = 0
        pairs = list(zip(self.widths, self.widths[1:], strict=False))
        for layer, (fan_in, fan_out) in enumerate(pairs):
            matrix = theta[:, at : at + fan_in * fan_out].unflatten(1, (fan_in, fan_out))
            bias = theta[:, at + fan_in * fan_out : at + (fan_in + 1) * fan_out]
            at += (fan_in + 1) * fan_out
            z = torch.baddbmm(bias[:, None], activations[-1], matrix)
            activations.append(z if layer == len(pairs) - 1 else z.relu_())
            matrices.append(matrix)
        return activations, matrices


@runtime_checkable
class Replicas(Protocol):
    """A model whose weighted gradient is known for many replicas at once."""

    def gradient(self, theta: Tensor, weight: Tensor, index: Tensor | None = None) -> Tensor:
        """G W of every replica, shape ``(replicas, parameters)``."""
        ...


def descend(
    model: Replicas,
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
