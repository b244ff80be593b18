"""Products with F and C, their trace, diagonal and leading eigenpairs, without the gradient matrix.

With ``G = [grad l_1, ..., grad l_n]`` (d x n): ``F = G G'/n`` and ``C = G (I - 11'/n) G'/n`` (arXiv 1906.07405). ``G u`` is
one weighted backward pass and ``G' v`` one forward-mode derivative of the losses; G itself is never formed.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.func import functional_call, grad, jvp, vjp, vmap

from claimkit.errors import InputError

Matrix = Literal["C", "F"]


@dataclass(frozen=True)
class GradientMatrix:
    """The gradient matrix G of a model on n samples, as an operator.

    Attributes:
        model: Any module whose rows do not influence each other; put BatchNorm in eval mode. Parameters that do not
            require a gradient are left out. The parameters are read at the time of each call.
        criterion: ``(outputs, targets) -> losses``, one loss a row, shape ``(rows,)``.
        inputs: Shape ``(n, ...)``.
        targets: Shape ``(n, ...)``.
        chunk: Rows that are processed at once; memory grows with it, results do not depend on it.
    """

    model: nn.Module
    criterion: Callable[[Tensor, Tensor], Tensor]
    inputs: Tensor
    targets: Tensor
    chunk: int = 1024

    def __post_init__(self) -> None:
        """Refuse data of two lengths and a chunk of no rows."""
        if len(self.inputs) != len(self.targets) or not len(self.inputs):
            raise InputError(f"{len(self.inputs)} inputs and {len(self.targets)} targets: expected as many, at least one")
        if self.chunk < 1:
            raise InputError(f"chunk = {self.chunk} rows: expected at least one")

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.inputs)

    @property
    def d(self) -> int:
        """Number of parameters that require a gradient."""
        return sum(p.numel() for p in self._parameters().values())

    def apply(self, u: Float[Tensor, " n"]) -> Float[Tensor, " d"]:
        """G u, one weighted backward pass."""
        total: Tensor | None = None
        for rows, x, y in self._chunks():
            pull = vjp(lambda p, x=x, y=y: self._losses(p, x, y), self._parameters())[1]
            part = _flat(pull(u[rows])[0])
            total = part if total is None else total + part
        assert total is not None
        return total

    def transpose(self, v: Float[Tensor, " d"]) -> Float[Tensor, " n"]:
        """G' v: the derivative of every loss along v, by forward mode."""
        parameters = self._parameters()
        tangent = self._unflat(v)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)  # torch's own, on first use
            parts = [
                jvp(lambda p, x=x, y=y: self._losses(p, x, y), (parameters,), (tangent,))[1] for _, x, y in self._chunks()
            ]
        return torch.cat(parts)

    def gradient(self) -> Float[Tensor, " d"]:
        """The full gradient G 1/n."""
        return self.apply(self._ones() / self.n)

    def product(self, v: Float[Tensor, " d"], matrix: Matrix = "C") -> Float[Tensor, " d"]:
        """C v or F v, of shape ``(d,)``: one forward-mode and one backward pass.

        Raises:
            InputError: v is not of shape ``(d,)``.
        """
        if v.shape != (self.d,):
            raise InputError(f"the vector has shape {tuple(v.shape)}, expected ({self.d},), one entry a parameter")
        along = self.transpose(v)
        return self.apply((along - along.mean() if matrix == "C" else along) / self.n)

    def trace(self, matrix: Matrix = "C", probes: int | None = None, generator: Generator | None = None) -> float:
        """Tr C or tr F: exact, or the unbiased estimate from random signs, one backward pass each.

        ``E |G z|^2 / n = tr F`` for independent signs z, as ``E z z' = I``; z minus its mean gives ``tr C``.

        Args:
            matrix: "C" or "F".
            probes: Number of random sign vectors; None for the exact trace by per-sample gradients, chunk by chunk.
            generator: Source of the signs.
        """
        if probes is None:
            return float(self.diagonal(matrix).sum())
        if probes < 1:
            raise InputError(f"probes = {probes}: expected at least one, or None for the exact trace")
        total = 0.0
        for _ in range(probes):
            z = torch.randint(0, 2, (self.n,), generator=generator).to(self._ones()) * 2 - 1
            total += float(self.apply(z - z.mean() if matrix == "C" else z).square().sum())
        return total / probes / self.n

    def diagonal(self, matrix: Matrix = "C") -> Float[Tensor, " d"]:
        """Diag C or diag F, exact: per-sample gradients of one chunk at a time are squared and added."""
        each = vmap(grad(lambda p, x, y: self._losses(p, x[None], y[None])[0]), in_dims=(None, 0, 0))
        squares: Tensor | None = None
        for _, x, y in self._chunks():
            g = each(self._parameters(), x, y)
            part = torch.cat([t.square().sum(0).flatten() for t in g.values()])
            squares = part if squares is None else squares + part
        assert squares is not None
        return squares / self.n - (self.gradient().square() if matrix == "C" else 0)

    def eigenpairs(
        self, k: int = 1, matrix: Matrix = "C", tolerance: float = 1e-6, seed: int = 0
    ) -> tuple[Float[Tensor, " k"], Float[Tensor, "d k"]]:
        """The k largest eigenvalues, descending, and their eigenvectors, by Lanczos on products (scipy's eigsh).

        Raises:
            InputError: k is not in [1, d).
        """
        from scipy.sparse.linalg import LinearOperator, eigsh

        if not 1 <= k < self.d:
            raise InputError(f"k = {k} eigenpairs of a {self.d} x {self.d} matrix: expected 1 <= k < {self.d}")
        like = self._ones()

        def multiply(v: np.ndarray) -> np.ndarray:
            return self.product(torch.as_tensor(v.ravel()).to(like), matrix).double().cpu().numpy()

        operator = LinearOperator((self.d, self.d), matvec=multiply, dtype=np.float64)  # type: ignore[call-arg]
        start = np.random.default_rng(seed).standard_normal(self.d)
        values, vectors = eigsh(operator, k=k, which="LA", tol=tolerance, v0=start)  # type: ignore[arg-type]
        order = np.argsort(values)[::-1]
        return torch.as_tensor(values[order].copy()), torch.as_tensor(vectors[:, order].copy())

    def explicit(self) -> Float[Tensor, "d n"]:
        """G itself, d x n numbers: for small models and for checks."""
        each = vmap(grad(lambda p, x, y: self._losses(p, x[None], y[None])[0]), in_dims=(None, 0, 0))
        parts = [each(self._parameters(), x, y) for _, x, y in self._chunks()]
        return torch.cat([torch.cat([t.flatten(1) for t in g.values()], 1) for g in parts]).T

    def _parameters(self) -> dict[str, Tensor]:
        return {name: p.detach() for name, p in self.model.named_parameters() if p.requires_grad}

    def _losses(self, parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        losses = self.criterion(functional_call(self.model, parameters, (x,)), y)
        if losses.shape != (len(x),):
            raise InputError(
                f"the criterion gave losses of shape {tuple(losses.shape)} for {len(x)} rows: "
                'it must give one loss a row (reduction="none")'
            )
        return losses

    def _chunks(self) -> Iterator[tuple[slice, Tensor, Tensor]]:
        for start in range(0, self.n, self.chunk):
            rows = slice(start, start + self.chunk)
            yield rows, self.inputs[rows], self.targets[rows]

    def _ones(self) -> Tensor:
        like = next(iter(self._parameters().values()))
        return torch.ones(self.n, dtype=like.dtype, device=like.device)

    def _unflat(self, v: Tensor) -> dict[str, Tensor]:
        parameters = self._parameters()
        parts = v.split([p.numel() for p in parameters.values()])
        return {name: part.view_as(p) for part, (name, p) in zip(parts, parameters.items(), strict=True)}


def _flat(tensors: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors.values()])
