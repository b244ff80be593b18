"""The few statistics that every comparison needs, in one place: thin names over scipy.

Which interval a mean gets, and what it covers (tested by coverage, 2500 samples a size):

- Student's t below ten values: 95 % for normal samples at every n >= 2. Differences of exchangeable pairs are symmetric,
  which is what it needs; the mean of lognormal values (sigma 1) it covers 82 to 89 % of the time.
- The bootstrap-t from ten on (Hall 1988, Annals of Statistics 16): 95 % for normal samples, 93 to 95 % for
  moderately skewed ones.
- ``shape="lognormal"``, for positive skewed values such as errors and seconds: Krishnamoorthy and Mathew's generalised
  interval (2003, Journal of Statistical Planning and Inference 115), 95 % from five values on, refused below.

No interval of a mean holds for every distribution (Bahadur and Savage 1956): state the shape before the run.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from claimkit.claims import Estimate
from claimkit.claims.power import power as power
from claimkit.claims.power import smallest_effect as smallest_effect
from claimkit.claims.power import values_needed as values_needed
from claimkit.errors import InputError

CONFIDENCE = 0.95
RESAMPLES = 9_999
FEW = 10
"""Below so many values Student's t is used; from there on the bootstrap-t."""
FEWEST_SKEWED = 5
"""Fewest lognormal values that bound their mean from above."""

Shape = Literal["symmetric", "lognormal"]


def mean_interval(
    values: ArrayLike, name: str = "mean", unit: str = "", confidence: float = CONFIDENCE, shape: Shape = "symmetric"
) -> Estimate:
    """Mean of a sample of independent values with its interval; see the module for which and what it covers.

    Args:
        values: Shape ``(n,)``, n >= 2; where several belong together (seeds of a task, pictures of a content), their
            means by :func:`group_means`.
        name: Name of the estimate.
        unit: Unit of the values.
        confidence: Coverage of the interval.
        shape: ``"lognormal"`` for positive, skewed values.

    Raises:
        InputError: Fewer than two values, or one that is not finite; lognormal ones that are fewer than five or not
            positive.
    """
    x = _sample(values)
    mean = float(x.mean())
    if np.ptp(x) == 0:
        return Estimate(name, mean, mean, mean, unit)
    low, high = interval_ends(x, confidence, shape)
    return Estimate(name, mean, float(low), float(high), unit)


