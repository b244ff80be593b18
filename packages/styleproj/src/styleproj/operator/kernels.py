"""Sorting rows of features: the compiled kernel on the CPU where it is there, torch everywhere else.

All functions take rows ``(rows, size)`` and treat them alike: stable, NaN refused, -0.0 equal to 0.0; the two give the same
values. Loading the compiled kernel takes a second, and compiling it, once a machine, some more; so ``auto`` does it when a
process has sorted enough that it would have paid: one picture is done by then, a video gains.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Literal, TypeVar

import torch
from torch import Tensor

from claimkit.errors import InputError

Kernel = Literal["auto", "compiled", "torch"]
T = TypeVar("T")
PAYS = 1 << 24
"""Values that torch sorts in about the time that loading the compiled kernel takes."""
INLINE = 1 << 15
"""Values below which handing rows to threads costs more than it saves."""


_met = 0  # values that this process was asked to sort


@functools.cache
def compiled() -> ModuleType | None:
    """The compiled kernel; None where numba is not installed or finds no folder to keep its code in."""
    try:
        from styleproj.operator import radix
    except (ImportError, RuntimeError):
        return None
    return radix


def warmup() -> bool:
    """Load the compiled kernel now, and compile it where this machine has not yet; False where there is none."""
    if compiled() is not None:
        x = torch.tensor([[1.0, 0.0, -1.0]])
        project_rows(x, x, kernel="compiled")
        argsort_rows(sort_rows(x, "compiled"), "compiled")
    return compiled() is not None


def choose(rows: Tensor, kernel: Kernel = "auto") -> ModuleType | None:
    """The compiled kernel where it can work on these rows, None where torch does.

    Raises:
        InputError: ``"compiled"`` was asked for and cannot be had.
    """
    fits = rows.device.type == "cpu" and rows.dtype == torch.float32 and rows.shape[-1] < 2**31
    module = None
    if fits and (kernel == "compiled" or (kernel == "auto" and _pays(rows.numel()))):
        module = compiled()
    if kernel == "compiled" and module is None:
        raise InputError(
            f"the compiled kernel needs numba and float32 on the CPU, not {rows.dtype} on {rows.device}: use 'auto'"
        )
    return module


def sort_rows(rows: Tensor, kernel: Kernel = "auto") -> Tensor:
    """Sorted values of every row."""
    module = choose(rows, kernel)
    if module is None:
        _refuse_nan(rows)
        return (rows + 0.0).sort(dim=-1, stable=True).values  # + 0.0 makes -0.0 a zero
    out = torch.empty_like(rows)
    a, b = rows.numpy(), out.numpy()
    _refuse(sum(_parallel(lambda i, j: module.sort_rows(a, b, i, j), rows)))
    return out


def argsort_rows(rows: Tensor, kernel: Kernel = "auto") -> Tensor:
    """Positions (int64) of the sorted values of every row; ties in the order of their positions."""
    module = choose(rows, kernel)
    if module is None:
        _refuse_nan(rows)
        return rows.argsort(dim=-1, stable=True)
    out = torch.empty(rows.shape, dtype=torch.int64)
    a, b = rows.numpy(), out.numpy()
    _refuse(sum(_parallel(lambda i, j: module.argsort_rows(a, b, i, j), rows)))
    return out


def project_rows(
    x: Tensor, s: Tensor, alpha: float = 1.0, *, level: bool = False, ordered: bool = False, kernel: Kernel = "auto"
) -> Tensor:
    """``alpha * z + (1 - alpha) * x`` with ``z`` the sorted values of ``s`` in the rank order of ``x``, row by row.

    Args:
        x: Content, ``(rows, size)``.
        s: Style, ``(rows, size)``.
        alpha: In [0, 1].
        level: Equal values of the content all get the mean of the style values that they span.
        ordered: The rows of ``s`` are sorted already.
        kernel: ``"auto"``, ``"compiled"`` or ``"torch"``.
    """
    module = choose(x, kernel)
    if module is None:
        order = argsort_rows(x, "torch")
        t = s if ordered else sort_rows(s, "torch")
        z = torch.empty_like(x).scatter_(-1, order, level_ties(x.gather(-1, order), t) if level else t)
        return z if alpha == 1 else alpha * z + (1 - alpha) * x
    out = torch.empty_like(x)
    a, b, c = x.numpy(), s.numpy(), out.numpy()
    found = _parallel(lambda i, j: module.project_rows(a, b, ordered, level, alpha, c, i, j), x)
    _refuse(sum(x for x, _ in found))
    _refuse(sum(s for _, s in found), "style")
    return out


def level_ties(sorted_x: Tensor, t: Tensor) -> Tensor:
    """``t`` with the values that a block of equal ``sorted_x`` spans replaced by their mean; differentiable in ``t``."""
    block = torch.nn.functional.pad(sorted_x[:, 1:] != sorted_x[:, :-1], (1, 0)).cumsum(-1)
    total = torch.zeros_like(t, dtype=torch.float64).scatter_add(-1, block, t.double())
    size = torch.zeros_like(total).scatter_add(-1, block, torch.ones_like(total))
    return (total.gather(-1, block) / size.gather(-1, block)).to(t.dtype)


def _pays(values: int) -> bool:
    """Whether the kernel is loaded already, or this process sorts enough."""
    global _met
    _met += values
    return _met > PAYS or compiled.cache_info().currsize > 0


def _parallel(work: Callable[[int, int], T], rows: Tensor) -> list[T]:
    """``work(start, stop)`` over ranges of rows, by as many threads as torch uses."""
    count, threads = len(rows), torch.get_num_threads()
    if threads == 1 or rows.numel() < INLINE or count == 1:
        return [work(0, count)]
    step = max(1, count // (4 * threads))  # more ranges than threads, since some rows are quicker than others
    return list(_pool(threads, os.getpid()).map(lambda i: work(i, min(i + step, count)), range(0, count, step)))


@functools.lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not survive a fork."""
    return ThreadPoolExecutor(threads, f"styleproj-{process}")


def _refuse_nan(rows: Tensor) -> None:
    _refuse(int(rows.isnan().sum()))


def _refuse(nan: int, what: str = "features") -> None:
    if nan:
        raise InputError(
            f"{nan} of the {what} values are NaN, which have no rank: look for what made them before this layer"
        )
