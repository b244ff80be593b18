"""Pages of the documentation site that say what the records say: a package's claims, and all that was not reproduced."""

from collections.abc import Mapping, Sequence

from claimkit.claims import VERDICTS, Record, VerdictKind, best
from claimkit.records.history import Criterion
from claimkit.report.tables import disagreeing, tally
from claimkit.run import machine


def claims_page(package: str, records: Sequence[Record], changed: Mapping[str, Sequence[Criterion]]) -> str:
    """Markdown of one package's claims: for each what is asked, what came out, how it was measured, and the picture.

    Args:
        package: Its name; links go to ``../../packages/<package>/results``.
        records: Of this package; the best one of each claim is shown, other verdicts at other presets are named.
        changed: Claims whose criterion is not the one of their first record, with its wordings.
    """
    chosen, other = best(records), {a.claim.id: b for a, b in disagreeing(records)}
    lines = [
        f"# Claims of {package}",
        f"{tally(chosen)}. How a claim comes to its verdict: [how claims work](../how-claims-work.md).",
        f"Measure them again with `{package} reproduce`; `{package} list` shows the same in a terminal.",
    ]
    for r in chosen:
        heading = f"## {r.claim.id}: {plain(r.claim.title)} {{#{r.claim.id}}}"
        lines += [heading, plain(r.claim.statement), "\n".join(f"- {f}" for f in _facts(r, other.get(r.claim.id)))]
        if rows := changed.get(r.claim.id):
            since = ", then ".join(c.since_date or "today" for c in rows)
            lines.append(
                f"**The criterion is not the one under which it was first measured:** its wordings stood from {since}."
            )
        if r.picture:
            seen = plain(f"Plot of {r.claim.title}: {r.claim.statement}")
            lines.append(f"![{seen}](../../packages/{package}/results/{r.picture})")
    return "\n\n".join(lines) + "\n"


def _facts(r: Record, other: Record | None) -> list[str]:
    """What a reader needs to believe the verdict or to measure it again, a line each."""
    c, kind = r.claim, r.verdict.kind
    facts = [f"**{kind[0].upper()}{kind[1:]}.** {_outcome(r)}"]
    if other:
        facts.append(f"At preset {other.preset} it is **{other.verdict.kind}**. {_outcome(other)}")
    facts += [f"Criterion: {plain(c.criterion)}", f"The reason for its width: {plain(c.tolerance)}"]
    if c.power:
        facts.append(f"Power: {plain(str(c.power))}.")
    paper = f"[arXiv {c.paper}](https://arxiv.org/abs/{c.paper})"
    facts.append(f"Paper: {paper}, {plain(c.where)}. Reported: {plain(c.reported)}.")
    if e := r.evidence:
        seeds = f"{len(e.seeds)} seed{'' if len(e.seeds) == 1 else 's'}"
        cost = f"{e.wall_seconds:.0f} s, {e.peak_memory_mb:.0f} MB, {plain(machine(e.environment))}, {e.date[:10]}"
        facts.append(
            f"Measured at preset {e.preset}: {seeds}, {cost} ([record](../../packages/{r.package}/results/{r.file}))."
        )
        facts.append(f"Again: `{r.again}`")
    return facts


def _outcome(r: Record) -> str:
    return plain(f"{r.verdict.effect}. {r.verdict.reason}" if r.verdict.effect else r.verdict.reason)


def not_reproduced(records: Sequence[Record], papers: Mapping[str, str]) -> str:
    """Markdown of every claim that is not *reproduced*, worst first, by paper: what was asked, and what came out instead.

    Args:
        records: Of all packages; the best one of each claim counts.
        papers: arXiv identifier to the paper's main claim in a sentence.
    """
    less: list[VerdictKind] = ["not reproduced", "not run", "direction reproduced"]
    assert {*less, "reproduced"} == set(VERDICTS)
    chosen, lines = best(records), []
    for kind in less:
        mine = [r for r in chosen if r.verdict.kind == kind]
        lines.append(f"## {kind[0].upper()}{kind[1:]} ({len(mine)})")
        for paper in sorted({r.claim.paper for r in mine}):
            lines.append(f"### arXiv {paper}\n\n{papers.get(paper, '')}".strip())
            lines += [_short(r) for r in mine if r.claim.paper == paper]
    return "\n\n".join(lines) + "\n"


def _short(r: Record) -> str:
    where = f"[{r.package} {r.claim.id}]({r.package}/claims.md#{r.claim.id})"
    return f"**{where}** {plain(r.claim.statement)}\n\n- {_outcome(r)}\n- Asked was: {plain(r.claim.criterion)}"


def plain(text: str) -> str:
    r"""Text in one line that Markdown shows as it stands.

    >>> plain("a*b <c>\n$d$")
    'a\\*b &lt;c> \\$d\\$'
    """
    for sign in "\\`*_[]$":
        text = text.replace(sign, "\\" + sign)
    return " ".join(text.replace("<", "&lt;").split())