def interval_ends(
    x: NDArray[np.float64], confidence: float = CONFIDENCE, shape: Shape = "symmetric"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper ends of the intervals of many samples at once, shape ``(..., n)``; :func:`mean_interval` is of one."""
    from scipy.stats import t

    n, mean = x.shape[-1], x.mean(axis=-1)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    if shape == "lognormal":
        return _lognormal(x, tails)
    low, high = (mean * 0 + q for q in t.ppf(tails, n - 1)) if n < FEW else _studentized(x, tails)
    error = x.std(axis=-1, ddof=1) / np.sqrt(n)
    return mean - high * error, mean - low * error


def ratio_interval(ratios: ArrayLike, name: str = "ratio", unit: str = "", confidence: float = CONFIDENCE) -> Estimate:
    """Geometric mean of positive ratios with its interval, ``exp`` of that of their logarithms; exact for lognormal ones.

    For seconds over those of a reference in the same round (:func:`claimkit.bench.turns`). Shape ``(n,)``, n >= 2.

    Raises:
        InputError: Fewer than two ratios, or one that is not positive and finite.
    """
    x = _sample(ratios)
    if (x <= 0).any():
        raise InputError("a ratio that is not positive has no logarithm: take differences instead")
    e = mean_interval(np.log(x), confidence=confidence)
    assert e.low is not None and e.high is not None
    return Estimate(name, float(np.exp(e.value)), float(np.exp(e.low)), float(np.exp(e.high)), unit)


def paired_difference(a: ArrayLike, b: ArrayLike, name: str = "difference", unit: str = "") -> Estimate:
    """Mean of ``a - b`` over pairs (same seed, same data), with its interval; shapes ``(n,)``."""
    return mean_interval(_paired(a, b), name, unit)


def group_means(values: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Mean of each group, in sorted order of the groups: the independent values where those of a group are alike.

    The groups are what a claim generalises over (contents, tasks); their means resampled is nested resampling with the
    first level alone, which is right at any number of values a group (Davison and Hinkley 1997, section 3.8).

    >>> group_means([1, 3, 10], ["a", "a", "b"]).tolist()
    [2.0, 10.0]
    """
    x, (_, index) = np.asarray(values, dtype=float), np.unique(np.asarray(groups), return_inverse=True)
    if x.shape != index.shape:
        raise InputError(f"every value has its group: {x.size} values are not {index.size} groups")
    return np.bincount(index, x) / np.bincount(index)


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


@dataclass(frozen=True)
class NonInferiority:
    """Whether a is at most a margin worse than b; larger is better."""

    headroom: Estimate
    """Mean of ``a - b + margin`` with its interval; its lower end above 0 says: not inferior."""
    p: float
    """One-sided p-value of "worse by at least the margin", for Holm where any of several claims would do."""

    @property
    def holds(self) -> bool:
        """Not inferior: the whole interval is above 0. Where all of several must hold, each is judged at its own 95 %."""
        return self.headroom.low is not None and self.headroom.low > 0


def non_inferiority(a: ArrayLike, b: ArrayLike, margin: ArrayLike, name: str = "a - b + margin") -> NonInferiority:
    """Judge "a is at most ``margin`` worse than b" by the two-sided 95 % interval of pairs (ICH E9, section 3.3.2).

    Larger is better: for errors give ``-a`` and ``-b``. All of several comparisons hold only if each does, without
    adjustment (intersection-union test, Berger 1982). That a is *within* the margin takes a second call with a and b
    exchanged.

    Args:
        a: Values that must not be worse, shape ``(n,)``.
        b: Paired values of the reference.
        margin: Positive, in the unit of the values; or of shape ``(n,)``, a share of a gap that is measured on the same
            pairs, so that the uncertainty of the gap counts.
        name: Name of the estimate.

    Raises:
        InputError: No pairs, or a margin whose mean is not positive.
    """
    from scipy.stats import ttest_1samp

    if not np.mean(m := np.asarray(margin, dtype=float)) > 0:
        raise InputError(f"a non-inferiority margin is positive, not {m.mean():g}: state how much worse is still acceptable")
    difference = _paired(a, b)
    x = _sample(difference + m if m.ndim == 0 else _paired(difference, -m))
    if np.ptp(x) == 0:
        return NonInferiority(mean_interval(x, name), float(x[0] <= 0))
    test: Any = ttest_1samp(x, 0.0, alternative="greater")
    return NonInferiority(mean_interval(x, name), float(test.pvalue))


@dataclass(frozen=True)
class PowerLaw:
    """``y ~ C x^slope``, fitted by least squares in logarithms."""

    slope: float
    standard_error: float
    points: int

    def estimate(self, name: str = "slope") -> Estimate:
        """The slope with its interval by Student's t of ``points - 2`` degrees.

        Raises:
            InputError: Two points, through which every line is exact.
        """
        from scipy.stats import t

        if self.points < 3:
            raise InputError("two points determine a slope and leave nothing for its interval: measure a third")
        half = float(t.ppf((1 + CONFIDENCE) / 2, self.points - 2)) * self.standard_error
        return Estimate(name, self.slope, self.slope - half, self.slope + half)


def power_law(x: ArrayLike, y: ArrayLike) -> PowerLaw:
    """Observed order of convergence: the slope of log y against log x; shapes ``(n,)``, positive values.

    Raises:
        InputError: A value that is not positive and finite, and so has no logarithm.

    >>> round(power_law([1, 2, 4], [3, 12, 48]).slope, 12)
    2.0
    """
    from scipy.stats import linregress

    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if not all((v > 0).all() and np.isfinite(v).all() for v in (x, y)):
        raise InputError(
            "a value that is zero, negative or not finite has no logarithm: leave it out of the fit, and say so"
        )
    fit: Any = linregress(np.log(x), np.log(y))
    return PowerLaw(float(fit.slope), float(fit.stderr), x.size)


def _studentized(x: NDArray[np.float64], tails: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles of (mean of a resample - mean) / its own standard error; resamples of ties alone have none and drop out."""
    n, rng = x.shape[-1], np.random.default_rng(0)
    y, drawn = x - x.mean(axis=-1, keepdims=True), []
    for start in range(0, RESAMPLES, step := max(1, 10**6 // n)):
        counts = rng.multinomial(n, np.full(n, 1 / n), min(step, RESAMPLES - start)).T / n
        mean = y @ counts
        variance = np.square(y) @ counts - np.square(mean)
        alike = variance <= 1e-12 * np.square(np.ptp(y, axis=-1, keepdims=True))
        drawn.append(np.where(alike, np.nan, mean / np.sqrt(np.where(alike, 1, variance) / (n - 1))))
    low, high = np.nanquantile(np.concatenate(drawn, axis=-1), tails, axis=-1)
    return low, high


def _lognormal(x: NDArray[np.float64], tails: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantiles of the generalised pivotal quantity of ``exp(mu + sigma^2 / 2)``, fixed seed."""
    n, rng = x.shape[-1], np.random.default_rng(0)
    if n < FEWEST_SKEWED:
        raise InputError(
            f"{n} lognormal values do not bound their mean from above: measure {FEWEST_SKEWED} or more, or judge the "
            "geometric mean (ratio_interval)"
        )
    if (x <= 0).any():
        raise InputError("lognormal values are positive, these are not: give shape='symmetric'")
    y = np.log(x)
    variance = y.var(axis=-1, ddof=1)[..., None] * ((n - 1) / rng.chisquare(n - 1, RESAMPLES))
    drawn = y.mean(axis=-1)[..., None] + rng.standard_normal(RESAMPLES) * np.sqrt(variance / n) + variance / 2
    low, high = np.exp(np.quantile(drawn, tails, axis=-1))
    return low, high


def _sample(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or x.size < 2 or not np.isfinite(x).all():
        raise InputError(f"an interval needs a vector of at least two finite values, not shape {x.shape}: run more seeds")
    return x


def _paired(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise InputError(f"paired samples must have one shape, not {a.shape} and {b.shape}: pair them by seed")
    return a - b
