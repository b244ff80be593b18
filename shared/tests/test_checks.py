"""A record that is not what a command wrote is noticed, whatever was changed in it."""

import dataclasses
import json
import shutil
import subprocess

import pytest

from claimkit import house
from claimkit.claims import Record, Verdict, sums
from claimkit.records import checks, history, judging
from claimkit.runner import reproduce


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A workspace whose one package has a record with a picture and one without; made once."""
    return tmp_path_factory.mktemp("recorded")


@pytest.fixture
def package(toy, tmp_path, recorded):
    """Folder of the package in a copy of that workspace."""
    made = recorded / "packages/toypaper"
    if not made.exists():
        made.mkdir(parents=True)
        (made / "pyproject.toml").touch()
        (made / "README.md").write_text("<!-- claims:begin -->\n<!-- claims:end -->\n")
        (recorded / "README.md").write_text("<!-- scoreboard:begin -->\n<!-- scoreboard:end -->\n")
        list(reproduce("toypaper", ["T1", "T2"], out=made / "results"))
        with pytest.raises(SystemExit):
            house.readme(recorded)
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    return tmp_path / "packages/toypaper"


def edit(change):
    """A mutation of the record of T1 by a function of its JSON."""

    def mutate(results):
        path = results / "T1.small.json"
        d = json.loads(path.read_text())
        change(d)
        path.write_text(json.dumps(d))

    return mutate


def first(d):
    return d["evidence"]["seeds"][0]


def forged(d):
    """Another value, and digests that fit it."""
    first(d)["values"]["x"][0] += 5
    d["digests"] = Record.from_json(json.dumps(d)).own_digests() | {"picture": d["digests"]["picture"]}


CONTENT = {
    "values emptied": edit(lambda d: first(d).update(values={})),
    "a value in its ninth digit": edit(lambda d: first(d)["values"]["x"].__setitem__(3, first(d)["values"]["x"][3] + 1e-9)),
    "a value and its digest": edit(forged),
    "a seed left out": edit(lambda d: d["evidence"]["seeds"].pop()),
    "a seed twice": edit(lambda d: d["evidence"]["seeds"].__setitem__(1, first(d))),
    "verdict": edit(lambda d: d["verdict"].update(kind="not reproduced")),
    "reason": edit(lambda d: d["verdict"].update(reason="The mean is 2.00.")),
    "effect": edit(lambda d: d["verdict"]["effect"].update(value=2.0)),
    "interval": edit(lambda d: d["verdict"]["effect"].update(low=0.5, high=1.5)),
    "criterion": edit(lambda d: d["claim"].update(criterion="Anything.")),
    "statement": edit(lambda d: d["claim"].update(statement="It flies.")),
    "power": edit(lambda d: d["claim"].update(power={"asks": 1, "sees": {}, "spread": 1, "n": {}, "pilot": "none"})),
    "package": edit(lambda d: d.update(package="msgd")),
    "claim": edit(lambda d: d["claim"].update(id="T3")),
    "picture gone": lambda results: (results / "T1.small.png").unlink(),
    "picture of one byte": lambda results: (results / "T1.small.png").write_bytes(b"x"),
    "another file name": lambda results: (results / "T1.small.json").rename(results / "T1.full.json"),
    "a criterion not noted": lambda results: (results / history.NAME).write_text("claim\tdigest\n"),
}
PROVENANCE = {
    "commit": edit(lambda d: d["evidence"].update(commit="0123456789ab")),
    "date": edit(lambda d: d["evidence"].update(date="2020-01-01")),
    "difference": edit(lambda d: d["evidence"].update(changes="-x")),
    "processor": edit(lambda d: d["evidence"]["environment"].update(processor="a faster one")),
    "library": edit(lambda d: d["evidence"].update(installed=["numpy==9"])),
    "load": edit(lambda d: d["evidence"].update(load=[0, 0])),
    "seconds": edit(lambda d: first(d).update(wall_seconds=123.0)),
    "data": edit(lambda d: first(d).update(data={"numbers.txt": "00"})),
    "command": edit(lambda d: d["evidence"].update(command="true")),
    "fingerprint": edit(lambda d: d["evidence"].update(fingerprint="00")),
    "config": edit(lambda d: d["evidence"]["config"].update(n=1000)),
    "record gone": lambda results: (results / "T2.small.json").unlink(),
    "its line": lambda results: (results / sums.NAME).write_text(""),
}


def test_what_a_command_wrote_passes(package):
    assert list(checks.check(package)) == []
    with pytest.raises(SystemExit, match="False"):
        house.readme(package.parents[1], check=True)


@pytest.mark.parametrize("mutate", [*CONTENT.values(), *PROVENANCE.values()], ids=[*CONTENT, *PROVENANCE])
def test_every_change_of_a_record_is_noticed(package, mutate, capsys):
    mutate(package / "results")
    assert list(checks.check(package))
    with pytest.raises(SystemExit, match="True"):
        house.readme(package.parents[1], check=True)


@pytest.mark.parametrize("mutate", CONTENT.values(), ids=CONTENT)
def test_changes_of_content_are_noticed_by_the_record_and_the_code_alone(package, mutate):
    mutate(package / "results")
    sums.write(package / "results", {})
    sums.complete(package / "results", checks.files(package / "results"))
    assert list(checks.check(package)), "the sums were made to fit"


@pytest.mark.parametrize("name", ["verdict", "criterion", "values emptied", "picture gone", "effect", "seconds"])
def test_records_from_before_there_were_digests_are_checked_too(package, name):
    results = package / "results"
    new = {"digests", "changes", "load", "installed", "unseeded", "carried", "power"}

    def older(d):
        for part in (d, d["evidence"], d["claim"], *d["evidence"]["seeds"]):
            for key in new & set(part):
                del part[key]

    edit(older)(results)
    sums.renew(results, "T1.small.json")
    assert list(checks.check(package)) == []
    (CONTENT | PROVENANCE)[name](results)
    assert list(checks.check(package))


def test_sentences_say_which_file_and_what_to_do(package, monkeypatch):
    CONTENT["verdict"](package / "results")
    said = list(checks.check(package))
    where = package / "results/T1.small.json"
    assert said == [
        f"{where} is not what a command wrote (its line in SHA256SUMS differs): put it back, or measure again",
        f"{where}: judged again, it is reproduced, not not reproduced: claimkit judge toypaper T1",
    ]
    monkeypatch.setattr(checks.importlib.util, "find_spec", lambda name: None)
    assert list(checks.check(package))[-1].startswith("toypaper is not installed here, so its records were not judged again")


def test_readme_notes_what_is_new_and_never_what_was_changed(package):
    results = package / "results"
    before = sums.read(results)
    PROVENANCE["date"](results)
    assert not sums.complete(results, checks.files(results)) and sums.read(results) == before
    assert set(before) == {"T1.small.json", "T1.small.png", "T2.small.json"}
    done = subprocess.run(
        ["sha256sum", "-c", "--quiet", sums.NAME], cwd=results, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "T1.small.json: FAILED" in done.stdout, "sha256sum reads the file"


def test_a_command_that_writes_a_record_writes_its_line(package, monkeypatch):
    whole = judging.load_experiments
    stricter = [dataclasses.replace(e, judge=lambda v: Verdict("not reproduced", "No.")) for e in whole("toypaper")]
    monkeypatch.setattr(judging, "load_experiments", lambda p: stricter)
    list(judging.judge_again("toypaper", package / "results", ["T1"]))
    assert any("judged again" in s for s in checks.check(package))
    monkeypatch.setattr(checks, "load_experiments", lambda p: stricter)
    assert not [s for s in checks.check(package) if "T1" in s]


def test_the_history_tells_when_a_criterion_first_stood_and_that_it_changed(package, record):
    def git(*args):
        command = ["git", "-C", str(package), "-c", "user.name=a", "-c", "user.email=a@b.example", *args]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(criterion, measured):
        source.write_text(f"Claim(id='M3', criterion='{criterion[:4]}'\n  '{criterion[4:]}')")
        r = record(package="toypaper")
        claim = dataclasses.replace(r.claim, criterion=criterion)
        if measured:
            dataclasses.replace(r, claim=claim).save(results)
        git("add", ".")
        git("commit", "-qm", criterion)
        return claim, git("rev-parse", "--short=12", "HEAD")

    git("init", "-q")
    results, source = package / "results", package / "src/toypaper/claims.py"
    source.parent.mkdir(parents=True)
    _, early = commit("Mean above 0.", False)
    claim, late = commit("Mean above 0.", True)
    assert history.write(package, [claim]) and not history.write(package, [claim])
    (row,) = history.read(results)["M3"]
    assert (row.since, row.recorded) == (early, late) and history.changed(results) == {}
    claim, last = commit("Mean above -1.", True)
    history.write(package, [claim])
    assert [(r.since, r.recorded) for r in history.changed(results)["M3"]] == [(early, late), (last, last)]


def test_what_only_the_record_itself_can_tell(record, tmp_path):
    """Each said by the one check that looks for it, where no line of SHA256SUMS does."""
    r = record()
    (tmp_path / r.picture).write_bytes(b"png")
    assert not list(checks._whole(r, tmp_path))
    (tmp_path / r.picture).unlink()
    assert f"its picture {r.picture} is not here" in list(checks._whole(r, tmp_path))
    seed = dataclasses.replace(r.evidence.seeds[0], values={})
    for seeds in ((seed,), ()):
        empty = dataclasses.replace(r, picture=None, evidence=dataclasses.replace(r.evidence, seeds=seeds))
        assert "a seed has no values" in list(checks._whole(empty, tmp_path))


def test_an_earlier_wording_of_a_criterion_is_not_the_last(record, tmp_path, monkeypatch):
    r = record()
    mine = history.Criterion(r.claim.id, history.short(r.claim.criterion))
    other = history.Criterion(r.claim.id, history.short("another wording"))
    for rows, wrong in (([other, mine], 0), ([mine, other], 1), ([], 1)):
        monkeypatch.setattr(history, "read", lambda folder, rows=rows: {r.claim.id: rows})
        assert len(list(checks._criteria(tmp_path, [r]))) == wrong
