"""Running claims: every (claim, seed) is an independent job, on this machine or on a cluster.

Jobs go through joblib, so ``with joblib.parallel_config(backend="dask"): reproduce(...)`` moves the same call to a
cluster. A finished seed is written at once; a killed run resumes at the first unfinished seed. Claims that are judged on
the same measurement share it.
"""

import json
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from claimkit import run
from claimkit.assets import Assets
from claimkit.claims import PRESETS, Preset, SeedResult
from claimkit.errors import InputError, NotAvailableError
from claimkit.experiment import Job, load_experiments
from claimkit.runner.plan import Failure, Outcome, Plan


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
        fresh: Measure again what is already measured by the same code and libraries on the same data and device.

    Raises:
        InputError: No such claim or preset, or numbers out of range; nothing was run.
    """
    if preset not in PRESETS:
        raise InputError(f"preset {preset!r} is none of {', '.join(PRESETS)}")
    for name, number in (("seeds", seeds), ("workers", jobs)):
        if number is not None and number < 1 and not (name == "workers" and number == -1):
            raise InputError(f"--{name} {number} is not a positive number")
    experiments = load_experiments(package)
    known = [e.claim.id for e in experiments]
    if unknown := [c for c in only if c not in known]:
        raise InputError(f"{package} has no claim {unknown[0]!r}: it has {', '.join(known)}")
    data = None if data is None else data.resolve()
    Assets(data)  # refuses a folder that is not there
    device = run.choose_device(device)
    chosen = [e for e in experiments if not only or e.claim.id in only]
    start: dict[str, Any] = {"load": run.load(), "checked": {}}
    plans = [Plan(package, e, preset, seeds, out, device, data, fresh, **start) for e in chosen]
    yield from _run(plans, jobs)


DIED = (
    "the process that measured seed {seed} died without a word, as one that the system ends for its memory; what the other "
    "seeds gave is kept, and the same command measures this one again"
)

Task = list[tuple[Plan, int]]
"""One measurement: the claims that wait for it, each with its seed."""


def _run(plans: list[Plan], jobs: int | None) -> Iterator[Outcome]:
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


def _take(task: Task, result: SeedResult | Failure) -> None:
    for plan, seed in task:
        plan.take(seed, result)


def _scheduled(tasks: list[Task], jobs: int | None) -> Iterator[tuple[Task, SeedResult | Failure]]:
    """Results as they come. Without a number of processes or a backend to say it, seeds of one thread share the cores."""
    from joblib import cpu_count, effective_n_jobs

    number: Any = jobs  # None asks joblib for the number of the active backend
    beside = [t for t in tasks if t[0][0].beside] if jobs is None and effective_n_jobs(number) == 1 else []
    if len(beside) > 1:
        beside.sort(key=lambda t: len(t[0][0].pending))  # one seed of a claim that has few takes long: not last and alone
        yield from _results(beside, cpu_count())
        tasks = [t for t in tasks if not t[0][0].beside]
    yield from _results(tasks, jobs)


def _results(tasks: list[Task], jobs: int | None) -> Iterator[tuple[Task, SeedResult | Failure]]:
    """Results of one pool; after a process of it died, of one process a task, so that only the task that kills is lost."""
    from joblib.externals.loky import ProcessPoolExecutor

    left = dict(enumerate(tasks))
    try:
        for i, result in _pooled(tasks, jobs):
            yield left.pop(i), result
    except BrokenProcessPool:
        for i, ((plan, seed), *_) in list(left.items()):
            with ProcessPoolExecutor(1) as alone:
                try:
                    result = alone.submit(_measure, i, *plan.job(seed)).result()[1]
                except BrokenProcessPool:
                    result = Failure(error=DIED.format(seed=seed))
            yield left.pop(i), result


def _pooled(tasks: list[Task], jobs: int | None) -> Iterator[tuple[int, SeedResult | Failure]]:
    """Results with the numbers of their tasks; a backend that cannot stream (dask) hands them over round by round."""
    from joblib import Parallel, delayed, effective_n_jobs
    from joblib.parallel import get_active_backend

    backend: Any = get_active_backend()[0]
    streams = jobs is not None or backend.supports_return_generator
    size = max(1, len(tasks) if streams else effective_n_jobs())
    parallel = Parallel(n_jobs=jobs, return_as="generator_unordered" if streams else "list")
    for start in range(0, len(tasks), size):
        chunk = enumerate(tasks[start : start + size], start)
        done: Any = parallel(delayed(_measure)(i, *plan.job(seed)) for i, ((plan, seed), *_) in chunk)
        yield from done


def _measure(
    index: int, package: str, claim: str, settings: Any, seed: int, device: str, data: Path | None
) -> tuple[int, SeedResult | Failure]:
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
        return index, Failure(str(e))
    except Exception:
        return index, Failure(error=traceback.format_exc())
    return index, SeedResult(
        seed=seed,
        values=values,
        wall_seconds=round(time.perf_counter() - start, 3),
        peak_memory_mb=round(run.peak_memory_mb(), 1),
        data=job.assets.used,
        carried=tuple(dict.fromkeys(job.assets.carried)),
    )
