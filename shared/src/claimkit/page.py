"""The static report page: every claim with its verdict, numbers, picture and circumstances; no external assets."""

import importlib.resources
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from claimkit.claims import VERDICTS, Record, best
from claimkit.files import write_atomic
from claimkit.report import COLOURS
from claimkit.run import machine


def write_page(
    records: Sequence[Record], pictures: Sequence[Path], out: Path, sources: Mapping[str, str] | None = None
) -> Path:
    """Write ``out/index.html`` and copy the pictures beside it.

    Args:
        records: Everything measured; the best record of each claim is shown.
        pictures: Folders in which the records' pictures may lie, the preferred one last.
        out: Folder of the page.
        sources: Package to the address its code is linked under, if any.

    Returns:
        Path of the page.
    """
    from jinja2 import Environment

    chosen = best(records)
    copied = {(r.package, r.claim.id): _copy(r, pictures, out) for r in chosen if r.picture}
    template = importlib.resources.files("claimkit").joinpath("page.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    html = page.render(
        records=chosen,
        packages=sorted({r.package for r in chosen}),
        verdicts=VERDICTS,
        colours=COLOURS,
        count=Counter(r.verdict.kind for r in chosen),
        pictures=copied,
        machine=machine,
        brief=brief,
        sources=sources or {},
    )
    write_atomic(out / "index.html", html)
    return out / "index.html"


def brief(value: object, most: int = 6) -> str:
    """A value of the evidence in a line: numbers shortened, long lists cut.

    >>> brief({"gd": [0.123456, 2, 3, 4, 5, 6, 7], "sgd": 1e-12})
    'gd: 0.1235, 2, 3, 4, 5, 6 … (7 values); sgd: 1e-12'
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{k}: {brief(v)}" for k, v in value.items())
    if isinstance(value, list):
        rest = f" … ({len(value)} values)" if len(value) > most else ""
        return ", ".join(brief(v) for v in value[:most]) + rest
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _copy(record: Record, folders: Sequence[Path], out: Path) -> str | None:
    """Copy a record's picture under a name of its own; its relative address, or None where it is missing."""
    name = f"pictures/{record.package}-{record.picture}"
    for folder in reversed(folders):
        source = folder / str(record.picture)
        if record.package in folder.parts and source.is_file():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, out / name)
            return name
    return None
