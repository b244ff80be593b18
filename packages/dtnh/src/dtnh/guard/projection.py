"""DTNH: Towards Making Deep Transfer Learning Never Hurt (arXiv 1911.07489).

Per mini-batch, with ``g`` the gradient of the empirical loss, ``r`` that of the weighted regulariser, and ``b`` a group
of parameters:

    r_b' = r_b - <g_b, r_b> / <g_b, g_b> g_b   if <g_b, r_b> < 0,   otherwise r_b
    d_b  = g_b + r_b'

The component of ``r`` that opposes ``g`` is cut off; ``g`` itself is never changed, so ``<d, g> >= <g, g>``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from claimkit.errors import InputError

foreach: Any = torch
"""torch, for its ``_foreach_*`` operators, which have no types."""


@dataclass(frozen=True)
class Info:
    """What happened in each group; tensors of shape ``(groups,)`` on the gradients' device, never read by the projection.

    Attributes:
        cos: Cosine between ``g`` and ``r``, 0 where one of them is zero.
        conflict: Whether ``r`` opposed ``g``.
        coef: ``max(0, -<g, r> / <g, g>)``: how much of ``g`` is added to ``r`` to take its opposition away.
        grad_norm: ``||g||``.
        reg_norm: ``||r||``.
        removed_norm: ``||r - r'||``.
    """

    cos: Tensor
    conflict: Tensor
    coef: Tensor
    grad_norm: Tensor
    reg_norm: Tensor
    removed_norm: Tensor


def project(
    g: Sequence[Tensor],
    r: Sequence[Tensor | None],
    groups: Sequence[Sequence[int]] | None = None,
    out: Literal["add", "regularizer"] = "add",
) -> tuple[list[Tensor], Info]:
    """Combine the gradient of a loss with that of a regulariser, so that the second never opposes the first.

    Args:
        g: Gradient of the empirical loss, any shapes.
        r: Gradient of the weighted regulariser, the same shapes; None where it is zero.
        groups: Positions of the tensors of each group, no position twice; one group of all when None. Tensors in no
            group are added without projection.
        out: ``add`` gives ``d = g + r'``, ``regularizer`` gives ``r'`` alone.

    Returns:
        New tensors of the shapes of ``g``, and what happened in each group. Nothing is copied to the host.

    Raises:
        InputError: Lists that do not match, or groups that are none.

    >>> d, info = project([torch.tensor([1.0, 0.0])], [torch.tensor([-1.0, 1.0])])
    >>> d[0].tolist(), info.conflict.tolist()
    ([1.0, 1.0], [True])
    >>> project([torch.tensor([1.0, 0.0])], [torch.tensor([1.0, 1.0])])[0][0].tolist()
    [2.0, 1.0]
    >>> project([torch.tensor([2.0, 0.0])], [torch.tensor([-5.0, 0.0])])[0][0].tolist()
    [2.0, 0.0]
    """
    _check_lists(g, r)
    if out not in ("add", "regularizer"):
        raise InputError(f"out = {out!r}: expected 'add' for g + r' or 'regularizer' for r'")
    chosen = [range(len(g))] if groups is None else groups
    numbers = [i for b in chosen for i in b]
    if len(set(numbers)) != len(numbers) or not set(numbers) <= set(range(len(g))):
        raise InputError(f"groups name positions {sorted(numbers)} of {len(g)} tensors: expected 0..{len(g) - 1}, each once")
    with torch.no_grad():
        if out == "add":
            d = [t.clone() for t in g]
            return d, project_(d, r, chosen)
        info = measure(g, r, chosen)
        d = [torch.zeros_like(a) if b is None else b.clone() for a, b in zip(g, r, strict=True)]
        for b, coef in zip(chosen, info.coef, strict=True):
            if _half(g):
                for i in b:
                    d[i].copy_(_plus(d[i], g[i], coef))
            elif b:
                foreach._foreach_add_([d[i] for i in b], foreach._foreach_mul([g[i] for i in b], coef))
        return d, info


@torch.no_grad()
def project_(g: Sequence[Tensor], r: Sequence[Tensor | None], groups: Sequence[Sequence[int]]) -> Info:
    """The same in the memory of ``g``, which becomes ``d``: ``(1 + coef) g + r`` in each group, ``g + r`` elsewhere."""
    info = measure(g, r, groups)
    half = _half(g)
    if half or (g and g[0].device.type == "cpu"):  # foreach is a loop there, and tensor by tensor stays in the cache
        factors = {i: 1 + coef for b, coef in zip(groups, info.coef, strict=True) for i in b}
        for i, (a, t) in enumerate(zip(g, r, strict=True)):
            if i in factors and t is not None and half:
                a.copy_(_plus(t, a, factors[i]))
                continue
            if i in factors:
                a.mul_(factors[i])
            if t is not None:
                a.add_(t)
        return info
    for b, coef in zip(groups, info.coef, strict=True):
        if b:
            foreach._foreach_mul_([g[i] for i in b], 1 + coef)
    both = [(a, t) for a, t in zip(g, r, strict=True) if t is not None]
    if both:
        foreach._foreach_add_([a for a, _ in both], [t for _, t in both])
    return info


@torch.no_grad()
def measure(g: Sequence[Tensor], r: Sequence[Tensor | None], groups: Sequence[Sequence[int]]) -> Info:
    """Whether, and how much, ``r`` opposes ``g`` in each group; sums in float32 or wider."""
    device = g[0].device if g else torch.device("cpu")
    products = [[_products(g[i], r[i]) for i in b] for b in groups]
    dot, gg, rr = (_sums([[p[k] for p in b] for b in products], device) for k in range(3))
    conflict = (dot < 0) & (gg > 0)
    coef = torch.where(conflict, -dot / gg, 0.0)
    norms, size = gg.sqrt() * rr.sqrt(), gg.sqrt()
    return Info(torch.where(norms > 0, dot / norms, 0.0), conflict, coef, size, rr.sqrt(), coef * size)


def _half(g: Sequence[Tensor]) -> bool:
    return any(a.dtype != torch.promote_types(a.dtype, torch.float32) for a in g)


def _plus(r: Tensor, g: Tensor, factor: Tensor) -> Tensor:
    """``r + factor g`` in float32 or wider: the two are large where they cancel, and half precision would keep nothing."""
    wide = torch.promote_types(g.dtype, torch.float32)
    return torch.addcmul(r.to(wide), g.to(wide), factor.to(wide))


def _sums(parts: Sequence[Sequence[Tensor]], device: torch.device) -> Tensor:
    """One sum a group, shape ``(groups,)``."""
    zero = torch.zeros((), device=device)
    sums = [torch.stack([t.to(device) for t in p]).sum() if p else zero for p in parts]
    return torch.stack(sums) if sums else torch.zeros(0, device=device)


def _products(a: Tensor, t: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """``<g, r>``, ``<g, g>`` and ``<r, r>`` of one tensor, while it is in the cache."""
    gg = _inner(a, a)
    return (torch.zeros_like(gg), gg, torch.zeros_like(gg)) if t is None else (_inner(a, t), gg, _inner(t, t))


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """``<a, b>`` as a scalar tensor, without a copy where both lie in memory alike."""
    wide = torch.promote_types(a.dtype, torch.float32)
    if a.is_sparse:  # only ever with itself
        a = b = a.coalesce().values()
    if a.ndim == 4 and not a.is_contiguous():  # channels last
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
    return torch.dot(a.to(wide).flatten(), b.to(wide).flatten())


def _check_lists(g: Sequence[Tensor], r: Sequence[Tensor | None]) -> None:
    if len(g) != len(r):
        raise InputError(f"{len(g)} gradients of the loss and {len(r)} of the regulariser: expected one each a parameter")
    for i, (a, b) in enumerate(zip(g, r, strict=True)):
        if b is not None and a.shape != b.shape:
            raise InputError(f"gradient {i} has shape {tuple(a.shape)} in the loss, {tuple(b.shape)} in the regulariser")
        for t in (a, b):
            if t is not None and (t.layout != torch.strided or not t.is_floating_point()):
                raise InputError(f"gradient {i} is {t.layout} {t.dtype}: expected a dense tensor of real numbers")
