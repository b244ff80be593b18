"""Why a message log can be shown later: every line carries the hash of the one before it, and both sides agree.

`chain_k = SHA-256(chain_(k-1), line_k)`. A line that was changed, added or cut out of the middle breaks its owner's own
chain. Lines cut off the end do not; they are missing against the other side's log, because every message of a session
carries one transcript hash at both sides.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from securegbm.errors import SecureGBMError

FIRST = "00" * 32
IN_FLIGHT = 2
"""Messages by which two logs of one session may differ at its end: a request or its answer was on the way."""

Line = dict[str, Any]


def chain(before: str, line: Line) -> str:
    """The hash a line carries, given the one of the line before it."""
    text = json.dumps({name: value for name, value in line.items() if name != "chain"}, sort_keys=True)
    return hashlib.sha256(bytes.fromhex(before) + text.encode()).hexdigest()


def last_chain(path: Path) -> str:
    """The hash of the last whole line of a log; the first one when there is none."""
    if not path.exists():
        return FIRST
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65536))
        lines = file.read().splitlines()
    for line in reversed(lines):
        try:
            return str(json.loads(line)["chain"])
        except (ValueError, KeyError, TypeError):
            continue
    return FIRST


def check_chain(lines: list[Line], name: str) -> None:
    """Check a log against itself.

    Raises:
        SecureGBMError: At the first line that was changed, or before which something was cut out or put in.
    """
    before = FIRST
    for number, line in enumerate(lines, 1):
        if "chain" not in line:
            raise SecureGBMError(f"line {number} of {name} carries no hash; logs of earlier versions prove nothing")
        if chain(before, line) != line["chain"]:
            raise SecureGBMError(f"line {number} of {name} was changed, or lines before it were cut out or put in")
        before = line["chain"]


def sessions(lines: list[Line]) -> dict[str, list[tuple[str, str]]]:
    """(transcript hash, direction) of every message, by session; the transcript of its greeting names a session."""
    found: dict[str, list[tuple[str, str]]] = {}
    opened: dict[str, list[tuple[str, str]]] = {}
    for line in lines:
        if line["kind"] == "ABORT":
            continue
        side = "label" if (line["role"] == "label") == (line["direction"] == "sent") else "feature"
        if line["kind"] == "HELLO" and side == "label":
            opened[line["run"]] = found[line["transcript"]] = []
        opened.setdefault(line["run"], []).append((line["transcript"], side))
    return found


def compare(ours: list[Line], theirs: list[Line]) -> Iterator[str]:
    """Check two sides' logs against each other; sentences about what agrees.

    Raises:
        SecureGBMError: If they do not belong to each other or differ.
    """
    if ours and theirs and ours[0]["role"] == theirs[0]["role"]:
        raise SecureGBMError("both logs are of the same side; give one of the label party and one of the feature party")
    mine, other = sessions(ours), sessions(theirs)
    total = 0
    for name in mine.keys() | other.keys():
        one, two = mine.get(name, []), other.get(name, [])
        common = min(len(one), len(two))
        if one[:common] != two[:common] or abs(len(one) - len(two)) > IN_FLIGHT:
            raise SecureGBMError(
                f"the logs differ in the session that began with {name[:16]}: "
                f"{len(one)} and {len(two)} messages, {_alike(one, two)} of them alike"
            )
        total += common
    yield f"both logs agree: {len(mine.keys() & other.keys())} sessions, {total} messages"


def _alike(one: list[tuple[str, str]], two: list[tuple[str, str]]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
