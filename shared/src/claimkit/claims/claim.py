"""What a paper says and what follows from a measurement: the claim, a number with its interval, the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from claimkit.claims.power import Power
from claimkit.errors import InputError

Preset = Literal["smoke", "small", "full", "paper"]
PRESETS: tuple[Preset, ...] = get_args(Preset)
VerdictKind = Literal["reproduced", "direction reproduced", "not reproduced", "not run"]
VERDICTS: tuple[VerdictKind, ...] = get_args(VerdictKind)

Values = Mapping[str, Any]
"""What one seed measured, JSON as it stands: names to numbers, text, lists or objects of these."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence of a paper, and what will count as reproducing it; written before the run, never tuned after it.

    Attributes:
        id: Short and unique in the package, such as ``"M3"``.
        title: A few words for tables.
        paper: arXiv identifier.
        where: Where the paper says it (section, theorem), or "derived" for a consequence that we state.
        statement: The claim in one sentence.
        reported: What the paper reports, or "not available" where we could not read it.
        criterion: What must be measured for *reproduced*.
        tolerance: Why the criterion is as wide as it is.
        power: Smallest effect that is seen at each preset; a preset that sees too little is *not run*, with this reason.
    """

    id: str
    title: str
    paper: str
    where: str
    statement: str
    criterion: str
    tolerance: str
    reported: str = "not available"
    power: Power | None = None

    def __post_init__(self) -> None:
        """Refuse a claim with an empty field."""
        if empty := [k for k, v in vars(self).items() if isinstance(v, str) and not v.strip()]:
            raise InputError(f"claim {self.id!r} has an empty {empty[0]!r}: every field of a claim is required text")


@dataclass(frozen=True)
class Estimate:
    """A measured number with its interval, ``Estimate("slope", 1.02, 0.99, 1.05)``; no interval where it is exact."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""

    def __str__(self) -> str:
        """``slope 1.02 [0.99, 1.05]``."""
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3g}, {self.high:.3g}]"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} {self.value:.3g}{interval}{unit}"


@dataclass(frozen=True)
class Verdict:
    """One of exactly four kinds, with a one-sentence reason and the number it rests on."""

    kind: VerdictKind
    reason: str
    effect: Estimate | None = None

    def __post_init__(self) -> None:
        """Refuse a fifth kind, or a verdict without a reason."""
        if self.kind not in VERDICTS:
            raise InputError(f"verdict {self.kind!r} is none of {', '.join(VERDICTS)}")
        if not self.reason.strip():
            raise InputError(f"a verdict ({self.kind}) needs a reason of one sentence")
