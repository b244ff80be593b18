"""A claim measured once: what every seed gave, on what, at what cost, and the verdict; JSON in and JSON out.

The schema of the JSON has a version.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from claimkit.claims import sums
from claimkit.claims.claim import Claim, Estimate, Preset, Values, Verdict
from claimkit.claims.power import Power
from claimkit.errors import InputError
from claimkit.files import text_digest, write_atomic

SCHEMA = 1


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
        device = str(self.environment.get("device"))
        device = device if device in ("cpu", "mps") else "cuda"  # a GPU stands there by its name
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


def _dumps(value: Any, indent: int = 0) -> str:
    """Indented JSON whose lists without objects stay on one line, so that a diff shows one line a series."""
    if isinstance(value, Mapping) and value:
        inner = ",\n".join(f"{'  ' * (indent + 1)}{json.dumps(k)}: {_dumps(v, indent + 1)}" for k, v in value.items())
        return f"{{\n{inner}\n{'  ' * indent}}}"
    if isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        inner = ",\n".join(f"{'  ' * (indent + 1)}{_dumps(v, indent + 1)}" for v in value)
        return f"[\n{inner}\n{'  ' * indent}]"
    return json.dumps(value, ensure_ascii=False)
