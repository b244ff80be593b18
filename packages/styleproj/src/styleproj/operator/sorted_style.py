"""A style as the projection needs it: the sorted values of every channel, kept once and used for any number of contents."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from claimkit.errors import InputError
from claimkit.files import atomic_path
from styleproj.operator.kernels import Kernel, argsort_rows, sort_rows


@dataclass(frozen=True)
class SortedStyle:
    """Sorted values of every channel: the style's one-dimensional distributions, without positions.

    Attributes:
        values: ``(channel, count)`` or ``(batch, channel, count)``, ascending along the last axis.
    """

    values: Tensor
    _resized: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what has no channels or no values."""
        if self.values.ndim not in (2, 3) or self.values.numel() == 0:
            raise InputError(
                f"sorted values have shape (channel, count) or (batch, channel, count), not {tuple(self.values.shape)}"
            )

    @classmethod
    def of(cls, features: Tensor, mask: Tensor | None = None, kernel: Kernel = "auto") -> Self:
        """Sort the channels of features; differentiable where the features ask for a gradient.

        Args:
            features: ``(channel, height, width)`` or ``(batch, channel, height, width)``.
            mask: Positions that count, bool ``(height, width)``; all where it is None.
            kernel: ``"auto"``, ``"compiled"`` or ``"torch"``.

        Raises:
            InputError: Another shape, no position left by the mask, or NaN.
        """
        rows = positions(features)
        if mask is not None:
            if mask.shape != features.shape[-2:] or not mask.any():
                raise InputError(
                    f"a mask of shape {tuple(mask.shape)} with {int(mask.sum())} positions does not select from features of "
                    f"{features.shape[-2]} x {features.shape[-1]}: give one of that size with at least one position"
                )
            rows = rows[..., mask.flatten().bool()]
        flat = rows.reshape(-1, rows.shape[-1])
        if flat.requires_grad and torch.is_grad_enabled():
            return cls(flat.gather(-1, argsort_rows(flat.detach(), kernel)).view(rows.shape))
        return cls(sort_rows(flat.detach(), kernel).view(rows.shape))

    @property
    def count(self) -> int:
        """Values of a channel."""
        return self.values.shape[-1]

    def quantiles(self, count: int) -> Tensor:
        """The quantile function at ``(k + 1/2) / count``, linear between order statistics: ``(..., channel, count)``.

        For ``count`` equal to the style's own it is the sorted values themselves.
        """
        if count == self.count:
            return self.values
        if count not in self._resized or self.values.requires_grad:
            self._resized.clear()  # a video asks for one size again and again, a batch job for many once
            self._resized[count] = self._quantiles(count)
        return self._resized[count]

    def _quantiles(self, count: int) -> Tensor:
        where = (torch.arange(count, dtype=torch.float64) + 0.5) * (self.count / count) - 0.5
        where = where.clamp(0, self.count - 1).to(self.values.device)
        lower = where.long()
        low, high = self.values[..., lower], self.values[..., (lower + 1).clamp(max=self.count - 1)]
        share = (where - lower).to(self.values.dtype)
        return torch.minimum(low + share * (high - low), high)  # rounding must not overtake the next order statistic

    def to(self, device: torch.device | str) -> "SortedStyle":
        """The same on another device."""
        return SortedStyle(self.values.to(device))

    def save(self, path: Path) -> None:
        """Write a safetensors file, atomically."""
        from safetensors.torch import save_file

        with atomic_path(path) as temporary:
            save_file({"values": self.values.detach().cpu().contiguous()}, temporary)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: Not such a file.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return cls(load_file(path)["values"])
        except (SafetensorError, KeyError) as e:
            raise InputError(f"{path} holds no sorted style: give a file written by SortedStyle.save") from e


def barycentre(styles: Sequence[SortedStyle], weights: Sequence[float] | None = None) -> SortedStyle:
    """Wasserstein barycentre of several styles, channel by channel: the weighted mean of their quantile functions.

    In one dimension this is exact: it minimises the weighted sum of squared 2-Wasserstein distances to the styles.

    Args:
        styles: Of the same channels; their counts may differ (the largest is kept).
        weights: Not negative, in any scale; equal where it is None.

    Raises:
        InputError: No styles, other channels, or weights that do not fit.
    """
    weights = [1.0] * len(styles) if weights is None else weights
    if not styles or len(weights) != len(styles) or min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise InputError(f"{len(styles)} styles with weights {list(weights)}: give each style a weight >= 0, not all zero")
    if len({s.values.shape[:-1] for s in styles}) > 1:
        raise InputError("the styles differ in batch or channels: sort them from the same layer of the same encoder")
    count = max(s.count for s in styles)
    total = sum(weights)
    mean = torch.zeros_like(styles[0].quantiles(count))
    for style, weight in zip(styles, weights, strict=True):
        mean = mean + (weight / total) * style.quantiles(count)
    return SortedStyle(mean)


def positions(features: Tensor) -> Tensor:
    """``(..., channel, height, width)`` as ``(..., channel, height * width)``, contiguous.

    Raises:
        InputError: Another number of axes, an empty one, or no floating-point numbers.
    """
    if features.ndim not in (3, 4) or features.numel() == 0 or not features.is_floating_point():
        raise InputError(
            f"features have shape (channel, height, width) or (batch, channel, height, width) and are floating point, "
            f"not {tuple(features.shape)} of {features.dtype}"
        )
    return features.flatten(-2).contiguous()
