"""The verbs that all packages have in common, and the one way in which a package's command line is made.

Only the standard library and tyro are imported before a command is known: ``--help`` answers at once.
"""

import io
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import tyro

from claimkit.claims import Claim, Preset, VerdictKind, best, load_records
from claimkit.errors import InputError

Verb = Callable[..., None]
RENAMED = {"--jobs": "--workers"}
"""Former names of options that all packages have."""
MARKS: dict[VerdictKind, str] = {"reproduced": "✔", "direction reproduced": "↗", "not reproduced": "✘", "not run": "–"}


def main(
    package: str,
    description: str,
    verbs: Mapping[str, Verb],
    citation: str,
    argv: Sequence[str] | None = None,
    renamed: Mapping[str, str] | None = None,
) -> None:
    """Run the command line of a package: its own verbs, then ``reproduce``, ``list`` and ``cite``.

    Args:
        package: Name of the package and of its command.
        description: One sentence for ``--help``.
        verbs: Names to functions; a function's docstring is its help and its annotated parameters are its options.
        citation: BibTeX of the papers.
        argv: Arguments, by default the process's.
        renamed: Former names of options and verbs to those of now; for one version a former one is taken, with a notice.

    Exits 2 with one sentence on bad input, 1 when a claim's code broke, 3 when a recorded verdict was lost, 130 when
    interrupted, 143 when told to end (SIGTERM); after either nothing half written is left.
    """

    def cite() -> None:
        """Print how to cite the papers behind this package, as BibTeX.

        Example: {package} cite
        """
        print(citation.strip())

    def list_() -> None:
        """List the claims: verdict, preset, time, memory and machine of the recorded runs.

        Example: {package} list
        """
        _list(package)

    def reproduce(
        claim: tyro.conf.Positional[tuple[str, ...]] = (),
        preset: Preset = "small",
        seeds: int | None = None,
        out: Path | None = None,
        device: str = "auto",
        workers: int | None = None,
        data: Path | None = None,
        fresh: bool = False,
        paper: str | None = None,
    ) -> None:
        """Measure the paper's claims again, judge each and write one JSON and one picture a claim.

        An interrupted run resumes at the first unfinished seed; what the same code and libraries measured on the same data
        is not run twice. Last comes each claim beside its record; exit code 3 says that one holds less than recorded.

        Example: {package} reproduce --preset small --out records

        Args:
            claim: Identifiers, such as M3; all claims when none is given.
            preset: smoke (wiring only), small (minutes), full (hours, needs --data), paper (the paper's own setting).
            seeds: Number of seeds instead of the preset's.
            out: Folder of the records; reproduced/PACKAGE when not given.
            device: auto, cpu, cuda, cuda:N or mps.
            workers: Processes to run seeds in; -1 is one a core. When not given, seeds of one thread share the cores and
                whatever is timed runs alone.
            data: Folder of data sets and weights; CLAIMKIT_DATA when not given.
            fresh: Measure again what is already measured.
            paper: Only the claims of this paper, such as 1912.02398.
        """
        if paper is not None:
            from claimkit.experiment import claims_of

            claim = claims_of(package, paper, claim)
        folder = out if out is not None else Path("reproduced") / package
        sys.exit(_reproduce(package, claim, preset, seeds, folder, device, workers, data, fresh))

    given = _in_new_words(sys.argv[1:] if argv is None else argv, {**RENAMED, **(renamed or {})}, package)
    common: dict[str, Verb] = {"reproduce": reproduce, "list": list_, "cite": cite}
    for verb in common.values():
        verb.__doc__ = (verb.__doc__ or "").replace("{package}", package)
    run_verbs({**verbs, **common}, package, description, given)


def _in_new_words(argv: Sequence[str], renamed: Mapping[str, str], prog: str) -> list[str]:
    """Arguments with verbs and options that were renamed under their names of now; a notice for each."""
    out = []
    for place, argument in enumerate(argv):
        name, equals, value = argument.partition("=") if argument.startswith("--") else (argument, "", "")
        known = place == 0 or name.startswith("--")  # a verb, or an option; a file may be called as a verb was
        now = renamed.get(name.replace("_", "-") if name.startswith("--") else name, name) if known else name
        if now != name:
            print(f"{prog}: {name} is called {now} now", file=sys.stderr)
        out.append(now + equals + value)
    return out


