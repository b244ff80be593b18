"""``claimkit``, the command that looks at all packages: README tables, scoreboard, badges, report page."""

import datetime
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import tyro

from claimkit import bench, report, run
from claimkit.claims import Record
from claimkit.cli import run_verbs
from claimkit.errors import InputError
from claimkit.files import write_atomic
from claimkit.judging import judge_again

DESCRIPTION = "Turn recorded results into README tables, badges and the report page."


def readme(root: Path = Path(), check: bool = False) -> None:
    """Write the generated tables of all READMEs from the recorded results.

    Args:
        root: Root of the workspace.
        check: Change nothing; exit 1 when a README and its results differ.
    """
    packages = _packages(root)
    records = _recorded(packages)
    stale = []
    for folder in packages:
        mine = [r for r in records if r.package == folder.name]
        blocks = {"claims": report.claims_table(mine), "badges": report.badge_links(folder.name, mine, "../../badges")}
        if (benchmarks := folder / "results" / "benchmarks").is_dir():
            blocks["benchmarks"] = bench.table(benchmarks)
        text = (folder / "README.md").read_text(encoding="utf-8")
        for name, content in blocks.items():
            shown = name != "badges" or "<!-- badges:begin -->" in text
            if shown and report.update_block(folder / "README.md", name, content, check):
                stale.append(folder / "README.md")
    board = report.scoreboard(records, papers(root), lambda p: f"[{p}](packages/{p})")
    if report.update_block(root / "README.md", "scoreboard", board, check):
        stale.append(root / "README.md")
    for name, content in report.badges(records).items():
        path = root / "badges" / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            stale.append(path)
            if not check:
                write_atomic(path, content)
    for file in dict.fromkeys(stale):
        print(f"{file}: {'differs from the recorded results; run: claimkit readme' if check else 'updated'}")
    sys.exit(bool(check and stale))


def page(root: Path = Path(), fresh: Path = Path("report/results"), out: Path = Path("report"), link: str = "") -> None:
    """Print the scoreboard, and write index.html and the badges from the recorded and the freshly measured results.

    Args:
        root: Root of the workspace.
        fresh: Folder with one folder of new records a package; where it has a claim, it wins at equal preset.
        out: Folder of the page.
        link: Address under which the repository's files are shown, such as https://HOST/OWNER/NAME/blob/main; the files
            on this disk when not given.
    """
    from claimkit.page import write_page

    packages = _packages(root)
    new = [fresh / p.name for p in packages]
    records = [*_recorded(packages), *report.gather(*new)]
    base = link.rstrip("/") or Path(os.path.relpath(root, out)).as_posix()
    made = " ".join(filter(None, (datetime.date.today().isoformat(), f"commit {at}" if (at := run.commit(root)) else "")))
    path = write_page(records, [*(p / "results" for p in packages), *new], out, papers(root), base, made)
    for name, content in report.badges(records).items():
        write_atomic(out / "badges" / name, content)
    print(report.scoreboard(records, papers(root)))
    print(f"\n{path}")


def judge(
    package: tyro.conf.Positional[str], claims: tyro.conf.Positional[tuple[str, ...]] = (), out: Path | None = None
) -> None:
    """Judge what is recorded by the criteria and the words of today, without measuring anything.

    Args:
        package: Name of an installed package, such as msgd.
        claims: Identifiers, such as M3; all claims when none is given.
        out: Folder of the records; packages/PACKAGE/results when not given.
    """
    for old, new in judge_again(package, out or Path("packages") / package / "results", claims):
        changed = "" if old.verdict.kind == new.verdict.kind else f" (was: {old.verdict.kind})"
        print(f"{new.claim.id} at {new.preset}: {new.verdict.kind}{changed}. {new.verdict.reason}")


def papers(root: Path) -> dict[str, str]:
    """Main claim of each paper in a sentence, by arXiv identifier: the root's table ``tool.claimkit.papers``."""
    file = root / "pyproject.toml"
    tools = tomllib.loads(file.read_text(encoding="utf-8"))["tool"] if file.is_file() else {}
    return tools.get("claimkit", {}).get("papers", {})


def _packages(root: Path) -> list[Path]:
    folders = sorted(p.parent for p in (root / "packages").glob("*/pyproject.toml"))
    if not folders:
        raise InputError(f"{root.resolve()} holds no packages/*/pyproject.toml: give --root the root of the workspace")
    return folders


def _recorded(packages: Sequence[Path]) -> list[Record]:
    return report.gather(*(p / "results" for p in packages))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run_verbs({"readme": readme, "page": page, "judge": judge}, "claimkit", DESCRIPTION, argv)
