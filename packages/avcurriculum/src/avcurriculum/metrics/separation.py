"""Separation: SDR, SIR, SAR (BSS Eval 3, sources), NSDR, and the scale-invariant SDR."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from claimkit.errors import InputError

SILENT = 1e-5
"""A source or estimate whose absolute values sum to no more is silent."""


class Separation(NamedTuple):
    """Decibels, one a source; nan where the source or its estimate is silent."""

    sdr: Float[NDArray, " sources"]
    sir: Float[NDArray, " sources"]
    sar: Float[NDArray, " sources"]


def bss_eval(
    reference: Float[NDArray, "sources samples"], estimate: Float[NDArray, "sources samples"], taps: int = 512
) -> Separation:
    """BSS Eval 3 with filters of ``taps``, sources in the given order (``mir_eval``'s with ``compute_permutation=False``).

    Silent sources and estimates are left out: their rows are nan, and the others are measured without them.

    Args:
        reference: True sources.
        estimate: Their estimates, same shape.
        taps: Length of the distortion filters that are forgiven.
    """
    import torch  # fast_bss_eval's numpy form fails on numpy 2
    from fast_bss_eval import bss_eval_sources

    reference, estimate = np.asarray(reference, float), np.asarray(estimate, float)
    if reference.shape != estimate.shape or reference.ndim != 2:
        raise InputError(f"references {reference.shape}, estimates {estimate.shape}: expected one (sources, samples) shape")
    _check_finite(reference, estimate)
    out = np.full((3, len(reference)), np.nan)
    audible = (np.abs(reference).sum(1) > SILENT) & (np.abs(estimate).sum(1) > SILENT)
    if audible.any():
        pair: Any = (torch.from_numpy(np.ascontiguousarray(x[audible])) for x in (reference, estimate))
        found: Any = bss_eval_sources(*pair, filter_length=taps, compute_permutation=False)
        out[:, audible] = [x.numpy() for x in found]
    return Separation(*out)


def nsdr(
    reference: Float[NDArray, "sources samples"],
    estimate: Float[NDArray, "sources samples"],
    mixture: Float[NDArray, " samples"],
) -> Float[NDArray, " sources"]:
    """SDR of the estimate less that of the mixture in its place."""
    before = bss_eval(reference, np.broadcast_to(mixture, np.shape(reference)))
    return bss_eval(reference, estimate).sdr - before.sdr


def si_sdr(
    reference: Float[NDArray, "*sources samples"], estimate: Float[NDArray, "*sources samples"]
) -> Float[NDArray, "*sources"]:
    """``10 log10(|a s|^2 / |a s - e|^2)`` with ``a = <e, s> / |s|^2``, in dB; nan where either is silent.

    >>> s = np.array([1.0, -1.0, 1.0, -1.0])
    >>> float(si_sdr(s, 3 * (s + np.array([0.1, 0.1, 0.1, 0.1])))).__round__(6)
    20.0
    """
    s, e = np.asarray(reference, float), np.asarray(estimate, float)
    _check_finite(s, e)
    power = (s**2).sum(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        target = (e * s).sum(-1, keepdims=True) / power * s
        ratio = (target**2).sum(-1) / ((target - e) ** 2).sum(-1)
        out = 10 * np.log10(ratio)
    silent = (np.abs(s).sum(-1) <= SILENT) | (np.abs(e).sum(-1) <= SILENT)
    return np.where(silent, np.nan, out)


def _check_finite(*waves: NDArray[np.float64]) -> None:
    """Refuse what would be taken for silence, and left out of a mean."""
    if not all(np.isfinite(w).all() for w in waves):
        raise InputError("a reference or an estimate is not finite: nothing can be measured by it")


def audible_mean(decibels: Float[NDArray, "..."]) -> float:
    """Mean of the values that are not nan: what is silent is left out; nan where nothing else is there.

    >>> audible_mean(np.array([1.0, np.nan, 3.0])), audible_mean(np.array([np.nan]))
    (2.0, nan)
    """
    kept = np.asarray(decibels, float)
    kept = kept[~np.isnan(kept)]
    return float(kept.mean()) if kept.size else float("nan")
