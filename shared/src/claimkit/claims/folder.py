"""Records of a folder, in the order of their claims, and the one of each claim that counts."""

import re
from collections.abc import Iterable
from pathlib import Path

from claimkit.claims.claim import PRESETS
from claimkit.claims.record import Record
from claimkit.errors import InputError


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
