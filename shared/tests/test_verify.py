"""Fresh beside recorded: a lost verdict, another seed stream, other data and other versions are each told."""

import dataclasses
import json
from functools import partial
from pathlib import Path

import pytest

from claimkit import cli, house, testing
from claimkit.experiment import Experiment, Settings
from claimkit.records import verify
from claimkit.runner import reproduce

call = partial(testing.call, partial(cli.main, "toypaper", "A toy.", {}, ""))


@pytest.fixture
def recorded(toy, tmp_path, monkeypatch):
    """T1 and T2 as they are recorded."""
    folder = tmp_path / "recorded"
    list(reproduce("toypaper", ["T1", "T2"], out=folder))
    monkeypatch.setattr("claimkit.report.tables.results_folder", lambda package: folder)
    monkeypatch.chdir(tmp_path)
    return folder


def beside(capsys):
    return capsys.readouterr().out.split("beside the record:\n")[1].splitlines()


def broken(values):
    raise ValueError("no")


def test_what_holds_ends_with_0_and_a_line_a_claim(recorded, capsys):
    assert call("reproduce") == 0
    assert beside(capsys) == [
        "✔ T1: reproduced, as recorded; values the same",
        "✔ T2: reproduced, as recorded; values the same",
    ]


def test_a_lost_verdict_ends_with_3(recorded, capsys, monkeypatch):
    import claimkit.runner.seeds

    whole = claimkit.runner.seeds.load_experiments

    def measure(settings, job):
        return {"x": [-1.0] * 10}

    monkeypatch.setattr(
        claimkit.runner.seeds, "load_experiments", lambda p: [dataclasses.replace(e, measure=measure) for e in whole(p)]
    )
    assert call("reproduce", "T1") == 3
    assert beside(capsys) == [
        "✘ T1: not reproduced, recorded as reproduced; differ: values by 2.0e+00 of their size, no interval to compare"
    ]
    assert call("reproduce", "T1", "--seeds", "2") == 0, "fewer seeds are no comparison"
    assert "not compared: 2 seeds, recorded 4" in beside(capsys)[0]


def test_a_claim_that_breaks_is_told_beside_its_record(recorded, capsys, monkeypatch):
    monkeypatch.setenv("TOY_BREAK", "1")
    assert call("reproduce", "T2") == 1
    assert beside(capsys) == ["✘ T2: could not be measured, recorded as reproduced; nothing to compare"]


@pytest.fixture
def pair(record):
    """Compare a record with a changed one, as the verb does."""

    def compare(change, timed=False, **experiment):
        old = record(values={"x": [1.0, 2.0], "residual": 1e-15})
        old = dataclasses.replace(old, evidence=dataclasses.replace(old.evidence, config={"seeds": 1, "timed": timed}))
        e = Experiment(old.claim, {"small": Settings()}, broken, broken, **experiment)
        (found,) = verify.compare([old], [change(old)], {old.claim.id: e})
        return found

    return compare


def values(**new):
    def change(r):
        seed = dataclasses.replace(r.evidence.seeds[0], values=dict(r.evidence.seeds[0].values) | new)
        return dataclasses.replace(r, evidence=dataclasses.replace(r.evidence, seeds=(seed,)))

    return change


def evidence(**new):
    return lambda r: dataclasses.replace(r, evidence=dataclasses.replace(r.evidence, **new))


def test_values_are_compared_within_what_the_claim_states(pair):
    assert pair(values(x=[1.0, 2.0 + 1e-7])).values == "values the same within 1e-06"
    assert pair(values(residual=-3e-15)).values == "values the same"
    other = pair(values(x=[1.0, 2.1]))
    assert other.values.startswith("differ: values by 4.8e-02 of their size, intervals overlap")
    assert not other.agrees and not other.lost
    assert pair(values(x=[1.0, 2.1]), within=0.1).agrees
    assert pair(values(x=[1.0])).values.startswith("differ: values by their shape")
    assert pair(values(x="none")).values.startswith("differ: values by their shape")


def test_what_no_seed_fixes_is_compared_by_its_interval(pair):
    def other(r):
        return evidence(unseeded="the noise of encryption")(values(x=[1.0, 2.1])(r))

    noisy = pair(other)
    assert noisy.agrees and noisy.values == "values not repeatable (the noise of encryption), intervals overlap"
    assert "seconds are among them" in pair(values(x=[1.0, 2.1]), timed=True).values

    def apart(r):
        effect = dataclasses.replace(r.verdict.effect, low=2.0, high=3.0)
        return other(dataclasses.replace(r, verdict=dataclasses.replace(r.verdict, effect=effect)))

    assert not pair(apart).agrees


def test_the_reasons_are_named(pair):
    def change(r):
        seed = dataclasses.replace(r.evidence.seeds[0], data={"d": "11"}, values={"x": [7.0, 2.0], "residual": 0.0})
        changed = {"seeds": (seed,), "environment": {**r.evidence.environment, "processor": "q"}}
        return evidence(**changed)(r)

    assert pair(change).values.endswith(", other data (d), processor q (was p)")


@pytest.mark.parametrize("kind", ["direction reproduced", "not reproduced", "not run"])
def test_a_weaker_verdict_is_lost_and_a_stronger_one_is_not(record, kind):
    (down,) = verify.compare([record()], [record(kind=kind)], {})
    (up,) = verify.compare([record(kind=kind)], [record()], {})
    assert down.lost and not up.lost and not up.agrees


def test_the_house_prints_a_table_and_ends_with_3(workspace, record, capsys):
    fresh = workspace / "fresh"
    for package in ("msgd", "delta"):
        record(package=package, kind="not reproduced").save(fresh / package)
    run = partial(testing.call, house.main, "verify", "--root", str(workspace), "--fresh", str(fresh))
    assert run("delta") == 0
    assert "| delta M3 at small | not reproduced; slope 1 [0.9, 1.1] | not reproduced; slope 1" in capsys.readouterr().out
    assert run() == 3
    out = capsys.readouterr().out
    assert "| **msgd M3 at small** | reproduced;" in out and "2 claims measured again: 1 agree, 1 hold no longer." in out
    assert run("none") == 2
    Path(fresh / "msgd/M3.small.json").unlink()
    assert run("msgd") == 2 and 'nox -s "reproduce(msgd)"' in capsys.readouterr().err


def test_an_older_record_says_how_to_repeat_it(record):
    r = record("full")
    old = json.loads(r.to_json())
    assert r.again == "msgd reproduce M3 --preset full --seeds 1 --device cpu --data DIR"
    assert record().again == "msgd reproduce M3 --preset small --seeds 1 --device cpu"
    assert old["evidence"]["command"] == "msgd reproduce M3", "which is left as it was"
    old["evidence"]["environment"]["device"] = "mps"
    assert type(r).from_json(json.dumps(old)).again.endswith("--device mps --data DIR")
