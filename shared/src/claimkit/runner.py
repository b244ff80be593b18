"""Running claims: every (claim, seed) is an independent job, on this machine or on a cluster.

Jobs go through joblib, so ``with joblib.parallel_config(backend="dask"): reproduce(...)`` moves the same call to a
cluster. A finished seed is written at once; a killed run resumes at the first unfinished seed. Claims that are judged on
the same measurement share it.
"""

import dataclasses
import datetime
import hashlib
import json
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claimkit import run
from claimkit.assets import Assets
from claimkit.claims import PRESETS, Evidence, Preset, Record, SeedResult, Verdict
from claimkit.errors import InputError, NotAvailableError
from claimkit.experiment import Experiment, Job, load_experiments, package_folder, source_digest
from claimkit.files import write_atomic
from claimkit.judging import judge


@dataclass(frozen=True)
class Outcome:
    """What became of one claim in a run: a record, or the traceback of what broke."""

    claim: str
    record: Record | None = None
    error: str | None = None
    reused: bool = False


def reproduce(
    package: str,
    only: Sequence[str] = (),
    preset: Preset = "small",
    seeds: int | None = None,
    out: Path = Path("reproduced"),
    device: str = "auto",
    jobs: int | None = None,
    data: Path | None = None,
    fresh: bool = False,
    command: str | None = None,
) -> Iterator[Outcome]:
    """Measure claims and yield what became of each, in order; records, pictures and finished seeds are in ``out``.

    Args:
        package: Name of the package; its ``claims`` module lists the experiments.
        only: Identifiers of claims; all of them when empty.
        preset: How large.
        seeds: How many seeds, instead of the preset's number.
        out: Folder of the records.
        device: ``auto``, ``cpu``, ``cuda`` ...
        jobs: Processes; None is the active ``joblib.parallel_config``, and without one as many processes as cores for
            seeds that use one thread and time nothing, and one for the others.
        data: Folder of data sets.
        fresh: Measure again what is already measured by the same code with the same settings.
        command: What the record calls the command that made it; by default, the one a user would type.

    Raises:
        InputError: No such claim or preset, or numbers out of range; nothing was run.
    """
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r} is none of {', '.join(PRESETS)}")
    for name, number in (("seeds", seeds), ("jobs", jobs)):
        if number is not None and number < 1 and not (name == "jobs" and number == -1):
            raise InputError(f"--{name} {number} is not a positive number")
    experiments = load_experiments(package)
    known = [e.claim.id for e in experiments]
    if unknown := [c for c in only if c not in known]:
        raise InputError(f"{package} has no claim {unknown[0]!r}: it has {', '.join(known)}")
    data = None if data is None else data.resolve()
    Assets(data)  # refuses a folder that is not there
    device = run.choose_device(device)
    chosen = [e for e in experiments if not only or e.claim.id in only]
    given = "".join(f" --{k} {v}" for k, v in (("seeds", seeds), ("data", data and "DIR")) if v)
    typed = command or f"{package} reproduce {{}} --preset {preset}{given}"
    plans = [_Plan(package, e, preset, seeds, out, device, data, fresh, typed.format(e.claim.id)) for e in chosen]
    yield from _run(plans, jobs)


@dataclass
class _Plan:
    """One claim at one preset: which seeds are wanted, which are done."""

    package: str
    experiment: Experiment
    preset: Preset
    seed_count: int | None
    out: Path
    device: str
    data: Path | None
    fresh: bool
    command: str

    def __post_init__(self) -> None:
        self.settings: Any = self.experiment.presets.get(self.preset)
        self.results: dict[int, SeedResult] = {}
        self.failure: Outcome | None = None
        self.fingerprint = ""
        self.finished: Record | None = None
        if self.settings is None:
            reason = f"measured at preset {', '.join(self.experiment.presets)}, not at {self.preset}"
            self.failure = Outcome(self.id, _not_run(self.package, self.experiment, reason))
            return
        if self.seed_count is not None:
            self.settings = dataclasses.replace(self.settings, seeds=self.seed_count)
        config = dataclasses.asdict(self.settings) | {"seeds": None}  # a seed is the same among few and among many
        text = source_digest(self.package) + json.dumps([config, self.device], default=str)
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()
        if not self.fresh:
            self._recall()

    @property
    def id(self) -> str:
        return self.experiment.claim.id

    @property
    def pending(self) -> list[int]:
        """Seeds still to run."""
        if self.finished or self.failure:
            return []
        return [s for s in range(self.settings.seeds) if s not in self.results]

    def _partial(self, seed: int) -> Path:
        return self.out / ".partial" / f"{self.id}.{self.preset}.{seed}.json"

    def _recall(self) -> None:
        """Take up what an earlier run of the same code and settings finished."""
        path = self.out / f"{self.id}.{self.preset}.json"
        try:
            record = Record.from_json(path.read_text(encoding="utf-8"))
            if record.evidence and record.evidence.fingerprint == self.fingerprint:
                self.results = {s.seed: s for s in record.evidence.seeds if s.seed < self.settings.seeds}
                if len(self.results) == len(record.evidence.seeds) == self.settings.seeds:
                    self.finished = record
        except (OSError, InputError):
            pass
        for seed in self.pending:
            try:
                saved = json.loads(self._partial(seed).read_text(encoding="utf-8"))
            except (OSError, json.JSONDecodeError):
                continue
            if saved["fingerprint"] == self.fingerprint:
                self.results[seed] = SeedResult(**saved["result"])

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

    def take(self, seed: int, result: "SeedResult | _Failure") -> None:
        """Keep a finished seed, on disk at once; or remember why the claim cannot be finished."""
        if isinstance(result, _Failure):
            record = None if result.error else _not_run(self.package, self.experiment, result.reason)
            self.failure = self.failure or Outcome(self.id, record, result.error)
            return
        self.results[seed] = result
        text = json.dumps({"fingerprint": self.fingerprint, "result": dataclasses.asdict(result)})
        write_atomic(self._partial(seed), text)

    def outcome(self) -> Outcome:
        """Judge, draw, write the record and drop the partial files."""
        if self.finished:
            return Outcome(self.id, self.finished, reused=True)
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
        evidence = Evidence(
            preset=self.preset,
            config=dataclasses.asdict(self.settings),
            seeds=tuple(results),
            environment=run.environment(self.package, self.device),
            commit=run.commit(package_folder(self.package)) or run.commit(Path("packages") / self.package),
            fingerprint=self.fingerprint,
            command=self.command,
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        )
        record = Record(
            package=self.package,
            claim=self.experiment.claim,
            verdict=verdict,
            evidence=evidence,
            picture=picture,
            code=self.experiment.code,
        )
        record.save(self.out)
        for seed in self.results:
            self._partial(seed).unlink(missing_ok=True)
        return Outcome(self.id, record)


