import dataclasses
import json
import time

import numpy as np
import pytest

from claimkit import bench, house
from claimkit.errors import InputError
from claimkit.statistics import ratio_interval


def test_candidates_take_turns_and_the_ratio_is_that_of_each_round(capsys, monkeypatch):
    now, calls = [0.0], []
    monkeypatch.setattr(bench.time, "perf_counter", lambda: now[0])

    def work(name, seconds):
        def f():
            calls.append(name)
            now[0] += seconds * (1 + len(calls))  # a machine that gets slower and slower

        return f

    b = bench.alternate("add", {"ours": work("a", 1.0), "theirs": work("b", 2.0)}, rounds=4, warmup=1)
    assert "".join(calls) in ("abbaabbaab", "baabbaabba")
    assert b.timings["ours"].ratio == (1, 1, 1)
    assert 1.8 < b.timings["theirs"].ratio[0] < 2.3
    assert "theirs" in capsys.readouterr().out


def test_a_ratio_in_the_same_process_is_the_same_on_a_slower_machine(monkeypatch):
    """Each call takes 3 and 1 units of a clock whose unit grows by a tenth a call: seconds double, the ratio stays."""
    now, unit = [0.0], [1.0]
    monkeypatch.setattr(bench.time, "process_time", lambda: now[0])

    def work(units):
        def f():
            now[0] += units * unit[0]
            unit[0] *= 1.1

        return f

    taken = bench.turns({"reference": work(1), "ours": work(3)}, rounds=8, warmup=0, cpu=True)
    e = ratio_interval(np.divide(taken["ours"], taken["reference"]))
    assert taken["ours"][-1] > 2 * taken["ours"][0]
    assert 2.7 < e.low < 3 < e.high < 3.4


def test_results_are_saved_and_printed_into_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("<!-- scoreboard:begin -->\n<!-- scoreboard:end -->")
    package = tmp_path / "packages" / "one"
    package.mkdir(parents=True)
    (package / "pyproject.toml").touch()
    (package / "README.md").write_text(
        "<!-- claims:begin -->\n<!-- claims:end -->\n<!-- benchmarks:begin -->\n<!-- benchmarks:end -->\n"
    )
    b = bench.alternate("sleep", {"short": lambda: time.sleep(0.001), "long": lambda: time.sleep(0.01)}, rounds=3, warmup=0)
    bench.save(b, package / "results/benchmarks/sleep.json")
    assert json.loads((package / "results/benchmarks/sleep.json").read_text())["rounds"] == 3
    with pytest.raises(SystemExit):
        house.readme(tmp_path)
    text = (package / "README.md").read_text()
    for commit in ("a", "b+"):
        other = dataclasses.replace(b, machine="9 x Z", commit=commit, date="2026-01-02")
        bench.save(other, package / f"results/benchmarks/{commit[0]}.json")
    last = bench.table(package / "results/benchmarks").splitlines()[-1]
    assert last == "Measured on 9 x Z, commit a (2026-01-02), b+ (2026-01-02). A +: with uncommitted changes."
    assert "| sleep | short |" in text and "1 (reference)" in text and "commit None" in text


def test_too_few_rounds_are_refused():
    with pytest.raises(InputError, match="rounds = 2"):
        bench.alternate("x", {"a": lambda: None}, rounds=2)
