"""Every script in `benchmarks/` says how it is called, and a missing or wrong argument is one sentence."""

import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if "__main__" in path.read_text())


def run(script, words, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script, *words])
    monkeypatch.syspath_prepend(FOLDER)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / script), run_name="__main__")
    return ended.value.code


@pytest.mark.parametrize("script", SCRIPTS)
def test_help(script, monkeypatch, capsys):
    assert run(script, ["--help"], monkeypatch) == 0
    assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("script", "words"), [("bins.py", []), ("defences.py", []), ("fuzz.py", ["x"]), ("alignment.py", ["x"])]
)
def test_a_wrong_call_is_one_sentence(script, words, monkeypatch, capsys):
    assert run(script, words, monkeypatch) == 2
    assert "error:" in capsys.readouterr().err
