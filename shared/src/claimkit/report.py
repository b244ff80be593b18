"""Records to words: the table between markers in a README, the scoreboard, the badge."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from claimkit.claims import VERDICTS, Record, VerdictKind, best, load_records
from claimkit.errors import InputError
from claimkit.files import write_atomic

COLOURS: dict[VerdictKind, str] = {
    "reproduced": "#2a7d3f",
    "direction reproduced": "#8a6d00",
    "not reproduced": "#b3261e",
    "not run": "#6b6b6b",
}


def results_folder(package: str) -> Path | None:
    """Folder of the recorded results of an installed package: in the wheel, or beside ``src`` in a checkout."""
    from claimkit.experiment import package_folder

    folder = package_folder(package)
    places = (folder / "_results", folder.parent.parent / "results")
    return next((p for p in places if any(p.glob("*.json"))), None)


def claims_table(records: Sequence[Record]) -> str:
    """Markdown table of claims: statement, verdict, what was measured, at which preset, seeds, time and machine."""
    lines = ["| claim | verdict | measured | how |", "|---|---|---|---|"]
    for r in best(records):
        measured = f"{r.verdict.effect}. " if r.verdict.effect else ""
        how = "not run"
        if e := r.evidence:
            device = e.environment["device"]
            where = f"{e.environment['cores']} cores" if device == "cpu" else device
            how = f"{e.preset}, {_count(len(e.seeds), 'seed')}, {e.wall_seconds:.0f} s on {where}"
        name = f"[{r.claim.id}](results/{r.claim.id}.{r.preset}.json)" if r.evidence else r.claim.id
        cells = (f"**{name}** {r.claim.statement}", f"**{r.verdict.kind}**", f"{measured}{r.verdict.reason}", how)
        lines.append("| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |")
    return "\n".join(lines)


def scoreboard(records: Sequence[Record], link: Callable[[str], str] = lambda package: package) -> str:
    """Markdown table with one row a package: how many claims stand where, and the seconds it took."""
    lines = [f"| package | {' | '.join(VERDICTS)} | seconds |", f"|---|{'---|' * len(VERDICTS)}---|"]
    chosen = best(records)
    for package in sorted({r.package for r in chosen}):
        mine = [r for r in chosen if r.package == package]
        count = Counter(r.verdict.kind for r in mine)
        seconds = sum(r.evidence.wall_seconds for r in mine if r.evidence)
        lines.append(f"| {link(package)} | {' | '.join(str(count[v] or '·') for v in VERDICTS)} | {seconds:.0f} |")
    return "\n".join(lines)


def update_block(readme: Path, name: str, content: str, check: bool = False) -> bool:
    """Put generated text between ``<!-- name:begin -->`` and ``<!-- name:end -->``; True where the file had to change.

    Args:
        readme: The file.
        name: Name of the block.
        content: Markdown.
        check: Only compare.

    Raises:
        InputError: The markers are not there, or not in order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = readme.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise InputError(f"{readme} must hold the line {begin} and after it the line {end}, once each")
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    new = f"{head}{begin}\n{content}\n{end}{tail}"
    if new != text and not check:
        write_atomic(readme, new)
    return new != text


def badge(package: str, records: Sequence[Record]) -> dict[str, str | int]:
    """Badge of a package in the schema of shields' endpoint: claims reproduced out of claims run."""
    mine = [r for r in best(records) if r.package == package]
    count = Counter(r.verdict.kind for r in mine)
    ran = len(mine) - count["not run"]
    ranked: list[VerdictKind] = [v for v in VERDICTS if count[v] and v != "not run"]
    worst: VerdictKind = ranked[-1] if ranked else "not run"
    return {
        "schemaVersion": 1,
        "label": package,
        "message": f"{count['reproduced']} of {ran} claims reproduced" if ran else "not run",
        "color": COLOURS[worst].removeprefix("#"),
    }


def badge_svg(label: str, message: str, color: str) -> str:
    """A flat badge as SVG; text lengths are fixed, so that every font gives the same picture."""
    from html import escape

    left, right = (round(6.6 * len(t)) + 10 for t in (label, message))
    texts = "".join(
        f'<text x="{x}" y="14" textLength="{width - 10}" lengthAdjust="spacingAndGlyphs">{escape(t)}</text>'
        for t, x, width in ((label, left / 2, left), (message, left + right / 2, right))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{escape(label)}: {escape(message)}"><rect width="{left + right}" height="20" rx="3" fill="#444"/>'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z" fill="#{color}"/>'
        f'<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">{texts}</g>'
        "</svg>\n"
    )


def write_badge(package: str, records: Sequence[Record], folder: Path) -> None:
    """Write ``folder/<package>.json`` (shields endpoint) and ``folder/<package>.svg``."""
    b = badge(package, records)
    write_atomic(folder / f"{package}.json", json.dumps(b) + "\n")
    write_atomic(folder / f"{package}.svg", badge_svg(package, str(b["message"]), str(b["color"])))


def gather(*folders: Path) -> list[Record]:
    """Records of several folders; where two are equal in claim and preset, :func:`best` takes the later folder's."""
    return [r for folder in folders if folder.is_dir() for r in load_records(folder)]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
