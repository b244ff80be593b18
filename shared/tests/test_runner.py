import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import distributed
import joblib
import pytest

from claimkit import house, judging, runner
from claimkit.claims import Verdict, load_records
from claimkit.errors import InputError
from claimkit.run import require
from claimkit.runner import reproduce

RUN = """
from pathlib import Path
from claimkit.runner import reproduce
list(reproduce("toypaper", ["T1"], out=Path({!r})))
"""


def seeds_run(log):
    return sorted(line.split()[0] for line in log.read_text().splitlines())


def run(out, *only, **options):
    return {o.claim: o for o in reproduce("toypaper", only, out=out, **options)}


def test_every_claim_gets_a_record_in_natural_order(toy, tmp_path):
    outcomes = list(reproduce("toypaper", out=tmp_path / "out"))
    assert [o.claim for o in outcomes] == ["T1", "T2", "T10"]
    assert [o.record.verdict.kind for o in outcomes] == ["reproduced", "reproduced", "not run"]
    evidence = outcomes[0].record.evidence
    assert [s.seed for s in evidence.seeds] == [0, 1, 2, 3]
    assert evidence.config == {"seeds": 4, "threads": None, "timed": False, "n": 10}
    assert outcomes[0].record.code == "toypaper.claims:measure"
    assert (tmp_path / "out" / "T1.small.png").exists()
    assert [r.claim.id for r in load_records(tmp_path / "out")] == ["T1", "T2", "T10"]
    assert not list((tmp_path / "out" / ".partial").iterdir())


def test_a_claim_is_measured_where_nothing_can_draw(toy, tmp_path, monkeypatch):
    def draw(values, path):
        require("no_such_module", "Pictures", "toy[plots]")

    whole = runner.load_experiments
    monkeypatch.setattr(runner, "load_experiments", lambda p: [dataclasses.replace(e, draw=draw) for e in whole(p)])
    record = run(tmp_path / "out", "T1")["T1"].record
    assert record.verdict.kind == "reproduced" and record.picture is None
    assert [p.name for p in (tmp_path / "out").glob("T1.*")] == ["T1.small.json"]


