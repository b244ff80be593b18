"""The static report page: every claim with its verdict, numbers, picture, circumstances; nothing loaded from elsewhere."""

import importlib.resources
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from claimkit.claims import VERDICTS, Record, best
from claimkit.files import write_atomic
from claimkit.records import history
from claimkit.report.badges import COLOURS
from claimkit.report.tables import tally
from claimkit.run import machine


def write_page(
    records: Sequence[Record],
    folders: Sequence[Path],
    out: Path,
    main_claims: Mapping[str, str] | None = None,
    link: str = "",
    made: str = "",
) -> Path:
    """Write ``out/index.html`` and copy pictures and records beside it.

    Args:
        records: Everything measured; the best record of each claim is shown, other verdicts at other presets are named.
        folders: Folders in which records and pictures may lie, the preferred one last.
        out: Folder of the page.
        main_claims: Main claim of each paper in a sentence, by arXiv identifier.
        link: Address of the repository's files, such as https://HOST/OWNER/NAME/blob/main, or a relative path, if any; at an
            address code is linked at the commit that was measured.
        made: When, and from which commit, the page was made.

    Returns:
        Path of the page.
    """
    from jinja2 import Environment

    chosen = best(records)
    key = {id(r): (r.package, r.claim.id) for r in chosen}
    others: dict[tuple[str, str], list[Record]] = {}
    for r in records:
        if id(r) not in key and r.preset not in (None, "smoke"):
            others.setdefault((r.package, r.claim.id), []).append(r)
    template = importlib.resources.files("claimkit.report").joinpath("page.html.j2").read_text(encoding="utf-8")
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    html = page.render(
        records=chosen,
        packages=sorted({r.package for r in chosen}),
        papers=sorted({r.claim.paper for r in chosen}),
        main_claims=main_claims or {},
        verdicts=VERDICTS,
        colours=COLOURS,
        count=Counter(r.verdict.kind for r in chosen),
        tally=tally,
        others=others,
        pictures={key[id(r)]: _copy(r, str(r.picture), folders, out / "pictures") for r in chosen if r.picture},
        record_links={
            key[id(r)]: _copy(r, f"{r.claim.id}.{r.preset}.json", folders, out / "records") for r in chosen if r.evidence
        },
        code_links={key[id(r)]: _code_link(r, folders, link) for r in chosen if link},
        changed={(f.parent.name, c): rows for f in folders for c, rows in history.changed(f).items()},
        machine=machine,
        brief=brief,
        seen=seen,
        made=made,
    )
    write_atomic(out / "index.html", html)
    return out / "index.html"


def seen(record: Record) -> str:
    """What the picture of a record shows, for who does not see it."""
    measured = f" {record.verdict.effect}." if record.verdict.effect else ""
    return f"Plot of {record.claim.title}: {record.claim.statement}{measured} {record.verdict.reason}"


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


def _copy(record: Record, name: str, folders: Sequence[Path], to: Path) -> str | None:
    """Copy a file of a record under a name of its own; its relative address, or None where it is missing."""
    for folder in reversed(folders):
        source = folder / name
        if record.package in folder.parts and source.is_file():
            target = to / f"{record.package}-{name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            return f"{to.name}/{target.name}"
    return None


def _code_link(record: Record, folders: Sequence[Path], link: str) -> str | None:
    """Address of the line where a measurement is written, or of its file at the commit that was measured."""
    module, _, function = record.code.partition(":")
    inside = f"packages/{record.package}/src/{module.replace('.', '/')}.py"
    commit = record.evidence.commit if record.evidence else None
    if "/blob/" in link and commit and re.fullmatch(r"[0-9a-f]{7,40}", commit):
        return f"{link.split('/blob/')[0]}/blob/{commit}/{inside}"
    for folder in folders:
        file = folder.parent / "src" / f"{module.replace('.', '/')}.py"
        if file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines()
            line = next((n for n, text in enumerate(lines, 1) if text.startswith(f"def {function}(")), 1)
            return f"{link}/{inside}#L{line}"
    return None
