"""What the README shows runs as shown."""

import re
import shlex
from pathlib import Path

import pytest

from photonet.weights import shipped
from stylenas.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(console|python)\n(.*?)```", README, re.DOTALL)
FIRST, OWN = (body for kind, body in BLOCKS if kind == "python")


def run(code):
    names = {"__name__": "example"}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_three_lines(capsys):
    names = run(FIRST)
    assert names["state"].done == 200
    assert "0." in capsys.readouterr().out


def test_a_space_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "regression.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    code = [line for line in OWN.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(code) <= 20
    main(["search", "--space", "regression:SPACE", "--objectives", "bic", "--budget", "120", "--population", "20"])
    out = capsys.readouterr().out
    best = out.splitlines()[-2].split()[-1]
    assert [best[i] for i in (2, 3, 8)] == ["1", "1", "1"], "bmi, blood pressure and s5 are what everybody finds"


@pytest.mark.slow
def test_commands(tmp_path, monkeypatch):
    """Every line of the console blocks but the installation and the search of minutes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "regression.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    lines = [line.split("#")[0] for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]
    assert lines[0].strip() == "pip install ./shared ./packages/photonet ./packages/stylenas"
    for line in lines[1:]:
        name, *arguments = shlex.split(line)
        assert name == "stylenas"
        if arguments[0] == "reproduce":
            continue
        if "--space" in arguments and arguments[arguments.index("--space") + 1] in ("published", "extended"):
            if not shipped().exists():
                continue
            arguments += ["--size", "32", "--steps", "1"]
            arguments[arguments.index("--budget") + 1] = "3"
            arguments[arguments.index("--workers") + 1] = "1"  # several are tested in test_workers.py
        main(arguments)
    assert Path("best.json").exists()
