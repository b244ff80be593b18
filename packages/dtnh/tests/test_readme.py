"""The README: its examples run, and its table is the recorded one."""

import re
from pathlib import Path

import pytest

from claimkit.claims import load_records
from dtnh.claims import grid

ROOT = Path(__file__).parents[1]
DOCS = ROOT.parents[1] / "docs" / "dtnh"
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
(LOOP,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
pages = pytest.mark.skipif(not DOCS.exists(), reason="the pages come with the repository")


def run(example):
    """The names that an example leaves."""
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    return names


def test_the_loop_keeps_count_of_conflicts(capsys):
    guard = run(LOOP)["guard"]
    assert len(guard.conflicts) == 20
    assert capsys.readouterr().out == f"{guard.conflicts.rate}\n"


@pages
def test_feature_maps_are_guarded():
    text = (DOCS / "recipes.md").read_text(encoding="utf-8")
    names = run(text.split("## Feature maps of a source network\n\n```python\n")[1].split("```")[0])
    assert len(names["guard"].conflicts) == 1
    assert all(p.grad is not None for p in names["model"].parameters())


@pages
def test_the_table_of_cells_is_that_of_the_records():
    records = [r for r in load_records(ROOT / "results") if r.claim.id == "C1"]
    values = [s.values for r in sorted(records, key=lambda r: r.preset, reverse=True) for s in r.evidence.seeds]
    text = (DOCS / "concepts.md").read_text(encoding="utf-8")
    block = text.split("<!-- cells:begin -->\n")[1].split("\n<!-- cells:end -->")[0]
    assert block == grid.markdown(values), "write grid.markdown of the records of C1, small and full, between the markers"


def test_files_that_are_linked_exist():
    for target in re.findall(r"\]\(((?!http|#)[^)]+)\)", TEXT):
        if DOCS.exists() or "docs/" not in target:
            assert (ROOT / target.split("#")[0]).exists(), target
