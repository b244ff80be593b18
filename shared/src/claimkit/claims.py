"""Claims, evidence and verdicts: what a paper says, what was measured, and what follows from it.

A :class:`Record` is one claim measured once. It is JSON in and JSON out, and its schema has a version.
"""

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

from claimkit import sums
from claimkit.errors import InputError
from claimkit.files import text_digest, write_atomic
from claimkit.power import Power as Power

SCHEMA = 1

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


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """What one seed gave and what it cost; memory is the peak of the process that ran it."""

    seed: int
    values: Values
    wall_seconds: float
    peak_memory_mb: float
    data: Mapping[str, str] = field(default_factory=dict)
    """Data sets read, name to sha256."""
    carried: tuple[str, ...] = ()
    """Those of them that did not come from a folder of data: generated, or in a library or the package itself."""

    def __post_init__(self) -> None:
        """What JSON made a list is a tuple again."""
        object.__setattr__(self, "carried", tuple(self.carried))


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Everything needed to believe a verdict or to measure it again."""

    preset: Preset
    config: Mapping[str, Any]
    seeds: tuple[SeedResult, ...]
    environment: Mapping[str, Any]
    commit: str | None
    """Commit of the source tree, with ``+`` where its code had changes; None outside a checkout."""
    fingerprint: str
    """sha256 of the code and libraries really used, the device and the settings but for the number of seeds: where it and
    the data are the same, nothing is measured twice."""
    command: str
    """What reproduces the record, ``DIR`` being the folder of the data."""
    date: str
    changes: str = ""
    """Difference of the code from the commit, where there was one."""
    load: tuple[float, ...] = ()
    """Processes that waited for the processor, at the start and at the end of the run."""
    installed: tuple[str, ...] = ()
    """Installed distributions, ``name==version``."""
    unseeded: str | None = None
    """What of the values no seed fixes; empty where a seed fixes everything, None in older records."""

    def __post_init__(self) -> None:
        """What JSON made lists are tuples again."""
        for name in ("load", "installed"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def wall_seconds(self) -> float:
        """Seconds of all seeds together."""
        return sum(s.wall_seconds for s in self.seeds)

    @property
    def peak_memory_mb(self) -> float:
        """Largest peak of any seed, in MB."""
        return max((s.peak_memory_mb for s in self.seeds), default=0.0)

    @property
    def data(self) -> dict[str, str]:
        """Data sets read by any seed, name to sha256."""
        return {name: digest for s in self.seeds for name, digest in s.data.items()}

    def again(self, package: str, claim: str) -> str:
        """The command that measures the same again: preset, seeds, device, and ``--data DIR`` where a folder was read."""
        folder = set(self.data) - {n for s in self.seeds for n in s.carried}
        if not self.installed and self.preset in ("smoke", "small"):
            folder = set()  # an older record does not say; these presets need no folder
        device = "cpu" if self.environment.get("device") == "cpu" else "cuda"
        options = f"--preset {self.preset} --seeds {len(self.seeds)} --device {device}"
        return f"{package} reproduce {claim} {options}{' --data DIR' if folder else ''}"


@dataclass(frozen=True, kw_only=True)
class Record:
    """A claim, its evidence (None where it was not run) and the verdict: one JSON file."""

    package: str
    claim: Claim
    verdict: Verdict
    evidence: Evidence | None = None
    picture: str | None = None
    """File name of the picture beside the JSON."""
    code: str = ""
    """Where the measurement is written, e.g. ``msgd.claims.bias:measure``."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """sha256 of the values, of the criterion and of the picture, as they were when the record was written."""
    schema: int = SCHEMA

    @property
    def preset(self) -> Preset | None:
        """Preset it was measured at; None where it was not run."""
        return self.evidence.preset if self.evidence else None

    @property
    def file(self) -> str:
        """Name of the file it is saved as: ``M3.small.json``, or ``M3.notrun.json``."""
        return f"{self.claim.id}.{self.preset or 'notrun'}.json"

    @property
    def intact(self) -> bool:
        """Whether values and criterion are those that it was written with, as far as an older record can tell."""
        return all(self.digests.get(k, v) == v for k, v in self.own_digests().items())

    def own_digests(self) -> dict[str, str]:
        """sha256 of the values of all seeds and of the criterion."""
        values = [s.values for s in self.evidence.seeds] if self.evidence else []
        return {"values": text_digest(json.dumps(values)), "criterion": text_digest(self.claim.criterion)}

    @property
    def again(self) -> str:
        """The command that measures it again; empty where it was not run."""
        return self.evidence.again(self.package, self.claim.id) if self.evidence else ""

    def to_json(self) -> str:
        """The record as indented JSON: lists of numbers on one line, and what an older record did not say stays unsaid."""
        d = dataclasses.asdict(self)
        parts = [(d, ("digests",)), (d["claim"], ("power",))]
        if evidence := d["evidence"]:
            parts.append((evidence, ("changes", "load", "installed", "unseeded")))
            parts += [(s, ("carried",)) for s in evidence["seeds"]]
        for part, names in parts:
            for name in names:
                if part[name] in (None, "", (), {}) and (name, part[name]) != ("unseeded", ""):
                    del part[name]
        return _dumps(d) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of :meth:`to_json`.

        Raises:
            InputError: Not a record, or one of another schema version.
        """
        try:
            d = json.loads(text)
            if d["schema"] != SCHEMA:
                raise InputError(f"the record has schema {d['schema']}, this claimkit reads {SCHEMA}: run the claim again")
            effect, evidence = d["verdict"]["effect"], d["evidence"]
            if evidence is not None:
                evidence = Evidence(**evidence | {"seeds": tuple(SeedResult(**s) for s in evidence["seeds"])})
            verdict = Verdict(**d["verdict"] | {"effect": effect and Estimate(**effect)})
            power = d["claim"].get("power")
            claim = Claim(**d["claim"] | {"power": power and Power(**power)})
            return cls(**d | {"claim": claim, "verdict": verdict, "evidence": evidence})
        except (KeyError, TypeError, json.JSONDecodeError) as e:
            raise InputError(f"not a record of a claim ({type(e).__name__}: {e}): run the claim again") from e

    def save(self, folder: Path) -> Path:
        """Write ``folder/<claim>.<preset>.json``, atomically; ``<claim>.notrun.json`` only while it was never run."""
        absent, path = folder / f"{self.claim.id}.notrun.json", folder / self.file
        if path == absent and any(p != absent for p in folder.glob(f"{self.claim.id}.*.json")):
            return absent
        write_atomic(path, self.to_json())
        if path != absent:
            absent.unlink(missing_ok=True)
        sums.renew(folder, path.name, absent.name, *([self.picture] if self.picture else []))
        return path


