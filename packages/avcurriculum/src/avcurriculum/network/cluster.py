"""Soft clustering of the positions of a feature map: the audio and visual content detector of arXiv 2001.09414.

With positions u_1..u_N and clusters c_1..c_K, repeat::

    d_ik = sqrt(max(|u_i - c_k|^2, eps))
    s_ik = exp(-beta d_ik) / sum_j exp(-beta d_ij)
    c_k  = sum_i s_ik u_i / sum_i s_ik

It descends the energy ``sum_ik s_ik d_ik`` and is k-means as beta grows. There is nothing to learn in it, and gradients flow
through every iteration.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from claimkit.errors import InputError

Init = Literal["grid", "farthest"]
Metric = Literal["l2", "sq"]
EPS = 1e-10


class Clusters(NamedTuple):
    """Centres and soft assignments."""

    centers: Float[Tensor, "batch clusters dim"]
    assign: Float[Tensor, "batch clusters positions"]
    """Sums to one over the clusters; computed against the centres before the last update."""


def soft_kmeans(
    u: Float[Tensor, "batch positions dim"],
    k: int,
    iters: int = 4,
    beta: float = 30.0,
    init: Init = "grid",
    metric: Metric = "l2",
    normalize: bool = False,
    mask: Bool[Tensor, "batch positions"] | None = None,
) -> Clusters:
    """Cluster the positions of each sample softly.

    Args:
        u: Positions, ``(batch, N, dim)``, floating.
        k: Number of clusters K, from 1 to N.
        iters: Iterations; 0 gives the initial centres and the assignment to them.
        beta: Sharpness, positive; ``math.inf`` is hard k-means (Lloyd), where an empty cluster keeps its centre.
        init: ``"grid"`` takes positions evenly spaced in raster order (the reference); ``"farthest"`` starts at the position
            farthest from the mean and adds the one farthest from those chosen.
        metric: d_ik is the distance (``"l2"``, the reference) or its square (``"sq"``).
        normalize: Scale positions to unit length first; distances are then in [0, 2].
        mask: True where a position counts; at least K in each sample.

    Returns:
        Centres ``(batch, K, dim)`` and assignments ``(batch, K, N)``; assignments of masked positions are zero.

    Raises:
        InputError: K is larger than the number of positions, or an argument is out of range.

    >>> u = torch.tensor([[[0.0], [0.2], [5.0], [5.2]]])
    >>> soft_kmeans(u, 2).centers.squeeze().round(decimals=3)
    tensor([0.1000, 5.1000])
    """
    _check(u, k, iters, beta, mask)
    if normalize:
        u = nn.functional.normalize(u, dim=-1)
    # Distances do not change when the mean is taken out, but |c|^2 - 2cu + |u|^2 then loses fewer digits.
    center = u.mean(1, keepdim=True)
    u = u - center
    u_square = u.square().sum(-1)[:, None]
    c = _start(u, k, init, mask)
    assign = _assign(u, u_square, c, beta, metric, mask)
    for i in range(iters):
        if i:
            assign = _assign(u, u_square, c, beta, metric, mask)
        if math.isinf(beta):
            weight = assign.exp()
            mass = weight.sum(-1, keepdim=True)
            c = torch.where(mass > 0, weight @ u / mass.clamp(min=1), c)
        else:  # the weighted mean by a softmax over positions: exact even where the whole mass of a cluster underflows
            c = assign.softmax(-1) @ u
    return Clusters(c + center, assign.exp())


def energy(u: Float[Tensor, "batch positions dim"], clusters: Clusters, normalize: bool = False) -> Float[Tensor, " batch"]:
    """``mean_i sum_k s_ik d_ik``: how far positions are from their clusters; ``normalize`` as in the clustering."""
    u = nn.functional.normalize(u, dim=-1) if normalize else u
    return (clusters.assign * torch.cdist(clusters.centers, u)).sum(1).mean(-1)


class SoftKMeans(nn.Module):
    """:func:`soft_kmeans` as a module without parameters; ``k`` can be given anew in each call."""

    def __init__(
        self,
        k: int = 2,
        iters: int = 4,
        beta: float = 30.0,
        init: Init = "grid",
        metric: Metric = "l2",
        normalize: bool = False,
    ) -> None:
        super().__init__()
        self.k, self.iters, self.beta = k, iters, beta
        self.init: Init = init
        self.metric: Metric = metric
        self.normalize = normalize

    def forward(self, u: Tensor, k: int | None = None, mask: Tensor | None = None) -> Clusters:
        """Cluster ``u`` ``(batch, N, dim)``; see :func:`soft_kmeans`."""
        chosen = self.k if k is None else k
        return soft_kmeans(u, chosen, self.iters, self.beta, self.init, self.metric, self.normalize, mask)

    def extra_repr(self) -> str:
        """The settings."""
        return f"k={self.k}, iters={self.iters}, beta={self.beta}, init={self.init!r}, normalize={self.normalize}"


def _assign(
    u: Tensor, u_square: Tensor, c: Tensor, beta: float, metric: Metric, mask: Tensor | None
) -> Float[Tensor, "batch clusters positions"]:
    """Log s_ik; minus infinity at masked positions."""
    square = torch.baddbmm(u_square + c.square().sum(-1, keepdim=True), c, u.mT, alpha=-2).clamp(min=EPS)
    d = square.sqrt() if metric == "l2" else square
    if math.isinf(beta):
        hard = torch.zeros_like(d).scatter_(1, d.argmin(1, keepdim=True), 1.0)
        log_s = hard.log()
    else:
        log_s = (-beta * d).log_softmax(1)
    return log_s if mask is None else log_s.masked_fill(~mask[:, None], -math.inf)


def _start(u: Tensor, k: int, init: Init, mask: Tensor | None) -> Tensor:
    batch, n, _ = u.shape
    rows = torch.arange(batch, device=u.device)
    if init == "grid":
        if mask is None:
            return u[:, [n // k * j for j in range(k)]]
        order = (~mask).long().argsort(dim=1, stable=True)  # the valid positions first, in raster order
        pick = (mask.sum(1) // k)[:, None] * torch.arange(k, device=u.device)
        return u[rows[:, None], order.gather(1, pick)]
    with torch.no_grad():
        valid = torch.ones(batch, n, dtype=torch.bool, device=u.device) if mask is None else mask
        mean = (u * valid[..., None]).sum(1, keepdim=True) / valid.sum(1)[:, None, None]
        gap = (u - mean).square().sum(-1).masked_fill(~valid, -1)
        chosen = [gap.argmax(1)]
        gap = torch.full_like(gap, math.inf).masked_fill(~valid, -1)
        for _ in range(k - 1):
            last = u[rows, chosen[-1]][:, None]
            gap = torch.minimum(gap, (u - last).square().sum(-1))
            chosen.append(gap.argmax(1))
    return u[rows[:, None], torch.stack(chosen, 1)]


def _check(u: Tensor, k: int, iters: int, beta: float, mask: Tensor | None) -> None:
    if u.ndim != 3 or not u.is_floating_point():
        raise InputError(f"positions have shape {tuple(u.shape)} and type {u.dtype}: expected floating (batch, N, dim)")
    n = u.shape[1] if mask is None else int(mask.sum(1).min())
    if not 1 <= k <= n:
        raise InputError(f"K = {k} clusters of {n} positions: K must be between 1 and the number of positions")
    if iters < 0 or not beta > 0:
        raise InputError(f"iters = {iters}, beta = {beta}: expected iters >= 0 and beta > 0")
