"""Many pictures: which content meets which style, where each result goes, and going on after a file that cannot be used."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import AnyPath
from claimkit.media.policy import Existing, Listing, check_results, list_pictures, name_results

Pairs = Literal["all", "matched"]


@dataclass(frozen=True)
class Task:
    """One picture to make."""

    content: Path
    styles: tuple[Path, ...]
    target: Path


@dataclass(frozen=True)
class Plan:
    """What is to be made, and a sentence on each file that was not taken."""

    tasks: list[Task]
    notes: list[str]


def plan(
    content: AnyPath,
    styles: Sequence[AnyPath],
    out: AnyPath | None,
    suffix: str,
    *,
    pairs: Pairs = "all",
    mixed: bool = False,
    existing: Existing = "replace",
    inputs: Iterable[AnyPath | None] = (),
) -> Plan:
    """Pair contents with styles, and name the results.

    Args:
        content: A picture, or a folder of pictures.
        styles: Pictures, saved styles, or folders of pictures.
        out: File of the one result, or folder; the caller's folder where it is None.
        suffix: Format of results in folders, such as ``.jpg``.
        pairs: Every content with every style, or the first with the first and so on.
        mixed: All styles together make one picture of each content.
        existing: What becomes of results that exist.
        inputs: Other files that are read, and must not be replaced.

    Raises:
        InputError: Nothing to pair, numbers that do not match, or a result that would replace an input.
    """
    out = None if out is None else Path(out)
    contents, looks = _expanded(content), [_expanded(s) for s in styles]
    given = [file for listing in looks for file in listing.files]
    if not given:
        raise InputError("no style was given: name at least one picture after the content")
    if mixed:
        couples = [(c, tuple(given)) for c in contents.files]
    elif pairs == "matched":
        if len(contents.files) != len(given):
            raise InputError(f"{len(contents.files)} contents and {len(given)} styles cannot be matched: use --pairs all")
        couples = [(c, (s,)) for c, s in zip(contents.files, given, strict=True)]
    else:
        couples = [(c, (s,)) for c in contents.files for s in given]
    if out is not None and out.suffix and not out.is_dir():
        if len(couples) > 1:
            raise InputError(f"{len(couples)} pictures do not fit in the one file {out}: give --out a folder")
        targets = [out]
    else:
        targets = name_results([(c, *s) for c, s in couples], Path() if out is None else out, suffix)
    read = [*contents.files, *given, *(p for p in inputs if p is not None)]
    check_results(targets, read, existing)
    notes = [*contents.skipped, *(note for listing in looks for note in listing.skipped)]
    tasks = [Task(c, s, t) for (c, s), t in zip(couples, targets, strict=True)]
    if existing == "skip" and (there := [t for t in tasks if t.target.exists()]):
        notes.append(f"{len(there)} result(s) exist already and are skipped")
        tasks = [t for t in tasks if not t.target.exists()]
    return Plan(tasks, notes)


def make_all(todo: Plan, make: Callable[[Task], Iterable[str]]) -> None:
    """Make every picture and print its name; notes and what could not be made follow on the error stream.

    Args:
        todo: The pictures.
        make: Makes one; returns a sentence on each thing that was lost or guessed.

    Raises:
        InputError: Some could not be made; a file that cannot be used costs its own pictures only.
    """
    problems: Counter[str] = Counter()
    notes: Counter[str] = Counter(todo.notes)
    for task in run.progress(todo.tasks, "stylise", unit="picture"):
        try:
            notes.update(make(task))
        except InputError as e:
            known = any(path.name in str(e) for path in (task.content, *task.styles, task.target))
            problems[str(e) if known or len(todo.tasks) == 1 else f"{task.content}: {e}"] += 1
        except OSError as e:
            problems[f"{task.target}: {e.strerror or e}"] += 1
        else:
            print(task.target, flush=True)
    for note, count in notes.items():
        print(note if count == 1 else f"{note} ({count} times)", file=sys.stderr)
    if len(todo.tasks) == 1 and problems:
        raise InputError(next(iter(problems)))
    for problem, count in problems.items():
        print(f"{count} not made: {problem}", file=sys.stderr)
    if problems:
        raise InputError(f"{problems.total()} of {len(todo.tasks)} pictures were not made, for the reasons above")


def _expanded(path: AnyPath) -> Listing:
    path = Path(path)
    return list_pictures(path) if path.is_dir() else Listing([path], [])