def load_records(folder: Path) -> list[Record]:
    """All records of a folder, in the natural order of their claims (M2 before M10).

    Raises:
        InputError: A file is not a record; the sentence names it.
    """
    records = []
    for path in folder.glob("*.json"):
        try:
            records.append(Record.from_json(path.read_text(encoding="utf-8")))
        except InputError as e:
            raise InputError(f"{path}: {e}") from e
    return sorted(records, key=lambda r: (natural(r.claim.id), PRESETS.index(r.preset) if r.preset else -1))


def best(records: Iterable[Record]) -> list[Record]:
    """One record a claim: the highest preset that was run, of equal ones the later in the list; never a smoke run."""
    chosen: dict[tuple[str, str], Record] = {}
    for r in records:
        key = (r.package, r.claim.id)
        if r.preset != "smoke" and (key not in chosen or _rank(r) >= _rank(chosen[key])):
            chosen[key] = r
    return sorted(chosen.values(), key=lambda r: (r.package, natural(r.claim.id)))


def natural(text: str) -> tuple[tuple[int, str | int], ...]:
    """Sort key in which numbers count as numbers.

    >>> sorted(["M10", "M2"], key=natural)
    ['M2', 'M10']
    """
    return tuple((0, int(t)) if t.isdigit() else (1, t) for t in re.split(r"(\d+)", text))


def _rank(record: Record) -> int:
    return PRESETS.index(record.preset) + 1 if record.preset else 0


def _dumps(value: Any, indent: int = 0) -> str:
    """Indented JSON whose lists without objects stay on one line, so that a diff shows one line a series."""
    if isinstance(value, Mapping) and value:
        inner = ",\n".join(f"{'  ' * (indent + 1)}{json.dumps(k)}: {_dumps(v, indent + 1)}" for k, v in value.items())
        return f"{{\n{inner}\n{'  ' * indent}}}"
    if isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        inner = ",\n".join(f"{'  ' * (indent + 1)}{_dumps(v, indent + 1)}" for v in value)
        return f"[\n{inner}\n{'  ' * indent}]"
    return json.dumps(value, ensure_ascii=False)
