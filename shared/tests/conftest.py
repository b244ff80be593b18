import dataclasses
import os
import sys
from pathlib import Path

import pytest

from claimkit.claims import Claim, Estimate, Evidence, Record, SeedResult, Verdict
from claimkit.experiment import Experiment, Settings
from claimkit.testing.fixtures import one_thread as one_thread
from claimkit.testing.fixtures import vgg as vgg

TOY = Path(__file__).parent / "toy"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Make the package ``toypaper`` importable here and in child processes; return the log of its runs."""
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TOY), os.environ.get("PYTHONPATH", "")]))
    log = tmp_path / "log"
    log.touch()
    monkeypatch.setenv("TOY_LOG", str(log))
    for name in ("TOY_KILL_AT", "TOY_BREAK", "CLAIMKIT_DATA"):
        monkeypatch.delenv(name, raising=False)
    yield log
    for name in [m for m in sys.modules if m.startswith("toypaper")]:
        del sys.modules[name]


@pytest.fixture
def claim():
    return Claim(
        id="M3",
        title="Order",
        paper="1906.07405",
        where="Theorem 1",
        statement="Order one.",
        criterion="Slope in [0.9, 1.15].",
        tolerance="Two s.e.",
    )


@pytest.fixture
def record(claim):
    """Make a record that differs from the usual one in what is named."""

    def make(preset="small", kind="reproduced", values=None, package="msgd", id="M3"):
        values = values or {"slope": 1.0}
        evidence = Evidence(
            preset=preset,
            config={"seeds": 1},
            seeds=(SeedResult(seed=0, values=values, wall_seconds=2.0, peak_memory_mb=100.0, data={"d": "00"}),),
            environment={"cores": 2, "device": "cpu", "processor": "p", "memory_gb": 4},
            commit="abc",
            fingerprint="f",
            command="msgd reproduce M3",
            date="2026-01-01",
        )
        verdict = Verdict(kind, "Because.", Estimate("slope", 1.0, 0.9, 1.1))
        named = Claim(**{**claim.__dict__, "id": id})
        picture = f"{id}.{preset}.png"
        return Record(package=package, claim=named, verdict=verdict, evidence=evidence, picture=picture, code="m:f")

    return make


@pytest.fixture
def workspace(record, tmp_path, monkeypatch):
    """A root with two packages and their records, which the code judges as they were."""

    def experiments(package):
        def judge(values):
            kind = "not reproduced" if package == "delta" or values[0]["slope"] != 1 else "reproduced"
            return Verdict(kind, "Because.", Estimate("slope", values[0]["slope"], 0.9, 1.1))

        r = record()
        claims = [r.claim, *(dataclasses.replace(r.claim, id=i) for i in ("M4", "M5"))]
        return [Experiment(c, {"small": Settings()}, judge, judge, judge) for c in claims]

    monkeypatch.setattr("claimkit.records.checks.load_experiments", experiments)
    (tmp_path / "README.md").write_text("# Root\n<!-- scoreboard:begin -->\n<!-- scoreboard:end -->\nend\n")
    for name, kind in (("msgd", "reproduced"), ("delta", "not reproduced")):
        folder = tmp_path / "packages" / name
        (folder / "results").mkdir(parents=True)
        (folder / "pyproject.toml").touch()
        (folder / "README.md").write_text("before\n<!-- claims:begin -->\nold\n<!-- claims:end -->\nafter\n")
        record(kind=kind, package=name).save(folder / "results")
        (folder / "results" / "M3.small.png").write_bytes(b"png")
    return tmp_path
