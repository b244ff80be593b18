"""Fresh beside recorded: whether a claim still holds, and whether its values came back."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claimkit.claims import VERDICTS, Record
from claimkit.experiment import WITHIN, Experiment

LOST = 3
"""Exit code where a verdict was lost."""
ROUNDING = 1e-12
"""Absolute difference that is none: the residual of an identity is 1e-15 here and 3e-15 there."""


@dataclass(frozen=True)
class Comparison:
    """One claim, measured again.

    A verdict is *lost* where it is weaker than the recorded one (in the order *reproduced*, *direction reproduced*,
    *not reproduced*, *not run*), or where nothing could be measured; verdicts of other numbers of seeds are not compared.
    """

    package: str
    claim: str
    recorded: Record
    fresh: Record | None
    values: str
    """What became of the values, in words."""

    @property
    def comparable(self) -> bool:
        """Whether both rest on as many seeds."""
        old, new = self.recorded.evidence, self.fresh.evidence if self.fresh else None
        return old is None or new is None or len(old.seeds) == len(new.seeds)

    @property
    def lost(self) -> bool:
        """Whether the claim holds less than it did."""
        return self.fresh is None or (self.comparable and _rank(self.fresh) > _rank(self.recorded))

    @property
    def agrees(self) -> bool:
        """Whether the verdict is the same and no value differs."""
        return self.fresh is not None and _rank(self.fresh) == _rank(self.recorded) and not self.values.startswith("differ")

    def __str__(self) -> str:
        """``M3: reproduced, as recorded; values the same within 1e-06``."""
        old, new = self.recorded.verdict.kind, self.fresh.verdict.kind if self.fresh else "could not be measured"
        kind = f"{new}, as recorded" if new == old else f"{new}, recorded as {old}"
        return f"{'✘' if self.lost else '✔' if self.agrees else '~'} {self.claim}: {kind}; {self.values}"


def compare(recorded: Sequence[Record], fresh: Sequence[Record], experiments: Mapping[str, Experiment]) -> list[Comparison]:
    """Compare records of a package with those of the same claims and preset that were measured again.

    Args:
        recorded: Records as they are committed.
        fresh: Records of a new run; one of a claim that could not be measured stands for any preset.
        experiments: The package's, by claim: they say how near values must come; a millionth where they are not here.
    """
    new = {(r.claim.id, r.preset): r for r in fresh}
    pairs = [(old, new.get((old.claim.id, old.preset)) or new.get((old.claim.id, None))) for old in recorded if old.evidence]
    return [Comparison(r.package, r.claim.id, r, f, _values(r, f, experiments.get(r.claim.id))) for r, f in pairs]


def table(comparisons: Sequence[Comparison]) -> str:
    """Markdown: a row a claim, recorded and fresh."""
    lines = ["| claim | recorded | fresh | values |", "|---|---|---|---|"]
    for c in comparisons:
        fresh = c.fresh.verdict if c.fresh else None
        cells = (c.recorded.verdict.kind, c.recorded.verdict.effect), (fresh and fresh.kind, fresh and fresh.effect)
        old, new = (f"{kind or 'could not be measured'}{f'; {effect}' if effect else ''}" for kind, effect in cells)
        name = f"{c.package} {c.claim} at {c.recorded.preset}"
        lines.append(f"| {'**' + name + '**' if c.lost else name} | {old} | {new} | {c.values} |".replace("\n", " "))
    return "\n".join(lines)


def _values(old: Record, new: Record | None, experiment: Experiment | None) -> str:
    """Whether the values came back, and what else was another where they did not."""
    if new is None or new.evidence is None or old.evidence is None:
        return "nothing to compare"
    if len(old.evidence.seeds) != len(new.evidence.seeds):
        return f"not compared: {len(new.evidence.seeds)} seeds, recorded {len(old.evidence.seeds)}"
    common = {s.seed for s in old.evidence.seeds} & {s.seed for s in new.evidence.seeds}
    a, b = ([s.values for s in r.evidence.seeds if s.seed in common] for r in (old, new) if r.evidence)
    within = experiment.within if experiment else WITHIN
    far = max((_far(x, y) for x, y in zip(a, b, strict=True)), default=math.inf)
    causes = "".join(f", {c}" for c in _causes(old, new))
    if far <= within:
        return "values the same" if far == 0 else f"values the same within {within:g}"
    timed = "seconds are among them" if new.evidence.config.get("timed") else ""
    reason = new.evidence.unseeded or timed
    overlap = _overlap(old, new)
    if reason:
        what = f"{'differ: ' if overlap is False else ''}values not repeatable ({reason})"
    else:
        what = f"differ: values by {'their shape' if math.isinf(far) else f'{far:.1e} of their size'}"
    return f"{what}, {WORDS[overlap]}{causes}"


WORDS = {True: "intervals overlap", False: "intervals do not overlap", None: "no interval to compare"}


def _overlap(old: Record, new: Record) -> bool | None:
    """Whether the intervals of the two effects have a point in common; None without two intervals."""
    a, b = old.verdict.effect, new.verdict.effect
    if a is None or b is None or a.low is None or a.high is None or b.low is None or b.high is None:
        return None
    return a.low <= b.high and b.low <= a.high


def _causes(old: Record, new: Record) -> Iterator[str]:
    """What else differs between two runs: data, device, processor, versions."""
    if old.evidence is None or new.evidence is None:
        return
    was, now = old.evidence, new.evidence
    yield from (f"other data ({n})" for n in sorted({*was.data} | {*now.data}) if was.data.get(n) != now.data.get(n))
    for key in sorted({*was.environment} & {*now.environment}):
        if was.environment[key] != now.environment[key] and key not in ("memory_gb", "flags"):
            yield f"{key} {now.environment[key]} (was {was.environment[key]})"


def _far(a: Any, b: Any) -> float:
    """Largest relative difference of two values of one shape; infinite where they are not of one shape, or other text."""
    if isinstance(a, Mapping) and isinstance(b, Mapping) and a.keys() == b.keys():
        return max((_far(a[k], b[k]) for k in a), default=0.0)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
        return max((_far(x, y) for x, y in zip(a, b, strict=True)), default=0.0)
    if a == b:
        return 0.0
    if isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool) and not isinstance(b, bool):
        return 0.0 if abs(a - b) <= ROUNDING else abs(a - b) / max(abs(a), abs(b))
    return math.inf


def _rank(record: Record) -> int:
    return VERDICTS.index(record.verdict.kind)
