"""``claimkit``, the command that looks at all packages: README tables, scoreboard, badges, report page, and the checks."""

import datetime
import os
import sys
import tomllib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import tyro

from claimkit import bench, run
from claimkit.claims import Record, sums
from claimkit.cli import run_verbs
from claimkit.errors import InputError
from claimkit.experiment import load_experiments
from claimkit.files import write_atomic
from claimkit.records import checks, history
from claimkit.records.judging import judge_again
from claimkit.records.verify import LOST, compare, table
from claimkit.report import badges, tables

DESCRIPTION = "Turn recorded results into README tables, badges and the report page."


def readme(root: Path = Path(), check: bool = False) -> None:
    """Write the generated tables of all READMEs from the recorded results, and note records that are new.

    Args:
        root: Root of the workspace.
        check: Change nothing; judge every record again, and exit 1 when a record is not what a command once wrote, when
            today's code says otherwise of it, or when a README differs.
    """
    packages = _packages(root)
    wrong = [s for p in packages for s in checks.check(p)] if check else [s for p in packages for s in _noted(p)]
    records = _recorded(packages)
    stale = []
    for folder in packages:
        mine = [r for r in records if r.package == folder.name]
        blocks = {"claims": tables.claims_table(mine), "badges": badges.badge_links(folder.name, mine, "../../badges")}
        if (benchmarks := folder / "results" / "benchmarks").is_dir():
            blocks["benchmarks"] = bench.table(benchmarks)
        text = (folder / "README.md").read_text(encoding="utf-8")
        for name, content in blocks.items():
            shown = name != "badges" or "<!-- badges:begin -->" in text
            if shown and tables.update_block(folder / "README.md", name, content, check):
                stale.append(folder / "README.md")
    board = tables.scoreboard(records, papers(root), lambda p: f"[{p}](packages/{p})")
    if tables.update_block(root / "README.md", "scoreboard", board, check):
        stale.append(root / "README.md")
    for name, content in badges.badges(records).items():
        path = root / "badges" / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            stale.append(path)
            if not check:
                write_atomic(path, content)
    differs = "differs from the recorded results; run: claimkit readme" if check else "updated"
    print(*wrong, *(f"{file}: {differs}" for file in dict.fromkeys(stale)), sep="\n", end="\n" if wrong or stale else "")
    sys.exit(bool(check and (stale or wrong)))


def _noted(package: Path) -> list[str]:
    """Note the sums of records that have none, and where their criteria first stood; the files that changed by it."""
    folder = package / "results"
    claims = {r.claim.id: r.claim for r in tables.gather(folder)}
    done = {
        sums.NAME: sums.complete(folder, checks.files(folder)),
        history.NAME: history.write(package, list(claims.values())),
    }
    return [f"{folder / name}: updated" for name, changed in done.items() if changed]


def page(root: Path = Path(), fresh: Path = Path("report/results"), out: Path = Path("report"), link: str = "") -> None:
    """Print the scoreboard, and write index.html and the badges from the recorded and the freshly measured results.

    Args:
        root: Root of the workspace.
        fresh: Folder with one folder of new records a package; where it has a claim, it wins at equal preset.
        out: Folder of the page.
        link: Address under which the repository's files are shown, such as https://HOST/OWNER/NAME/blob/main; the files
            on this disk when not given.
    """
    from claimkit.report.page import write_page

    packages = _packages(root)
    new = [fresh / p.name for p in packages]
    records = [*_recorded(packages), *tables.gather(*new)]
    base = link.rstrip("/") or Path(os.path.relpath(root, out)).as_posix()
    made = " ".join(filter(None, (datetime.date.today().isoformat(), f"commit {at}" if (at := run.commit(root)) else "")))
    path = write_page(records, [*(p / "results" for p in packages), *new], out, papers(root), base, made)
    for name, content in badges.badges(records).items():
        write_atomic(out / "badges" / name, content)
    print(tables.scoreboard(records, papers(root)))
    print(f"\n{path}")


def verify(
    packages: tyro.conf.Positional[tuple[str, ...]] = (), root: Path = Path(), fresh: Path = Path("report/results")
) -> None:
    """Compare freshly measured records with the recorded ones: verdicts, and values within each claim's tolerance.

    Prints a table; exits 3 when a claim holds less than it did. It measures nothing: nox -s reproduce does, and leaves its
    records in report/results.

    Args:
        packages: Names of packages; all when none is given.
        root: Root of the workspace.
        fresh: Folder with one folder of new records a package.
    """
    folders = [p for p in _packages(root) if not packages or p.name in packages]
    if unknown := set(packages) - {p.name for p in folders}:
        raise InputError(f"{root.resolve()} has no package {min(unknown)!r}")
    found = []
    for p in folders:
        new = tables.gather(fresh / p.name)
        if not new:
            raise InputError(f'{fresh / p.name} holds no records: measure with nox -s "reproduce({p.name})"')
        presets = {r.preset for r in new if r.preset}
        old = [r for r in tables.gather(p / "results") if r.preset in presets]
        experiments = {e.claim.id: e for e in load_experiments(p.name)} if find_spec(p.name) else {}
        found += compare(old, new, experiments)
    print(table(found))
    lost = [c for c in found if c.lost]
    print(f"\n{len(found)} claims measured again: {sum(c.agrees for c in found)} agree, {len(lost)} hold no longer.")
    sys.exit(LOST if lost else 0)


def judge(
    package: tyro.conf.Positional[str],
    claims: tyro.conf.Positional[tuple[str, ...]] = (),
    out: Path | None = None,
    draw: bool = True,
) -> None:
    """Judge what is recorded by the criteria and the words of today, without measuring anything.

    Args:
        package: Name of an installed package, such as msgd.
        claims: Identifiers, such as M3; all claims when none is given.
        out: Folder of the records; packages/PACKAGE/results when not given.
        draw: Draw the pictures again, too; minutes where they are painted by networks.
    """
    for old, new in judge_again(package, out or Path("packages") / package / "results", claims, draw):
        changed = "" if old.verdict.kind == new.verdict.kind else f" (was: {old.verdict.kind})"
        criterion = "" if old.claim.criterion == new.claim.criterion else " (the criterion is another now)"
        print(f"{new.claim.id} at {new.preset}: {new.verdict.kind}{changed}{criterion}. {new.verdict.reason}")


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
    return tables.gather(*(p / "results" for p in packages))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run_verbs({"readme": readme, "page": page, "verify": verify, "judge": judge}, "claimkit", DESCRIPTION, argv)
