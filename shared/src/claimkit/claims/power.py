"""What a claim can see: the smallest effect that its number of values tells from none, stated before the run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from claimkit.errors import InputError

CHANCE = 0.8
"""Chance with which the smallest effect is seen (Cohen 1988, chapter 2)."""


@dataclass(frozen=True, kw_only=True)
class Power:
    """The smallest effect that a claim can see, beside the one it asks about; made by :func:`power`."""

    asks: float
    """Effect that the criterion asks about."""
    sees: Mapping[str, float]
    """Smallest effect that is told from 0 with a chance of 80 %, by preset."""
    spread: float
    """Standard deviation of one independent value, from a pilot."""
    n: Mapping[str, int]
    """Independent values, by preset."""
    pilot: str
    """What was run for the spread."""
    unit: str = ""

    def __str__(self) -> str:
        """``asks about 0.5 points; sees 0.4 at small (n 12) ...``."""
        unit = f" {self.unit}" if self.unit else ""
        seen = ", ".join(f"{v:.3g} at {p} (n {self.n[p]})" for p, v in self.sees.items())
        return f"asks about {self.asks:.3g}{unit}; sees {seen}; spread {self.spread:.3g}, {self.pilot}"

    def lacking(self, preset: str) -> str | None:
        """Why the preset cannot decide the claim and how many values could, in a sentence; None where it can."""
        if preset not in self.sees or self.sees[preset] <= self.asks:
            return None
        needed = f"{values_needed(self.asks, self.spread)} are needed"
        seen = f"{self.n[preset]} values see an effect of {self.sees[preset]:.3g}"
        return f"{seen}, the claim asks about {self.asks:.3g}: {needed}"


def smallest_effect(spread: float, n: int, chance: float = CHANCE, confidence: float = 0.95) -> float:
    """Smallest mean that n values of this standard deviation tell from 0 with the given chance (two-sided t-test).

    The root in d of ``P(T > t_q) = chance``, T noncentral t of n - 1 degrees and noncentrality ``d sqrt(n) / spread``.

    >>> round(smallest_effect(1.0, 34), 2)
    0.5

    Raises:
        InputError: ``spread`` is not positive, or n below 2.
    """
    from scipy.optimize import brentq
    from scipy.stats import nct, t

    if not (spread > 0 and n >= 2):
        raise InputError(f"power needs a positive spread and n >= 2, not {spread} and {n}: measure a pilot")
    critical = t.ppf((1 + confidence) / 2, n - 1)
    root: Any = brentq(lambda c: nct.sf(critical, n - 1, c) - chance, 0, 10 * critical + 10)
    return float(root) * spread / n**0.5


def values_needed(asks: float, spread: float, chance: float = CHANCE, confidence: float = 0.95) -> int:
    """Fewest values of this standard deviation whose :func:`smallest_effect` is at most ``asks``, a positive number.

    >>> values_needed(0.5, 1.0)
    34

    Raises:
        InputError: ``asks`` or ``spread`` is not positive.
    """
    if not asks > 0:
        raise InputError(f"asks = {asks}: expected a positive effect")
    few, many = 1, 2
    while smallest_effect(spread, many, chance, confidence) > asks:
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        enough = smallest_effect(spread, middle, chance, confidence) <= asks
        few, many = (few, middle) if enough else (middle, many)
    return many


def power(asks: float, spread: float, n: Mapping[str, int], pilot: str, unit: str = "") -> Power:
    """What a claim can see, for its field ``power``: stated with the criterion, before the run.

    Args:
        asks: The effect that the criterion asks about, such as its margin.
        spread: Standard deviation of one independent value (a paired difference, a group's mean) in a pilot.
        n: Independent values at each preset.
        pilot: What was run for the spread, and how often.
        unit: Of the effect.
    """
    sees = {preset: smallest_effect(spread, count) for preset, count in n.items()}
    return Power(asks=asks, sees=sees, spread=spread, n=n, pilot=pilot, unit=unit)
