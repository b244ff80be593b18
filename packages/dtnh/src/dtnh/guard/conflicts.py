"""Conflict statistics: kept on the device step by step, read when somebody asks."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from claimkit.errors import InputError
from claimkit.files import write_atomic
from dtnh.guard.projection import Info

COLUMNS = ("cos", "conflict", "coef", "grad_norm", "reg_norm", "removed_norm")
PACKED = 256
"""Steps after which the small tensors of single steps are packed into one."""


class Conflicts:
    """How often, and how much, the regulariser opposed the loss.

    Adding a step copies nothing to the host; reading does. A step is kept as six numbers: means over the groups of the
    cosine, the share of conflicts and the coefficient, and the norms over all groups together.

    Args:
        names: Of the groups.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = tuple(names)
        self.last: Info | None = None
        self._steps: list[Tensor] = []
        self._packed: list[Tensor] = []
        self._per_group: Tensor | None = None
        self._count = 0

    def add(self, info: Info) -> None:
        """Take up one step."""
        means = [t.float().mean() for t in (info.cos, info.conflict, info.coef)]
        norms = [t.float().norm() for t in (info.grad_norm, info.reg_norm, info.removed_norm)]
        self.last = info
        self._steps.append(torch.stack([*means, *norms]))
        hit = info.conflict.float()
        self._per_group = hit if self._per_group is None else self._per_group + hit
        self._count += 1
        if len(self._steps) == PACKED:
            self._packed.append(torch.stack(self._steps))
            self._steps = []

    def __len__(self) -> int:
        """Steps so far."""
        return self._count

    def table(self) -> NDArray[np.float64]:
        """Shape ``(steps, 6)``, columns as in ``COLUMNS``."""
        if not self._count:
            return np.zeros((0, len(COLUMNS)))
        rows = [*self._packed, *([torch.stack(self._steps)] if self._steps else [])]
        return torch.cat(rows).double().cpu().numpy()

    def column(self, name: str) -> NDArray[np.float64]:
        """One column of the table, shape ``(steps,)``."""
        return self.table()[:, COLUMNS.index(name)]

    @property
    def rate(self) -> float:
        """Share of steps and groups in conflict, in [0, 1]; NaN before the first step."""
        return float(self.column("conflict").mean()) if self._count else float("nan")

    @property
    def rates(self) -> dict[str, float]:
        """Share of steps in conflict, by the name of the group, such as its module."""
        if self._per_group is None:
            return {}
        rates = (self._per_group / self._count).tolist()
        names = self.names if len(set(self.names)) == len(rates) else map(str, range(len(rates)))
        return dict(zip(names, rates, strict=True))

    def to_csv(self, path: Path | str) -> None:
        """Write one row a step, atomically."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["step", *COLUMNS])
        writer.writerows([i, *(f"{v:.6g}" for v in row)] for i, row in enumerate(self.table()))
        write_atomic(Path(path), text.getvalue())

    def plot(self, path: Path | str, title: str = "") -> None:
        """Draw the conflict rate, the cosine and the norms over training.

        Raises:
            InputError: Before the first step.
        """
        if not self._count:
            raise InputError("there is no step yet whose conflict could be drawn")
        from dtnh import plots

        plots.conflicts({"": [self.table()]}, Path(path), title)


def smoothed(values: Sequence[float] | NDArray[np.float64], width: int = 20) -> NDArray[np.float64]:
    """Running mean over the last ``width`` values or as many as there are, shape ``(n,)``.

    >>> smoothed([1.0, 3.0, 5.0], 2).tolist()
    [1.0, 2.0, 4.0]
    """
    total = np.cumsum(np.concatenate([[0.0], np.asarray(values, dtype=float)]))
    end = np.arange(1, len(total))
    start = np.maximum(end - width, 0)
    return (total[end] - total[start]) / (end - start)