@dataclass(frozen=True)
class _Failure:
    """Why a seed has no result: data that is not here, or the traceback of what broke."""

    reason: str = ""
    error: str | None = None


Task = list[tuple[_Plan, int]]
"""One measurement: the claims that wait for it, each with its seed."""


def _run(plans: list[_Plan], jobs: int | None) -> Iterator[Outcome]:
    """Yield each claim as soon as it and those before it are complete."""
    shared: dict[str, Task] = {}
    for plan in plans:
        for seed in plan.pending:
            shared.setdefault(plan.measurement(seed), []).append((plan, seed))
    tasks = list(shared.values())
    results = iter(run.progress(_scheduled(tasks, jobs), total=len(tasks), unit="seed"))
    for plan in plans:
        while plan.pending:
            _take(*next(results))
        yield plan.outcome()
    for task, result in results:  # the other seeds of a claim that broke
        _take(task, result)


def _take(task: Task, result: SeedResult | _Failure) -> None:
    for plan, seed in task:
        plan.take(seed, result)


def _scheduled(tasks: list[Task], jobs: int | None) -> Iterator[tuple[Task, SeedResult | _Failure]]:
    """Results as they come. Without a number of processes or a backend to say it, seeds of one thread share the cores."""
    from joblib import cpu_count, effective_n_jobs

    number: Any = jobs  # None asks joblib for the number of the active backend
    beside = [t for t in tasks if t[0][0].beside] if jobs is None and effective_n_jobs(number) == 1 else []
    if len(beside) > 1:
        beside.sort(key=lambda t: len(t[0][0].pending))  # one seed of a claim that has few takes long: not last and alone
        yield from _results(beside, cpu_count())
        tasks = [t for t in tasks if not t[0][0].beside]
    yield from _results(tasks, jobs)


def _results(tasks: list[Task], jobs: int | None) -> Iterator[tuple[Task, SeedResult | _Failure]]:
    """Results of one pool; a backend that cannot stream them (dask) hands them over round by round."""
    from joblib import Parallel, delayed, effective_n_jobs
    from joblib.parallel import get_active_backend

    backend: Any = get_active_backend()[0]
    streams = jobs is not None or backend.supports_return_generator
    size = max(1, len(tasks) if streams else effective_n_jobs())
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered" if streams else "list")
    for start in range(0, len(tasks), size):
        chunk = enumerate(tasks[start : start + size], start)
        done: Any = parallel(delayed(_measure)(i, *plan.job(seed)) for i, ((plan, seed), *_) in chunk)
        for i, result in done:
            yield tasks[i], result


def _measure(
    index: int, package: str, claim: str, settings: Any, seed: int, device: str, data: Path | None
) -> tuple[int, SeedResult | _Failure]:
    """One job: measure one seed of one claim, and never raise for what is the claim's own fault."""
    experiment = next(e for e in load_experiments(package) if e.claim.id == claim)
    job = Job(seed, device, Assets(data, package))
    run.seed_everything(seed)
    run.limit_threads(settings.threads)
    start = time.perf_counter()
    try:
        values = experiment.measure(settings, job)
        json.dumps(values, allow_nan=False)
    except NotAvailableError as e:
        return index, _Failure(str(e))
    except Exception:
        return index, _Failure(error=traceback.format_exc())
    return index, SeedResult(
        seed=seed,
        values=values,
        wall_seconds=round(time.perf_counter() - start, 3),
        peak_memory_mb=round(run.peak_memory_mb(), 1),
        data=job.assets.used,
    )


def _not_run(package: str, experiment: Experiment, reason: str) -> Record:
    return Record(package=package, claim=experiment.claim, verdict=Verdict("not run", reason), code=experiment.code)
