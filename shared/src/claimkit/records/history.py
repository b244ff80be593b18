"""When a criterion first stood: in the code and in the records, as the history of a checkout tells it.

``results/criteria.tsv`` keeps the answer beside the records, for those who have no history.
"""

import ast
import csv
import dataclasses
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from claimkit.claims import Claim, natural
from claimkit.files import text_digest, write_atomic
from claimkit.run import git

NAME = "criteria.tsv"


@dataclass(frozen=True)
class Criterion:
    """One wording of a claim's criterion; commits and dates are empty where it is not committed, or not yet measured."""

    claim: str
    digest: str
    """First 16 digits of the sha256 of its text."""
    since: str = ""
    """Commit in which it first stood in the code, or in a record where the code puts it together from parts."""
    since_date: str = ""
    recorded: str = ""
    """Commit of the first record under it."""
    recorded_date: str = ""


def short(criterion: str) -> str:
    """The digest by which a wording is known."""
    return text_digest(criterion)[:16]


def read(folder: Path) -> dict[str, list[Criterion]]:
    """Claim to its wordings, oldest first; empty where none were written."""
    file = folder / NAME
    rows = csv.DictReader(StringIO(file.read_text(encoding="utf-8")), delimiter="\t") if file.exists() else ()
    found: dict[str, list[Criterion]] = {}
    for row in rows:
        found.setdefault(row["claim"], []).append(Criterion(**row))
    return found


def changed(folder: Path) -> dict[str, list[Criterion]]:
    """Claims whose criterion changed after their first record, with every wording; what a page has to say."""
    return {c: rows for c, rows in read(folder).items() if len(rows) > 1 and any(r.recorded for r in rows[:-1])}


def write(package: Path, claims: Sequence[Claim]) -> bool:
    """Bring ``results/criteria.tsv`` of a package's folder up to date; True where it changed.

    Wordings are looked up in the history where one is without its commits; where there is no whole history, new ones are
    added without.
    """
    old = [r for rows in read(package / "results").values() for r in rows]
    known = {(r.claim, r.digest) for r in old if r.since and r.recorded}
    wanted = {(c.id, short(c.criterion)) for c in claims}
    if wanted <= known:
        return False
    if git(package, "rev-parse", "--is-shallow-repository").strip() == "false":
        rows = list(_history(package, claims))
    else:
        rows = old + [Criterion(*key) for key in sorted(wanted - {(r.claim, r.digest) for r in old})]
    rows.sort(key=lambda r: natural(r.claim))
    text = StringIO()
    table = csv.DictWriter(text, [f.name for f in dataclasses.fields(Criterion)], delimiter="\t", lineterminator="\n")
    table.writeheader()
    table.writerows([dataclasses.asdict(r) for r in rows])
    file = package / "results" / NAME
    if file.exists() and file.read_text(encoding="utf-8") == text.getvalue():
        return False
    write_atomic(file, text.getvalue())
    return True


def _history(package: Path, claims: Sequence[Claim]) -> Iterator[Criterion]:
    """All wordings of the claims: those of the records in the order in which they came, then today's."""
    recorded: dict[tuple[str, str], tuple[str, str]] = {}
    for commit, date, text in _versions(package, "results/*.json"):
        record = _json(text)
        if record.get("evidence"):
            key = record["claim"]["id"], short(record["claim"]["criterion"])
            recorded.setdefault(key, (commit, date))
    wanted = {c.id for c in claims}
    wordings = dict.fromkeys([*(k for k in recorded if k[0] in wanted), *((c.id, short(c.criterion)) for c in claims)])
    stood: Mapping[str, tuple[str, str]] = _first_stood(package, {digest for _, digest in wordings})
    for claim, digest in wordings:
        record = recorded.get((claim, digest), ("", ""))
        yield Criterion(claim, digest, *(stood.get(digest) or record), *record)


def _first_stood(package: Path, digests: set[str]) -> dict[str, tuple[str, str]]:
    """Digest to the first commit (and its date) whose code holds a text of this digest."""
    found: dict[str, tuple[str, str]] = {}
    for commit, date, text in _versions(package, "src/*.py"):
        if "criterion" not in text or len(found) == len(digests):
            continue
        try:
            nodes = list(ast.walk(ast.parse(text)))
        except SyntaxError:
            continue
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and (d := short(node.value)) in digests:
                found.setdefault(d, (commit, date))
    return found


def _versions(package: Path, pattern: str) -> Iterator[tuple[str, str, str]]:
    """Commit, date and content of every version of the files of a package, oldest first."""
    log = git(package, "log", "--reverse", "--format=%x00%h %cs", "--abbrev=12", "--name-only", "--relative", "--", pattern)
    entries = [entry.split("\n") for entry in log.split("\0")[1:]]
    files = [(head.split(), name) for head, *names in entries for name in names if name]
    with subprocess.Popen(
        ["git", "-C", str(package), "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout
        for (commit, date), name in files:
            process.stdin.write(f"{commit}:./{name}\n".encode())
            process.stdin.flush()
            answer = process.stdout.readline().split()
            if len(answer) == 3:  # otherwise the commit removed it
                text = process.stdout.read(int(answer[2]) + 1).decode("utf-8", "replace")
                yield commit, date, text
        process.stdin.close()


def _json(text: str) -> dict:
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) and "claim" in value else {}
