"""Records to words: the table between markers in a README, and the scoreboard."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from claimkit.claims import PRESETS, VERDICTS, Record, VerdictKind, best, load_records
from claimkit.errors import InputError
from claimkit.files import write_atomic

SHORT: dict[VerdictKind, str] = {
    "reproduced": "reproduced",
    "direction reproduced": "direction",
    "not reproduced": "not",
    "not run": "not run",
}


def results_folder(package: str) -> Path | None:
    """Folder of the recorded results of an installed package: in the wheel, or beside ``src`` in a checkout."""
    from claimkit.experiment import package_folder

    folder = package_folder(package)
    places = (folder / "_results", folder.parent.parent / "results")
    return next((p for p in places if any(p.glob("*.json"))), None)


def claims_table(records: Sequence[Record]) -> str:
    """Markdown table of claims, a line each: statement, verdict, the number that decides, how often, picture.

    What else there is to say of a claim stands on the report page and in its JSON.
    """
    lines = ["| claim | verdict | what decides | measured | picture |", "|---|---|---|---|---|"]
    others = {a.claim.id: f" (at {b.preset}: {b.verdict.kind})" for a, b in disagreeing(records)}
    for r in best(records):
        name, how, picture = r.claim.id, "·", "·"
        if e := r.evidence:
            name = f"[{r.claim.id}](results/{r.claim.id}.{r.preset}.json)"
            how = f"{e.preset}, {_count(len(e.seeds), 'seed')}"
            picture = f"[see](results/{r.picture})" if r.picture else "·"
        decides = str(r.verdict.effect) if r.verdict.effect else first_sentence(r.verdict.reason)
        cells = (
            f"**{name}** {r.claim.statement}",
            f"**{r.verdict.kind}**{others.get(r.claim.id, '')}",
            decides,
            how,
            picture,
        )
        lines.append("| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |")
    return "\n".join(lines)


def disagreeing(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """Claims whose verdict at a lower preset is another than the one shown: the record shown, and the other."""
    shown = {(r.package, r.claim.id): r for r in best(records)}
    pairs = [(shown[key], r) for r in records if (key := (r.package, r.claim.id)) in shown and r.preset in ("small", "full")]
    return [(a, b) for a, b in pairs if a.preset != b.preset and a.verdict.kind != b.verdict.kind]


def first_sentence(text: str) -> str:
    """Text up to its first full stop that ends a sentence.

    >>> first_sentence("The gap is 0.4. It is wide.")
    'The gap is 0.4.'
    """
    return re.split(r"(?<=[.;])\s+(?=[A-Z])", text, maxsplit=1)[0]


def seconds_spent(records: Sequence[Record]) -> float:
    """Seconds of all runs; a measurement that several claims share is counted once."""
    runs = {(r.package, r.code, e.preset, e.fingerprint): e.wall_seconds for r in records if (e := r.evidence)}
    return sum(runs.values())


def tally(records: Sequence[Record]) -> str:
    """Counts in words: ``7 reproduced, 1 direction, 1 not``.

    >>> tally([])
    'not run'
    """
    count = Counter(r.verdict.kind for r in records)
    return ", ".join(f"{count[kind]} {SHORT[kind]}" for kind in VERDICTS if count[kind]) or "not run"


def scoreboard(
    records: Sequence[Record], papers: Mapping[str, str], link: Callable[[str], str] = lambda package: package
) -> str:
    """Markdown table with one row a paper: its main claim, how many claims stand where, presets, last day and seconds.

    Where a claim has another verdict at small than at full, the one at full counts and the claim is named.

    Args:
        records: Everything measured; the best record of each claim counts.
        papers: arXiv identifier to the paper's main claim in a sentence; papers that are not here show none.
        link: A package's name as it is shown.
    """
    lines = ["| paper | its main claim | in | claims here | measured | seconds |", "|---|---|---|---|---|---|"]
    chosen = best(records)
    for paper in sorted({r.claim.paper for r in chosen}):
        mine = [r for r in chosen if r.claim.paper == paper]
        ran = [e for r in mine if (e := r.evidence)]
        presets = " and ".join(p for p in PRESETS if any(e.preset == p for e in ran))
        other = [a.claim.id for a, _ in disagreeing(records) if a.claim.paper == paper]
        presets += f" (they disagree on {', '.join(other)})" if other else ""
        when = f"{presets}, to {max(e.date for e in ran)[:10]}" if ran else "·"
        where = ", ".join(link(p) for p in sorted({r.package for r in mine}))
        cells = (f"[{paper}](https://arxiv.org/abs/{paper})", papers.get(paper, "·"), where, tally(mine), when)
        lines.append(f"| {' | '.join(cells)} | {seconds_spent(mine):.0f} |")
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


def gather(*folders: Path) -> list[Record]:
    """Records of several folders; where two are equal in claim and preset, :func:`best` takes the later folder's."""
    return [r for folder in folders if folder.is_dir() for r in load_records(folder)]


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
