"""Benchmarks as ratios: candidates take turns in one process, and the ratio is that of each round."""

import datetime
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import write_atomic


@dataclass(frozen=True)
class Timing:
    """Median and quartiles over the rounds, of the seconds and of the ratio to the reference."""

    seconds: tuple[float, float, float]
    ratio: tuple[float, float, float]


@dataclass(frozen=True)
class Benchmark:
    """What several candidates took for the same work; the first is the reference of the ratios."""

    title: str
    timings: Mapping[str, Timing]
    rounds: int
    machine: str
    commit: str | None
    date: str

    def __str__(self) -> str:
        """A table for people."""
        width = max(len(name) for name in self.timings)
        lines = [f"{self.title} ({self.rounds} rounds, {self.machine}, commit {self.commit})"]
        for name, t in self.timings.items():
            seconds, ratio = (f"{x[0]:.3g} [{x[1]:.3g}, {x[2]:.3g}]" for x in (t.seconds, t.ratio))
            lines.append(f"  {name:<{width}}  {seconds} s   ratio {ratio}")
        return "\n".join(lines)


def alternate(
    title: str, candidates: Mapping[str, Callable[[], object]], rounds: int = 15, warmup: int = 2, cpu: bool = False
) -> Benchmark:
    """Time candidates in turn, in an order that is reversed every round; print the table and return it.

    Args:
        title: What the work is.
        candidates: Name to function; the first is the reference. A GPU's functions must synchronise.
        rounds: Rounds that count, at least 3.
        warmup: Rounds that do not.
        cpu: Count this process's CPU seconds instead of wall seconds.

    Raises:
        InputError: Fewer than three rounds.
    """
    taken = turns(candidates, rounds, warmup, cpu, title)
    reference = next(iter(taken.values()))
    timings = {
        name: Timing(_quartiles(t), _quartiles([a / b for a, b in zip(t, reference, strict=True)]))
        for name, t in taken.items()
    }
    device = "cuda" if "torch" in sys.modules and sys.modules["torch"].cuda.is_initialized() else "cpu"
    machine = run.machine(run.environment("claimkit", device))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    result = Benchmark(title, timings, rounds, machine, run.commit(Path.cwd()), today)
    print(result, flush=True)
    return result


def turns(
    candidates: Mapping[str, Callable[[], object]], rounds: int = 15, warmup: int = 2, cpu: bool = False, title: str = ""
) -> dict[str, list[float]]:
    """Seconds of candidates that take turns in this process, round by round, for a claim to measure.

    Divided by those of a reference in the same round they depend little on the machine and its load
    (:func:`claimkit.statistics.ratio_interval`); ``cpu=True`` counts this process's CPU seconds, which waiting for others
    does not lengthen. Arguments and errors are those of :func:`alternate`.
    """
    if rounds < 3:
        raise InputError(f"rounds = {rounds}: quartiles need at least three")
    clock = time.process_time if cpu else time.perf_counter
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for i in run.progress(range(-warmup, rounds), title, unit="round"):
        for name in list(candidates)[:: 1 if i % 2 else -1]:
            start = clock()
            candidates[name]()
            if i >= 0:
                taken[name].append(clock() - start)
    return taken


def command(package: str, *arguments: str, files: Mapping[str, Path] | None = None) -> Callable[[], None]:
    """A candidate for :func:`alternate`: a package's command, from a cold start in a folder with nothing but ``files``.

    Args:
        package: Name of the package.
        arguments: Of its command line.
        files: Name in the folder to the file that is copied there.
    """

    def run_command() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for name, source in (files or {}).items():
                shutil.copy(source, Path(folder) / name)
            code = f"from {package}.cli import main; main()"
            subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, check=True, capture_output=True)

    return run_command


def startup(package: str, results: Path) -> None:
    """Time what a user waits for, ``--help`` and ``demo``, and save it as ``help.json`` and ``demo.json``."""
    for verb, file, rounds in (("--help", "help", 9), ("demo", "demo", 3)):
        name = f"{package} {verb}"
        save(alternate(name, {name: command(package, verb)}, rounds, warmup=1), results / f"{file}.json")


def save(benchmark: Benchmark, path: Path) -> None:
    """Write a benchmark as JSON, atomically; by convention ``results/benchmarks/<name>.json`` of its package."""
    write_atomic(path, json.dumps(asdict(benchmark), indent=1) + "\n")


def table(folder: Path) -> str:
    """Markdown of all benchmarks of a folder, for the README block ``benchmarks``."""
    lines = ["| work | candidate | median | ratio [quartiles] |", "|---|---|---|---|"]
    commits: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*.json")):
        b = json.loads(path.read_text(encoding="utf-8"))
        commits.setdefault(b["machine"], set()).add(f"{b['commit']} ({b['date']})")
        for i, (name, t) in enumerate(b["timings"].items()):
            ratio = "1 (reference)" if i == 0 else f"{t['ratio'][0]:.3g} [{t['ratio'][1]:.3g}, {t['ratio'][2]:.3g}]"
            lines.append(f"| {b['title'] if i == 0 else ''} | {name} | {_human(t['seconds'][0])} | {ratio} |")
    where = [f"Measured on {m}, commit {', '.join(sorted(commits[m]))}." for m in sorted(commits)]
    changed = any("+ (" in commit for found in commits.values() for commit in found)
    return "\n".join([*lines, "", *where]) + (" A +: with uncommitted changes." if changed else "")


def _human(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def _quartiles(x: list[float]) -> tuple[float, float, float]:
    low, middle, high = statistics.quantiles(x, n=4)
    return middle, low, high
