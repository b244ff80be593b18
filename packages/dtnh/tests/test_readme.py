"""The README: its examples run, and its table is the recorded one."""

import re
from pathlib import Path

from claimkit.claims import load_records
from dtnh.claims import grid

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
LOOP, MAPS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run(example):
    """The names that an example leaves."""
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    return names


def test_the_loop_keeps_count_of_conflicts(capsys):
    guard = run(LOOP)["guard"]
    assert len(guard.conflicts) == 20
    assert capsys.readouterr().out == f"{guard.conflicts.rate}\n"


def test_feature_maps_are_guarded():
    names = run(MAPS)
    assert len(names["guard"].conflicts) == 1
    assert all(p.grad is not None for p in names["model"].parameters())


def test_the_table_of_cells_is_that_of_the_records():
    records = [r for r in load_records(ROOT / "results") if r.claim.id == "C1"]
    values = [s.values for r in sorted(records, key=lambda r: r.preset, reverse=True) for s in r.evidence.seeds]
    block = TEXT.split("<!-- cells:begin -->\n")[1].split("\n<!-- cells:end -->")[0]
    assert block == grid.markdown(values), "write grid.markdown of the records of C1, small and full, between the markers"


def test_files_that_are_linked_exist():
    for target in re.findall(r"\]\(((?!http|#)[^)]+)\)", TEXT):
        assert (ROOT / target).exists(), target
