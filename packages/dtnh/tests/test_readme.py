"""The README: its examples run, and its table is the recorded one."""

import re
from pathlib import Path

import pytest

from dtnh.claims import grid
from paperkit.claims import best, load_records

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs_as_it_stands(example):
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})


def test_the_table_of_cells_is_that_of_the_records():
    records = {r.claim.id: r for r in best(load_records(ROOT / "results"))}
    values = [s.values for s in records["C1"].evidence.seeds]
    block = TEXT.split("<!-- cells:begin -->\n")[1].split("\n<!-- cells:end -->")[0]
    assert block == grid.markdown(values), "write grid.markdown of the record of C1 between the markers"


def test_files_that_are_linked_exist():
    for target in re.findall(r"\]\(((?!http|#)[^)]+)\)", TEXT):
        assert (ROOT / target).exists(), target