def test_records_are_judged_again_by_the_criteria_of_today(toy, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    before = run(out, "T1", "T2")["T1"].record
    (out / before.picture).unlink()

    def stricter(values):
        return Verdict("not reproduced", f"{len(values)} seeds were not enough.")

    whole = judging.load_experiments
    monkeypatch.setattr(judging, "load_experiments", lambda p: [dataclasses.replace(e, judge=stricter) for e in whole(p)])
    house.main(["judge", "toypaper", "T1", "--out", str(out)])
    assert capsys.readouterr().out == "T1 at small: not reproduced (was: reproduced). 4 seeds were not enough.\n"
    after, other = load_records(out)
    assert after.evidence == before.evidence and (out / after.picture).exists()
    assert other.verdict.kind == "reproduced"
    with pytest.raises(InputError, match="toypaper has no claim 'T3': it has T1, T2, T10"):
        list(judging.judge_again("toypaper", out, ["T3"]))
    with pytest.raises(InputError, match="holds no record of T10: measure with toypaper reproduce --out"):
        list(judging.judge_again("toypaper", out, ["T10"]))
    with pytest.raises(InputError, match="empty holds no record: measure"):
        list(judging.judge_again("toypaper", tmp_path / "empty"))


def test_one_seed_gives_the_same_values_alone_or_among_others(toy, tmp_path):
    two = run(tmp_path / "a", "T1", jobs=2)["T1"].record
    one = run(tmp_path / "b", "T1", seeds=2)["T1"].record
    assert [s.values for s in one.evidence.seeds] == [s.values for s in two.evidence.seeds[:2]]
    assert str(os.getpid()) not in toy.read_text().split()[1:8:2], "two jobs, and none in a process of its own"


def test_seeds_of_one_thread_share_the_cores_and_timed_ones_run_alone(toy, tmp_path, monkeypatch):
    def pids():
        return {int(line.split()[1]) for line in toy.read_text().splitlines()}

    run(tmp_path / "out", "T1", preset="paper")
    assert os.getpid() not in pids()
    toy.write_text("")
    whole = runner.load_experiments("toypaper")
    timed = {"paper": dataclasses.replace(whole[0].presets["paper"], timed=True)}
    monkeypatch.setattr(runner, "load_experiments", lambda p: [dataclasses.replace(whole[0], presets=timed)])
    run(tmp_path / "out", "T1", preset="paper")
    assert pids() == {os.getpid()}


def test_claims_with_the_same_measurement_share_it(toy, tmp_path, monkeypatch):
    one = runner.load_experiments("toypaper")[0]
    other = dataclasses.replace(one, claim=dataclasses.replace(one.claim, id="T3"))
    monkeypatch.setattr(runner, "load_experiments", lambda p: [one, other])
    outcomes = run(tmp_path / "out")
    assert len(seeds_run(toy)) == 4
    assert outcomes["T1"].record.evidence.seeds == outcomes["T3"].record.evidence.seeds
    run(tmp_path / "out", "T1", fresh=True)
    assert len(seeds_run(toy)) == 8


def test_what_is_measured_is_not_measured_twice_unless_asked(toy, tmp_path):
    first = run(tmp_path / "out", "T1")["T1"]
    again = run(tmp_path / "out", "T1")["T1"]
    assert (first.reused, again.reused) == (False, True)
    assert len(seeds_run(toy)) == 4
    run(tmp_path / "out", "T1", fresh=True)
    assert len(seeds_run(toy)) == 8
    more = run(tmp_path / "out", "T1", seeds=5)["T1"]  # one more seed: one more run
    assert len(seeds_run(toy)) == 9 and len(more.record.evidence.seeds) == 5
    assert more.record.evidence.command == "toypaper reproduce T1 --preset small --seeds 5"
    fewer = run(tmp_path / "out", "T1", seeds=2)["T1"]
    assert len(seeds_run(toy)) == 9 and not fewer.reused and len(fewer.record.evidence.seeds) == 2
    run(tmp_path / "out", "T1", preset="full")  # other settings: nothing is taken up
    assert len(seeds_run(toy)) == 17


def test_a_killed_run_resumes_at_the_first_unfinished_seed(toy, tmp_path, monkeypatch):
    out = str(tmp_path / "out")
    monkeypatch.setenv("TOY_KILL_AT", "2")
    assert subprocess.run([sys.executable, "-c", RUN.format(out)], check=False).returncode == 9
    assert seeds_run(toy) == ["T1.0", "T1.1", "T1.2"]
    monkeypatch.delenv("TOY_KILL_AT")
    resumed = run(tmp_path / "out", "T1")["T1"].record
    assert seeds_run(toy) == ["T1.0", "T1.1", "T1.2", "T1.2", "T1.3"]
    whole = run(tmp_path / "other", "T1")["T1"].record
    assert [s.values for s in resumed.evidence.seeds] == [s.values for s in whole.evidence.seeds]


def test_seeds_of_another_code_are_not_taken_up(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_KILL_AT", "1")
    subprocess.run([sys.executable, "-c", RUN.format(str(tmp_path / "out"))], check=False)
    monkeypatch.delenv("TOY_KILL_AT")
    (partial,) = (tmp_path / "out" / ".partial").iterdir()
    partial.write_text(json.dumps({**json.loads(partial.read_text()), "fingerprint": "older"}))
    run(tmp_path / "out", "T1")
    assert seeds_run(toy).count("T1.0") == 2


def test_a_claim_that_breaks_leaves_the_others_standing(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_BREAK", "1")
    outcomes = run(tmp_path / "out")
    assert outcomes["T2"].record is None
    assert "the toy broke" in outcomes["T2"].error
    assert outcomes["T1"].record.verdict.kind == "reproduced"


def test_data_that_is_missing_is_a_reason_and_data_that_is_there_is_recorded(toy, tmp_path):
    absent = run(tmp_path / "out", "T10", preset="full")["T10"].record
    assert absent.verdict.kind == "not run"
    assert "--data" in absent.verdict.reason
    (tmp_path / "numbers.txt").write_text("3")
    there = run(tmp_path / "out", "T10", preset="full", data=tmp_path)["T10"].record
    assert there.evidence.data == {"numbers.txt": "4e07408562bedb8b60ce05c1decfe3ad16b72230967de01f640b7e4729b49fce"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"only": ("T9",)}, "has no claim 'T9'"), ({"seeds": 0}, "--seeds 0"), ({"jobs": 0}, "--jobs 0"),
     ({"preset": "tiny"}, "none of smoke"), ({"data": Path("nowhere")}, "does not exist")],
)  # fmt: skip
def test_bad_input_runs_nothing(toy, tmp_path, options, sentence):
    with pytest.raises(InputError, match=sentence):
        list(reproduce("toypaper", out=tmp_path / "out", **options))
    assert not seeds_run(toy)


@pytest.mark.slow
def test_the_same_call_runs_on_a_dask_cluster(toy, tmp_path):
    here = run(tmp_path / "here", "T1")["T1"].record
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
        there = run(tmp_path / "there", "T1")["T1"].record
    assert [s.values for s in there.evidence.seeds] == [s.values for s in here.evidence.seeds]
    pids = [line.split()[1] for line in toy.read_text().splitlines()]
    assert set(pids[:4]).isdisjoint(pids[4:]), "the seeds ran in the calling process"