def run_verbs(verbs: Mapping[str, Verb], prog: str, description: str, argv: Sequence[str] | None = None) -> None:
    """Parse and run one of several verbs of the command ``prog``; bad input is one sentence and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that is not UTF-8 still gets its text
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"]:
        from claimkit.run import distribution

        print(f"{prog} {version(distribution(prog))}")
        return
    try:
        with _told_to_end():
            tyro.extras.subcommand_cli_from_dict(
                dict(verbs), prog=prog, description=f"{description} (--version prints the version.)", args=arguments
            )
            sys.stdout.flush()
    except InputError as e:
        fail(str(e), prog)
    except OSError as e:
        if isinstance(e, BrokenPipeError) and _reader_left():
            sys.exit(141)  # as what the system ends by SIGPIPE
        # no such file, no permission, disk full: what the system says is the sentence
        fail(f"{e.strerror or e}{f': {e.filename}' if e.filename else ''}", prog)
    except KeyboardInterrupt as e:
        print(f"{prog}: interrupted; what was finished is kept, nothing half written is left", file=sys.stderr)
        sys.exit(143 if isinstance(e, Terminated) else 130)


class Terminated(KeyboardInterrupt):
    """The system told this process to end (SIGTERM): as Ctrl-C, it leaves nothing half written."""


@contextmanager
def _told_to_end() -> Iterator[None]:
    """SIGTERM raises :class:`Terminated` in the main thread; processes that are forked die of it as ever. Not on Windows."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(os, "register_at_fork"):
        yield
        return
    _leave_forks_alone()
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(*_: Any) -> NoReturn:
    raise Terminated


@lru_cache(1)
def _leave_forks_alone() -> None:
    """A fork holds the signal back until its child has the system's own handler: Python forgets what came before."""
    hold = partial(signal.pthread_sigmask, signal.SIG_BLOCK, {signal.SIGTERM})
    release = partial(signal.pthread_sigmask, signal.SIG_UNBLOCK, {signal.SIGTERM})

    def as_ever() -> None:
        if signal.getsignal(signal.SIGTERM) is _end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=as_ever)


def _reader_left() -> bool:
    """Whether nobody reads what is printed any more, as behind ``| head``; the rest of it then goes nowhere."""
    output, poll = sys.stdout.fileno(), select.poll()
    poll.register(output, select.POLLOUT)
    left = any(events & select.POLLERR for _, events in poll.poll(0))
    if left:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return left


def fail(sentence: str, prog: str) -> NoReturn:
    """Print one sentence and exit 2."""
    print(f"{prog}: {sentence}", file=sys.stderr)
    sys.exit(2)


def _reproduce(package: str, claim: Sequence[str], preset: Preset, seeds: int | None, out: Path, *rest: Any) -> int:
    """Run, print a line a claim, then each beside its record, and return the exit code."""
    from claimkit.experiment import load_experiments
    from claimkit.records import verify
    from claimkit.report.tables import results_folder
    from claimkit.runner import reproduce

    device, jobs, data, fresh = rest
    recorded = results_folder(package)
    before = [r for r in (load_records(recorded) if recorded else []) if r.preset == preset]
    broken, measured = [], []
    for o in reproduce(package, claim, preset, seeds, out, device, jobs, data, fresh):
        if o.record is None:
            broken.append(o.claim)
            print(f"! {o.claim}: the measurement broke\n{o.error}", file=sys.stderr)
            continue
        measured.append(o.record)
        e, v = o.record.evidence, o.record.verdict
        again = ", already measured" if o.reused else ""
        cost = f"  ({e.wall_seconds:.0f} s, {e.peak_memory_mb:.0f} MB{again})" if e else ""
        effect = f"{v.effect}. " if v.effect else ""
        title = f"{o.claim:<4} {o.record.claim.title}"
        line = f"· {title}: ran" if e and preset == "smoke" else f"{MARKS[v.kind]} {title}: {v.kind}. {effect}{v.reason}"
        print(line + cost, flush=True)
    print(f"records and pictures: {out}")
    if preset == "smoke":
        print("preset smoke shows that everything runs; it proves nothing and enters no table")
    tried = [r for r in before if r.claim.id in {*broken, *(r.claim.id for r in measured)}]
    found = verify.compare(tried, measured, {e.claim.id: e for e in load_experiments(package)}) if tried else []
    if found:
        print("beside the record:", *found, sep="\n")
    if broken:
        print(f"{package}: {', '.join(broken)} could not be measured, see above", file=sys.stderr)
        return 1
    return verify.LOST if any(c.lost for c in found) else 0


def _list(package: str) -> None:
    from claimkit.experiment import load_experiments
    from claimkit.report.tables import results_folder
    from claimkit.run import machine

    folder = results_folder(package)
    records = {r.claim.id: r for r in best(load_records(folder))} if folder else {}
    if not records:
        for e in load_experiments(package):
            print(f"– {e.claim.id:<4} {e.claim.title}: no recorded run here; presets {', '.join(e.presets)}")
            _power(e.claim)
    for r in records.values():
        print(f"{MARKS[r.verdict.kind]} {r.claim.id:<4} {r.claim.title}: {r.verdict.kind}")
        if e := r.evidence:
            where = machine(e.environment)
            cost = f"{len(e.seeds)} seed(s), {e.wall_seconds:.0f} s, {e.peak_memory_mb:.0f} MB"
            print(f"       {e.preset}, {cost}, {where}, commit {e.commit}")
            print(f"       again: {r.again}")
        _power(r.claim)


def _power(claim: Claim) -> None:
    if claim.power:
        print(f"       power: {claim.power}")
