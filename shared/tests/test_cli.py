import os
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest

from claimkit import cli, house, testing
from claimkit.errors import InputError
from claimkit.experiment import claims_of, load_experiments


def demo(size: int = 3) -> None:
    """Show it.

    Args:
        size: How large.
    """
    if size < 0:
        raise InputError(f"size {size} is negative: give a positive one")
    print("size", size)


call = partial(testing.call, partial(cli.main, "toypaper", "A toy.", {"demo": demo}, "@article{toy}"))


def test_own_and_common_verbs_are_listed(capsys):
    assert call("--help") == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in ("demo", "reproduce", "list", "cite"))


def test_the_version_is_that_of_the_distribution(capsys):
    house.main(["--version"])
    assert capsys.readouterr().out == f"claimkit {version('claimkit')}\n"


def test_bad_input_is_one_sentence_and_exit_2(capsys):
    assert call("demo", "--size", "-1") == 2
    assert capsys.readouterr().err == "toypaper: size -1 is negative: give a positive one\n"
    assert call("demo", "--size", "many") == 2


def test_reproduce_list_and_cite(toy, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("cite") == 0
    assert capsys.readouterr().out == "@article{toy}\n"
    assert call("list") == 0
    assert "no recorded run" in capsys.readouterr().out
    assert call("reproduce", "T1", "T2", "--seeds", "2") == 0
    out = capsys.readouterr().out
    assert "✔ T1   Mean: reproduced. mean 1" in out
    assert Path("reproduced/toypaper/T1.small.json").exists()
    assert call("reproduce", "T1", "--seeds", "2") == 0
    assert "already measured" in capsys.readouterr().out
    assert call("reproduce", "T7") == 2
    assert "has no claim 'T7'" in capsys.readouterr().err


def test_a_broken_claim_is_told_at_the_end_with_exit_1(toy, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TOY_BREAK", "1")
    assert call("reproduce", "--out", str(tmp_path)) == 1
    captured = capsys.readouterr()
    assert "ZeroDivisionError" in captured.err and "T2 could not be measured" in captured.err
    assert "✔ T1" in captured.out


def test_smoke_says_that_it_means_nothing(toy, tmp_path, capsys):
    assert call("reproduce", "T1", "--preset", "smoke", "--out", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "· T1   Mean: ran" in out and "proves nothing" in out and "reproduced." not in out


def test_list_shows_where_and_how_a_claim_was_measured(toy, tmp_path, capsys, monkeypatch):
    call("reproduce", "--out", str(tmp_path))
    monkeypatch.setattr("claimkit.report.tables.results_folder", lambda package: tmp_path)
    capsys.readouterr()
    call("list")
    out = capsys.readouterr().out
    assert "small, 4 seed(s)" in out and "GB, cpu" in out and "– T10" in out


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file or directory", "x.png"), OSError("disk full")])
def test_what_the_system_says_is_the_sentence(error, capsys):
    def breaks() -> None:
        """Break."""
        raise error

    with pytest.raises(SystemExit) as e:
        cli.run_verbs({"breaks": breaks, "demo": demo}, "toy", "A toy.", ["breaks"])
    assert e.value.code == 2
    assert capsys.readouterr().err in ("toy: No such file or directory: x.png\n", "toy: disk full\n")


TALK = """
import claimkit.cli

def talk() -> None:
    for _ in range(100_000):
        print("a line")

claimkit.cli.run_verbs({"talk": talk, "other": talk}, "toy", "A toy.", ["talk"])
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_nobody_reads_is_no_error(unbuffered):
    process = subprocess.Popen(
        [sys.executable, "-c", TALK], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"a line\n"
    process.stdout.close()
    said = process.communicate(timeout=600)[1]
    assert said == b""
    assert process.returncode == 141


def test_interrupting_says_that_the_work_is_kept(capsys):
    def long() -> None:
        """Take long."""
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as e:
        cli.run_verbs({"long": long, "demo": demo}, "toy", "A toy.", ["long"])
    assert e.value.code == 130
    assert capsys.readouterr().err == "toy: interrupted; what was finished is kept, nothing half written is left\n"


WRITE = """
import multiprocessing, time
from claimkit import cli
from claimkit.files import atomic_path

def write():
    "Write for long."
    with atomic_path("result.txt") as temporary:
        temporary.write_text("half")
        other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(900,))
        other.start()
        other.terminate()
        other.join()
        print("child", other.exitcode, flush=True)
        time.sleep(900)

cli.run_verbs({"write": write}, "toy", "A toy.", ["write"])
"""


def test_told_to_end_it_leaves_nothing_half_written(tmp_path):
    """SIGTERM, as docker stop, a batch system and a shutdown send it; a process that was forked dies of its own at once."""
    process = subprocess.Popen([sys.executable, "-c", WRITE], cwd=tmp_path, stdout=-1, stderr=-1, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "child -15\n"
    assert [p.suffix for p in tmp_path.iterdir()] == [".txt"]
    process.terminate()
    said = process.communicate(timeout=600)[1]
    assert said == "toy: interrupted; what was finished is kept, nothing half written is left\n"
    assert process.returncode == 143 and not list(tmp_path.iterdir())


def test_where_nothing_forks_a_command_runs_as_ever(monkeypatch, capsys):
    monkeypatch.delattr(os, "register_at_fork")
    cli.run_verbs({"demo": lambda: print("done"), "other": demo}, "toy", "A toy.", ["demo"])
    assert capsys.readouterr().out == "done\n"


def test_the_house_command_answers(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from claimkit.house import main; main()", "readme", "--root", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "holds no packages" in done.stderr


def test_the_claims_of_one_paper_are_chosen_among_those_named(toy):
    assert claims_of("toypaper", "0000.00000") == tuple(e.claim.id for e in load_experiments("toypaper"))
    assert claims_of("toypaper", "0000.00000", ["T2"]) == ("T2",)
    with pytest.raises(InputError, match=r"no such claim of 1111\.11111: its papers are 0000\.00000"):
        claims_of("toypaper", "1111.11111")
