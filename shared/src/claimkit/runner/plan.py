"""One claim at one preset: which of its seeds are known already, what a run still has to measure, and its record."""

import dataclasses
import datetime
import hashlib
import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claimkit import run
from claimkit.assets import Assets
from claimkit.claims import Evidence, Preset, Record, SeedResult, Verdict
from claimkit.claims.power import power
from claimkit.errors import InputError
from claimkit.experiment import Experiment, package_folder
from claimkit.files import sha256, write_atomic
from claimkit.records.judging import judge, sealed
from claimkit.runner import imports


@dataclass(frozen=True)
class Outcome:
    """What became of one claim in a run: a record, or what broke (a traceback, or a sentence where a process died)."""

    claim: str
    record: Record | None = None
    error: str | None = None
    reused: bool = False


@dataclass
class Plan:
    """One claim at one preset: which seeds are wanted, which are done."""

    package: str
    experiment: Experiment
    preset: Preset
    seed_count: int | None
    out: Path
    device: str
    data: Path | None
    fresh: bool
    load: float
    """Load when the run started."""
    checked: dict[str, str | None]
    """Digests of the data that is there now, by name, computed once a run."""

    def __post_init__(self) -> None:
        self.settings: Any = self.experiment.presets.get(self.preset)
        self.results: dict[int, SeedResult] = {}
        self.failure: Outcome | None = None
        self.fingerprint = ""
        self.recalled: Record | None = None
        if self.settings is None:
            reason = f"measured at preset {', '.join(self.experiment.presets)}, not at {self.preset}"
            self.failure = Outcome(self.id, _not_run(self.package, self.experiment, reason))
            return
        if self.seed_count is not None:
            self.settings = dataclasses.replace(self.settings, seeds=self.seed_count)
        if lacking := self._lacking():
            self.failure = Outcome(self.id, _not_run(self.package, self.experiment, f"Too little power: {lacking}."))
            return
        config = dataclasses.asdict(self.settings) | {"seeds": None}  # a seed is the same among few and among many
        environment = run.environment(self.package, self.device)
        used = [environment[k] for k in ("device", "processor", "cores") if k == "device" or self.settings.timed]
        python = ".".join(str(environment["python"]).split(".")[:2])
        module = self.experiment.measure.__module__
        code = [imports.code_digest(m) for m in (module, "claimkit.run.seeding")]
        text = json.dumps([config, self.device, used, python, code, imports.libraries(module)], default=str)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        if not self.fresh:
            self._recall()

    @property
    def id(self) -> str:
        """Identifier of the claim."""
        return self.experiment.claim.id

    @property
    def pending(self) -> list[int]:
        """Seeds still to run."""
        if self.failure:
            return []
        return [s for s in range(self.settings.seeds) if s not in self.results]

    def _partial(self, seed: int) -> Path:
        return self.out / ".partial" / f"{self.id}.{self.preset}.{seed}.json"

    def _lacking(self) -> str | None:
        """Why so many seeds cannot decide the claim, where its power says so."""
        stated, planned = self.experiment.claim.power, self.experiment.presets[self.preset].seeds
        if stated is None or self.preset not in stated.n:
            return None
        n = stated.n[self.preset] * self.settings.seeds // planned
        return power(stated.asks, stated.spread, {self.preset: n}, stated.pilot, stated.unit).lacking(self.preset)

    def _recall(self) -> None:
        """Take up what an earlier run finished with the same code, libraries, settings and device on the same data."""
        path = self.out / f"{self.id}.{self.preset}.json"
        try:
            record = Record.from_json(path.read_text(encoding="utf-8"))
            if record.evidence and record.evidence.fingerprint == self.fingerprint and record.intact:
                same = [s for s in record.evidence.seeds if s.seed < self.settings.seeds and self._same_data(s)]
                self.results = {s.seed: s for s in same}
                if len(self.results) == len(record.evidence.seeds) == self.settings.seeds:
                    self.recalled = record
        except (OSError, InputError):
            pass
        for seed in self.pending:
            try:
                saved = json.loads(self._partial(seed).read_text(encoding="utf-8"))
                result = SeedResult(**saved["result"])
            except (OSError, json.JSONDecodeError, KeyError, TypeError):
                continue
            if saved.get("fingerprint") == self.fingerprint and self._same_data(result):
                self.results[seed] = result

    def _same_data(self, result: SeedResult) -> bool:
        """Whether what a seed read from a folder is there now with the same content."""
        assets = Assets(self.data, self.package)
        for name in result.data:
            if name not in result.carried and name not in self.checked:
                path = assets.locate(name)
                self.checked[name] = path and sha256(path)
        return all(name in result.carried or self.checked[name] == digest for name, digest in result.data.items())

    def measurement(self, seed: int) -> str:
        """What is measured for a seed; equal for two claims that share it."""
        return f"{self.experiment.code} {self.settings} {seed}"

    @property
    def beside(self) -> bool:
        """Whether seeds may run beside one another without being asked to."""
        one = self.settings.threads == 1 and not self.settings.timed
        return one and self.device == "cpu" and self.preset != "smoke"

    def job(self, seed: int) -> tuple[Any, ...]:
        """Arguments of :func:`_measure`; names rather than functions, so that any backend can carry them."""
        return self.package, self.id, self.settings, seed, self.device, self.data

    def take(self, seed: int, result: "SeedResult | Failure") -> None:
        """Keep a finished seed, on disk at once; or remember why the claim cannot be finished."""
        if isinstance(result, Failure):
            record = None if result.error else _not_run(self.package, self.experiment, result.reason)
            self.failure = self.failure or Outcome(self.id, record, result.error)
            return
        self.results[seed] = result
        text = json.dumps({"fingerprint": self.fingerprint, "result": dataclasses.asdict(result)})
        write_atomic(self._partial(seed), text)

    def outcome(self) -> Outcome:
        """Judge, draw, write the record and drop the partial files."""
        if self.failure:
            if self.failure.record:
                self.failure.record.save(self.out)
            return self.failure
        results = [self.results[s] for s in sorted(self.results)]
        values = [r.values for r in results]
        try:
            verdict, picture = judge(self.experiment, values, self.preset, self.out)
        except Exception:
            return Outcome(self.id, error=traceback.format_exc())
        unsealed = Record(
            package=self.package,
            claim=self.experiment.claim,
            verdict=verdict,
            evidence=self.recalled.evidence if self.recalled else self._evidence(results),
            picture=picture,
            code=self.experiment.code,
        )
        record = sealed(unsealed, self.out)
        record.save(self.out)
        for seed in self.results:
            self._partial(seed).unlink(missing_ok=True)
        return Outcome(self.id, record, reused=self.recalled is not None)

    def _evidence(self, results: Sequence[SeedResult]) -> Evidence:
        """What was measured just now, and everything about where."""
        folder = package_folder(self.package)
        if not (commit := run.commit(folder)):  # installed as a wheel: the checkout is where the command was typed
            folder = Path("packages") / self.package
            commit = run.commit(folder)
        evidence = Evidence(
            preset=self.preset,
            config=dataclasses.asdict(self.settings),
            seeds=tuple(results),
            environment=run.environment(self.package, self.device),
            commit=commit,
            fingerprint=self.fingerprint,
            command="",
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            changes=run.changes(folder) if commit and commit.endswith("+") else "",
            load=(self.load, run.load()),
            installed=run.installed(),
            unseeded=self.experiment.unseeded,
        )
        return dataclasses.replace(evidence, command=evidence.again(self.package, self.id))


@dataclass(frozen=True)
class Failure:
    """Why a seed has no result: data that is not here, the traceback of what broke, or a process that died."""

    reason: str = ""
    error: str | None = None


def _not_run(package: str, experiment: Experiment, reason: str) -> Record:
    return Record(package=package, claim=experiment.claim, verdict=Verdict("not run", reason), code=experiment.code)
