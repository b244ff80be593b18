"""Products with F and C, their trace, diagonal and leading eigenpairs, without the gradient matrix.

With ``G = [grad l_1, ..., grad l_n]`` (d x n): ``F = G G'/n`` and ``C = G (I - 11'/n) G'/n`` (arXiv 1906.07405). ``G u`` is
one weighted backward pass and ``G' v`` the derivative of the losses along v (``directional``); G is never formed.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.utils._pytree import tree_map

from claimkit.errors import InputError
from msgd.matrix.directional import Way, choose, gradients, plain_kernels, rows_of
from msgd.matrix.rows import Batch, Rows, leaves, take
from msgd.matrix.rowwise import Losses, check, unwrapped

Matrix = Literal["C", "F"]


class GradientMatrix:
    """The gradient matrix G of a model on n samples, as an operator.

    Any module whose rows do not influence each other: attention, recurrent and convolutional layers, compiled or wrapped for
    data parallelism (the module inside is used). At the first call, and when train and eval modes change, a few rows are
    computed twice, among others and alone, so that a module that draws random numbers, changes as it runs or couples rows
    (Dropout, spectral normalisation and BatchNorm in train mode) is refused and the fastest way that is right is taken.

    Attributes:
        model: Parameters that do not require a gradient are left out; they are read at the time of each call.
        criterion: ``(outputs, targets) -> losses``, one loss a row, shape ``(rows,)``.
        inputs: Shape ``(n, ...)``; or a mapping (passed by name) or tuple (by place) of such tensors; or a DataLoader, or a
            list of batches, that gives the same rows in the same order each time: pairs (inputs, targets), or mappings whose
            ``labels`` are the targets.
        targets: Shape ``(n, ...)``, or nested as the inputs; None where the inputs are batches.
        chunk: Rows that are processed at once; memory grows with it, results do not depend on it.
        n: Number of samples.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: Callable[[Any, Any], Tensor],
        inputs: Any,
        targets: Any = None,
        chunk: int = 1024,
    ) -> None:
        """Look at the data, not yet at the model.

        Raises:
            InputError: Data of two lengths or of no kind that is known, no parameter to derive by, or a chunk of no rows.
        """
        self.model, self.criterion, self.inputs, self.targets, self.chunk = model, criterion, inputs, targets, chunk
        self._losses = Losses(unwrapped(model), criterion)
        if not self._parameters():
            raise InputError("no parameter of the model requires a gradient: unfreeze at least one")
        self._data = Rows(inputs, targets, chunk, lambda: self._parameters()[0].device)
        self._found: tuple[list[bool], Way] | None = None
        self.n = self._data.n

    @property
    def d(self) -> int:
        """Number of parameters that require a gradient."""
        return sum(p.numel() for p in self._parameters())

    def apply(self, u: Float[Tensor, " n"]) -> Float[Tensor, " d"]:
        """G u, one weighted backward pass.

        Raises:
            InputError: u is not of shape ``(n,)``, or the model draws or couples rows (as for all that follow).
        """
        self._require(u, self.n, "a sample")
        with self._ready():
            parts = (gradients(self._losses(x, y), self._parameters(), u[rows]) for rows, x, y in self._data)
            return self._total(_flat(part) for part in parts)

    def transpose(self, v: Float[Tensor, " d"]) -> Float[Tensor, " n"]:
        """G' v: the derivative of every loss along v.

        Raises:
            InputError: v is not of shape ``(d,)``.
        """
        self._require(v, self.d, "a parameter")
        with self._ready() as way:
            parts = [way(self._losses, (x, y), self._parameters(), self._split(v))[0].detach() for _, x, y in self._data]
        return torch.cat(parts)

    def gradient(self) -> Float[Tensor, " d"]:
        """The full gradient G 1/n."""
        return self.apply(self._ones() / self.n)

    def product(self, v: Float[Tensor, " d"], matrix: Matrix = "C") -> Float[Tensor, " d"]:
        """C v or F v, of shape ``(d,)``.

        Raises:
            InputError: v is not of shape ``(d,)``.
        """
        self._require(v, self.d, "a parameter")

        def one(batch: Batch) -> Tensor:
            along, pull = way(self._losses, batch, self._parameters(), self._split(v))
            weight = (along - along.mean() if matrix == "C" else along).detach() / self.n
            return _flat(gradients(self._losses(*batch), self._parameters(), weight) if pull is None else pull(weight))

        if matrix == "C" and self._data.first_size() < self.n:  # the mean must be known first
            along = self.transpose(v)
            return self.apply((along - along.mean()) / self.n)
        with self._ready() as way:
            return self._total(one((x, y)) for _, x, y in self._data)

    def trace(self, matrix: Matrix = "C", probes: int | None = None, generator: Generator | None = None) -> float:
        """Tr C or tr F: exact, or the unbiased estimate from random signs, one backward pass each.

        ``E |G z|^2 / n = tr F`` for independent signs z, as ``E z z' = I``; z minus its mean gives ``tr C``.

        Args:
            matrix: "C" or "F".
            probes: Number of random sign vectors; None for the exact trace by per-sample gradients, a few rows at a time.
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
        """Diag C or diag F, exact: squares of per-sample gradients, minus the mean gradient first for C."""
        centre = self.gradient() if matrix == "C" else 0.0
        with self._ready():
            return self._total((part - centre).square().sum(0) for part in self._columns()) / self.n

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
        with self._ready():
            return torch.cat(list(self._columns())).T

    def _columns(self) -> Iterator[Float[Tensor, "rows d"]]:
        """Gradients of single rows, as many rows at once as make 2^26 numbers; one by one where vmap has no rule."""
        names = {id(p): name for name, p in self._losses.named_parameters()}
        at = {names[id(p)]: p.detach() for p in self._parameters()}
        each = vmap(grad(lambda p, batch: functional_call(self._losses, p, batch)[0]), in_dims=(None, 0))
        size = max(1, 2**26 // self.d)
        by_vmap = True
        for _, x, y in self._data:
            for start in range(0, len(leaves(y)[0]), size):
                batch = (take(x, slice(start, start + size)), take(y, slice(start, start + size)))
                if by_vmap:
                    try:
                        with plain_kernels(self._losses):
                            found = each(at, _alone(batch))
                        yield torch.cat([found[name].flatten(1) for name in at], 1)
                        continue
                    except Exception as e:  # whatever a model's operations raise where vmap has no rule
                        if isinstance(e, InputError):
                            raise
                        by_vmap = False
                yield torch.stack([_flat(row) for row in rows_of(self._losses, batch, self._parameters())])

    def _parameters(self) -> list[nn.Parameter]:
        return [p for p in self._losses.parameters() if p.requires_grad]

    @contextmanager
    def _ready(self) -> Iterator[Way]:
        """With gradients and without compilation, after the check of the model; the way to take for G' v."""
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            if "torch._dynamo" in sys.modules:  # or else nothing is compiled
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            modes = [m.training for m in self._losses.model.modules()]
            if self._found is None or self._found[0] != modes:
                batch = self._data.some(3)
                check(self._losses, batch)
                self._found = modes, choose(self._losses, batch, self._parameters())
            yield self._found[1]

    def _ones(self) -> Tensor:
        like = self._parameters()[0]
        return torch.ones(self.n, dtype=like.dtype, device=like.device)

    def _split(self, v: Tensor) -> list[Tensor]:
        parameters = self._parameters()
        parts = v.split([p.numel() for p in parameters])
        return [part.view_as(p).to(p) for part, p in zip(parts, parameters, strict=True)]

    def _total(self, parts: Iterator[Tensor]) -> Tensor:
        total = next(parts)
        for part in parts:
            total = total + part
        return total

    def _require(self, vector: Tensor, size: int, what: str) -> None:
        if vector.shape != (size,):
            raise InputError(f"the vector has shape {tuple(vector.shape)}, expected ({size},), one entry {what}")


def _alone(batch: Batch) -> Batch:
    """Every row as a batch of one, for vmap."""
    return tree_map(lambda t: t[:, None], batch)


def _flat(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])
