"""Style projection: "Parameter-Free Style Projection for Arbitrary Style Transfer" (arXiv 2003.07694), section 3.

Each channel of the content features keeps the order of its values and takes the style's values: with ``i`` the positions of
the content sorted ascending and ``t`` the sorted style, ``z[i[k]] = t[k]``. It is the optimal transport map between the two
distributions of a channel, and the same operator as the sort matching of EFDM (arXiv 2203.07740).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from claimkit.errors import InputError
from styleproj.operator.kernels import Kernel, argsort_rows, level_ties, project_rows
from styleproj.operator.sorted_style import SortedStyle, positions

Ties = Literal["stable", "average", "random", "local-mean"]
Gradient = Literal["exact", "straight-through"]


def project(
    content: Tensor,
    style: Tensor | SortedStyle,
    alpha: float | Tensor = 1.0,
    *,
    ties: Ties = "stable",
    seed: int = 0,
    gradient: Gradient = "exact",
    kernel: Kernel = "auto",
) -> Tensor:
    r"""Give every channel of the content the style's values in the content's rank order.

    .. math:: z_{i_k} = t_k, \quad z_\alpha = \alpha z + (1 - \alpha) x

    with :math:`x_{i_0} \le x_{i_1} \le \dots` the content and :math:`t` the sorted style. Where the sizes differ, it
    is the style's quantile function at :math:`(k + 1/2) / N`, linear between order statistics.

    Args:
        content: ``(channel, height, width)`` or ``(batch, channel, height, width)``, floating point.
        style: Features of the same channels, any height and width, one or a batch; or a :class:`SortedStyle`.
        alpha: 0 is the content, 1 the projection; a number in [0, 1], or a map that broadcasts over the content.
        ties: Order among equal values of a channel (after a ReLU, its zeros). ``stable``: that of positions, row by row.
            ``random``: a random order of positions drawn from ``seed``. ``local-mean``: by the mean of the 5 x 5 values
            around, so that what continues a surface stays together. These three give the style's distribution exactly.
            ``average``: equal values stay equal and get the mean of the style values that they span.
        seed: Of ``random``.
        gradient: ``exact``: a permutation to the style, nothing to the content (but for ``1 - alpha``).
            ``straight-through``: additionally the identity to the content, as ``x + (z - x).detach()``.
        kernel: ``auto`` uses the compiled kernel where it can work; ``compiled`` or ``torch`` insist.

    Returns:
        As the content, in its dtype.

    Raises:
        InputError: Shapes that do not fit, ``alpha`` outside [0, 1], or NaN.

    >>> x, s = torch.tensor([[[0.0, 3.0, 1.0]]]), torch.tensor([[[30.0, 10.0, 20.0]]])
    >>> project(x, s)
    tensor([[[10., 30., 20.]]])
    >>> project(x, s, alpha=0.5)
    tensor([[[ 5.0000, 16.5000, 10.5000]]])
    """
    if not isinstance(alpha, Tensor) and not 0 <= alpha <= 1:
        raise InputError(f"alpha = {alpha} is outside [0, 1]: 0 is the content, 1 the projection")
    if ties not in ("stable", "average", "random", "local-mean"):
        raise InputError(f"ties = {ties!r} is none of stable, average, random, local-mean")
    if content.dtype in (torch.float16, torch.bfloat16):  # exact in float32, where the kernel works
        wide = SortedStyle(style.values.float()) if isinstance(style, SortedStyle) else style.float()
        return project(content.float(), wide, alpha, ties=ties, seed=seed, gradient=gradient, kernel=kernel).to(
            content.dtype
        )
    x = positions(content)
    s, ordered = _style_rows(x, style)
    flat_x, flat_s = x.view(-1, x.shape[-1]), s.reshape(-1, s.shape[-1])
    order = _tie_order(content, ties, seed, kernel)
    learns = torch.is_grad_enabled() and (content.requires_grad or s.requires_grad)
    strength = 1.0 if learns or isinstance(alpha, Tensor) else alpha
    ranked = flat_x if order is None else flat_x.gather(-1, order)
    if learns:
        z = _differentiable(ranked.detach(), flat_s, ordered, ties == "average", kernel)
    else:
        level = ties == "average"
        z = project_rows(ranked.detach(), flat_s.detach(), strength, level=level, ordered=ordered, kernel=kernel)
    if order is not None:
        z = torch.empty_like(z).scatter(-1, order, z)
    z = z.view(content.shape)
    if learns or isinstance(alpha, Tensor):
        z = alpha * z + (1 - alpha) * content
        if gradient == "straight-through":
            z = z + alpha * (content - content.detach())
    return z


def project_regions(
    content: Tensor,
    style: Tensor,
    content_labels: Tensor,
    style_labels: Tensor,
    alpha: float = 1.0,
    *,
    ties: Ties = "stable",
    seed: int = 0,
    gradient: Gradient = "exact",
    kernel: Kernel = "auto",
) -> Tensor:
    """Project region by region: positions of a label get the values of the style's positions of that label.

    Args:
        content: ``(channel, height, width)`` or ``(batch, channel, height, width)``.
        style: The same channels, any height and width.
        content_labels: Integers, ``(height, width)`` of the content.
        style_labels: Integers, ``(height, width)`` of the style. Regions whose label the style lacks stay as they are.
        alpha: In [0, 1].
        ties: As in :func:`project`; ``local-mean`` looks at whole features, and is not offered here.
        seed: Of ``random``.
        gradient: As in :func:`project`.
        kernel: As in :func:`project`.

    Raises:
        InputError: Labels of another size than the features.
    """
    for name, labels, features in (("content", content_labels, content), ("style", style_labels, style)):
        if labels.shape != features.shape[-2:]:
            raise InputError(
                f"{name} labels are {' x '.join(map(str, labels.shape))}, the features "
                f"{features.shape[-2]} x {features.shape[-1]}: give a label for every position"
            )
    if ties == "local-mean":
        raise InputError("regions have no 5 x 5 neighbourhoods: use ties 'stable', 'average' or 'random'")
    x, s = positions(content), positions(style)
    z = x.clone()
    for label in content_labels.unique():
        here, there = (content_labels == label).flatten(), (style_labels == label).flatten()
        if there.any():
            part = x[..., here].unsqueeze(-2), s[..., there].unsqueeze(-2)
            z[..., here] = project(*part, alpha, ties=ties, seed=seed, gradient=gradient, kernel=kernel).squeeze(-2)
    return z.view(content.shape)


class StyleProjection(nn.Module):
    """:func:`project` as a layer without parameters.

    Args:
        alpha: Strength in [0, 1].
        ties: Order among equal values.
        seed: Of ``ties="random"``.
        gradient: ``exact`` or ``straight-through``.
    """

    def __init__(self, alpha: float = 1.0, ties: Ties = "stable", seed: int = 0, gradient: Gradient = "exact") -> None:
        super().__init__()
        self.alpha = alpha
        self.ties: Ties = ties
        self.seed = seed
        self.gradient: Gradient = gradient

    def forward(self, content: Tensor, style: Tensor | SortedStyle) -> Tensor:
        """Project the content on the style; shapes as in :func:`project`."""
        return project(content, style, self.alpha, ties=self.ties, seed=self.seed, gradient=self.gradient)

    def extra_repr(self) -> str:
        """Options, for printing."""
        return f"alpha={self.alpha}, ties={self.ties!r}, gradient={self.gradient!r}"


def _style_rows(x: Tensor, style: Tensor | SortedStyle) -> tuple[Tensor, bool]:
    """Style values ``(..., channel, N)`` for content ``x``, and whether they are sorted."""
    if isinstance(style, SortedStyle):
        s, ordered = style.quantiles(x.shape[-1]), True
    else:
        s, ordered = positions(style), False
        if s.shape != x.shape:  # another size, or one style for several contents: sort once
            s, ordered = SortedStyle.of(style).quantiles(x.shape[-1]), True
    fits = s.shape[-2] == x.shape[-2] and (s.ndim == 2 or s.shape[0] == 1 or s.shape[:-2] == x.shape[:-2])
    if not fits or s.dtype != x.dtype or s.device != x.device:
        raise InputError(
            f"content of {tuple(x.shape[:-1])} channels ({x.dtype}, {x.device}) and style of {tuple(s.shape[:-1])} "
            f"({s.dtype}, {s.device}) do not fit: take both from the same layer, with one style or one for each content"
        )
    if s.ndim == 3 and x.ndim == 2:
        s = s[0]
    return s.expand(x.shape), ordered


def _tie_order(content: Tensor, ties: Ties, seed: int, kernel: Kernel) -> Tensor | None:
    """Positions ``(rows, size)`` in the order in which equal values shall rank; None for the order of positions."""
    if ties == "random":
        generator = torch.Generator().manual_seed(seed)
        size = content.shape[-2] * content.shape[-1]
        order = torch.randperm(size, generator=generator).to(content.device)
        return order.expand(content.shape[:-2].numel(), size)
    if ties == "local-mean":
        mean = nn.functional.avg_pool2d(content.detach(), 5, stride=1, padding=2, count_include_pad=False)
        return argsort_rows(mean.flatten(-2).flatten(0, -2), kernel)
    return None


def _differentiable(x: Tensor, s: Tensor, ordered: bool, level: bool, kernel: Kernel) -> Tensor:
    """The projection out of operations that torch differentiates with respect to the style."""
    order = argsort_rows(x, kernel)
    t = s if ordered else s.gather(-1, argsort_rows(s.detach(), kernel))
    return torch.empty_like(x).scatter(-1, order, level_ties(x.gather(-1, order), t) if level else t)
