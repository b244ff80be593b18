"""The projection as an aggregator of a Jacobian, as torchjd calls it: one row is protected, the others give way."""

import torch
from torch import Tensor, nn

from claimkit.errors import InputError
from dtnh.guard.projection import measure


class ProtectedRow(nn.Module):
    """``(rows, n) -> (n,)``: the protected row plus every other row without what opposes the protected one.

    With two rows this is DTNH's direction; with more, each of the others is projected by itself, so that the sum never
    opposes the protected row. It is called like an aggregator of torchjd, which is not imported:
    ``jac_to_grad(params, ProtectedRow())``.

    Args:
        row: Which row is protected.

    >>> ProtectedRow()(torch.tensor([[1.0, 0.0], [-1.0, 1.0]])).tolist()
    [1.0, 1.0]
    """

    def __init__(self, row: int = 0) -> None:
        super().__init__()
        self.row = row

    def forward(self, matrix: Tensor) -> Tensor:
        """Combine the rows of a matrix of shape ``(rows, n)``.

        Raises:
            InputError: Not a matrix, or one without the protected row.
        """
        if matrix.ndim != 2 or not -len(matrix) <= self.row < len(matrix):
            raise InputError(f"a matrix of shape {tuple(matrix.shape)} has no row {self.row} to protect")
        g = matrix[self.row]
        others = [matrix[i] for i in range(len(matrix)) if i != self.row % len(matrix)]
        coefs = [measure([g], [r], [[0]]).coef for r in others]
        total = g * (1 + torch.cat(coefs).sum()) if coefs else g
        return total + sum(others, torch.zeros_like(g))

    def extra_repr(self) -> str:
        """The argument, for ``repr``."""
        return f"row={self.row}"
