"""Badges of packages and papers: counts in words, as SVG and for shields' endpoint."""

import json
from collections import Counter
from collections.abc import Sequence

from claimkit.claims import Record, VerdictKind, best
from claimkit.report.tables import tally

COLOURS: dict[VerdictKind, str] = {
    "reproduced": "#2a7d3f",
    "direction reproduced": "#8a6d00",
    "not reproduced": "#b3261e",
    "not run": "#6b6b6b",
}


def badge(label: str, records: Sequence[Record]) -> dict[str, str | int]:
    """Badge of a package or a paper in the schema of shields' endpoint: counts in words.

    Its colour goes by the share of claims that hold, a direction being half of one: green from 4 in 5, amber from half, red.
    """
    count = Counter(r.verdict.kind for r in records)
    ran = len(records) - count["not run"]
    share = (count["reproduced"] + count["direction reproduced"] / 2) / ran if ran else 0.0
    kind: VerdictKind = "not run" if not ran else "reproduced" if share >= 0.8 else "not reproduced"
    if ran and 0.5 <= share < 0.8:
        kind = "direction reproduced"
    return {"schemaVersion": 1, "label": label, "message": tally(records), "color": COLOURS[kind].removeprefix("#")}


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


def badges(records: Sequence[Record]) -> dict[str, str]:
    """Files of all badges, of packages and papers: ``msgd.json`` (shields endpoint), ``msgd.svg``, ``1906.07405.svg`` ..."""
    chosen, files = best(records), {}
    by = {r.package: r.package for r in chosen} | {r.claim.paper: f"arXiv {r.claim.paper}" for r in chosen}
    for name, label in sorted(by.items()):
        b = badge(label, [r for r in chosen if name in (r.package, r.claim.paper)])
        files[f"{name}.json"] = json.dumps(b) + "\n"
        files[f"{name}.svg"] = badge_svg(label, str(b["message"]), str(b["color"]))
    return files


def badge_links(package: str, records: Sequence[Record], to: str) -> str:
    """Markdown that shows the badges of a package's papers; ``to`` is the folder of the badges as the README sees it."""
    papers = sorted({r.claim.paper for r in records if r.package == package})
    images = [f"[![arXiv {p}]({to}/{p}.svg)](https://arxiv.org/abs/{p})" for p in papers]
    return " ".join(
        [
            f"[![{package}: {tally([r for r in best(records) if r.package == package])}]({to}/{package}.svg)](#claims)",
            *images,
        ]
    )
