"""The few statistics that every comparison needs, in one place: thin names over scipy."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from claimkit.claims import Estimate
from claimkit.errors import InputError

CONFIDENCE = 0.95
RESAMPLES = 9_999


def mean_interval(values: ArrayLike, name: str = "mean", unit: str = "", confidence: float = CONFIDENCE) -> Estimate:
    """Mean of a sample with its BCa bootstrap interval (10^4 resamples, fixed seed).

    Args:
        values: Shape ``(n,)``, n >= 2.
        name: Name of the estimate.
        unit: Unit of the values.
        confidence: Coverage of the interval.

    Raises:
        InputError: Fewer than two values, or one that is not finite.
    """
    from scipy.stats import bootstrap

    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or x.size < 2 or not np.isfinite(x).all():
        raise InputError(f"an interval needs a vector of at least two finite values, not shape {x.shape}: run more seeds")
    mean = float(x.mean())
    if np.ptp(x) == 0:
        return Estimate(name, mean, mean, mean, unit)
    interval = bootstrap((x,), np.mean, confidence_level=confidence, n_resamples=RESAMPLES, rng=0).confidence_interval
    return Estimate(name, mean, float(interval.low), float(interval.high), unit)


def paired_difference(a: ArrayLike, b: ArrayLike, name: str = "difference", unit: str = "") -> Estimate:
    """Mean of ``a - b`` over pairs (same seed, same data), with its bootstrap interval; shapes ``(n,)``."""
    return mean_interval(_paired(a, b), name, unit)


def standard_error(values: ArrayLike) -> float:
    """Standard error of the mean of a sample of shape ``(n,)``."""
    x = np.asarray(values, dtype=float)
    return float(x.std(ddof=1) / np.sqrt(x.size))


def in_standard_errors(values: ArrayLike) -> float:
    """Mean of a sample divided by its standard error; for paired differences, the size of an effect."""
    return float(np.mean(np.asarray(values, dtype=float)) / standard_error(values))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjustment (Holm 1979): the adjusted p-values, in the order given.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1)
    return adjusted


def non_inferiority(a: ArrayLike, b: ArrayLike, margin: float) -> float:
    """p-value of "a is worse than b by at least ``margin``" (larger is better), by the one-sided paired t-test.

    A small value says: a is not inferior. Shapes ``(n,)``; ``margin > 0`` in the unit of the values.
    """
    from scipy.stats import ttest_1samp

    if margin <= 0:
        raise InputError(f"a non-inferiority margin is positive, not {margin}: state how much worse is still acceptable")
    test: Any = ttest_1samp(_paired(a, b), -margin, alternative="greater")
    return float(test.pvalue)


@dataclass(frozen=True)
class PowerLaw:
    """``y ~ C x^slope``, fitted by least squares in logarithms."""

    slope: float
    standard_error: float

    def estimate(self, name: str = "slope") -> Estimate:
        """The slope with two standard errors on either side."""
        return Estimate(name, self.slope, self.slope - 2 * self.standard_error, self.slope + 2 * self.standard_error)


def power_law(x: ArrayLike, y: ArrayLike) -> PowerLaw:
    """Observed order of convergence: the slope of log y against log x; shapes ``(n,)``, positive values.

    >>> round(power_law([1, 2, 4], [3, 12, 48]).slope, 12)
    2.0
    """
    from scipy.stats import linregress

    fit: Any = linregress(np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float)))
    return PowerLaw(float(fit.slope), float(fit.stderr))


def _paired(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise InputError(f"paired samples must have one shape, not {a.shape} and {b.shape}: pair them by seed")
    return a - b
