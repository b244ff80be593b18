import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_example_runs_as_it_is_printed(tmp_path):
    text = README.read_text(encoding="utf-8")
    claims, cluster = re.findall(r"```python\n(.*?)```", text, re.S)[:2]
    command = re.search(r"\$ python -c '(.*?)' reproduce\n(.*?)```", text, re.S)
    (tmp_path / "coin").mkdir()
    (tmp_path / "coin" / "__init__.py").touch()
    (tmp_path / "coin" / "claims.py").write_text(claims)
    assert len(claims.split("\n\n\n")) == 4, "imports, measure, judge, claim: no more"
    done = subprocess.run(
        [sys.executable, "-c", command[1], "reproduce"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split("  (")[0] for line in done.stdout.splitlines()] == [
        line.split("  (")[0] for line in command[2].strip().splitlines()
    ]
    local = cluster.replace('backend="dask"', 'backend="threading"')
    again = subprocess.run([sys.executable, "-c", local], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.stdout == "reproduced\n", again.stderr


def test_every_module_is_in_the_table():
    table = README.read_text(encoding="utf-8").split("## What is in it")[1]
    modules = {p.stem for p in (README.parent / "src/claimkit").iterdir()} - {"__init__", "__pycache__", "errors", "py"}
    assert modules <= set(re.findall(r"`(\w+)`", table))
