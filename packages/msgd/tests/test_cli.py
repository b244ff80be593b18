"""Every verb, end to end, as a user types it."""

import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from claimkit import testing
from msgd.cli import main


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


call = partial(testing.call, main)


def test_help_does_not_import_torch():
    text = testing.help_text("msgd", "torch")
    assert all(verb in text for verb in ("demo", "train", "compare", "reproduce", "list", "cite"))


def test_demo_writes_a_picture(capsys):
    assert call("demo", "--replicas", "4", "--steps", "200") == 0
    assert Path("msgd-demo.png").read_bytes().startswith(b"\x89PNG")
    assert "batch-cov" in capsys.readouterr().out


def test_train_then_resume(capsys):
    arguments = [
        "train",
        "--noise-class",
        "batch-fisher",
        "--batch",
        "100",
        "--match",
        "10",
        "--out",
        "run",
        "--evaluate-every",
        "20",
    ]
    assert call(*arguments, "--steps", "40", "--noise-scale", "4") == 0
    assert "the noise of SGD at batch 10 of 1000 rows" in capsys.readouterr().out
    assert [line.split(",")[0] for line in Path("run/noise_scale.csv").read_text().splitlines()] == ["step", "20", "40"]
    assert call(*arguments, "--steps", "40") == 2
    assert "already holds a run" in capsys.readouterr().err
    with Path("run/noise_scale.csv").open("a") as file:
        file.write("50,9,8,10,9,1\n60,9,8,10,9,1\n7")  # killed after these rows and before a checkpoint
    assert call(*arguments, "--steps", "60", "--resume", "--noise-scale", "4") == 0
    rows = Path("run/noise_scale.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "20", "40", "60"] and not rows[-1].startswith("60,9,")
    assert [line.split(",")[0] for line in Path("run/log.csv").read_text().splitlines()] == ["step", "0", "20", "40", "60"]
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["last"]["step"] == 60 and "MiniBatchFisher" in summary["noise"]
    for other in (["--learning-rate", "0.3"], ["--rows", "999"], ["--noise-class", "batch-cov"]):
        assert call(*arguments, "--steps", "80", "--resume", *other) == 2
        assert "of another run" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_interrupting_loses_at_most_one_checkpoint_interval():
    command = testing.own_process("msgd", "train", "--steps", "1000000", "--checkpoint-every", "10")
    running = subprocess.Popen(
        [*command, "--evaluate-every", "50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("step     100"):
            break
    running.send_signal(signal.SIGINT)
    rest = running.communicate(timeout=600)[0]
    assert running.returncode == 130, rest
    import torch

    saved = torch.load("msgd-run/checkpoint.pt", weights_only=True)
    told = int(rest.split("interrupted at step ")[1].split(";")[0])
    assert told - 10 <= saved["step"] <= told and saved["step"] >= 90
    assert call("train", "--steps", str(saved["step"] + 5), "--resume", "--evaluate-every", "50") == 0


def test_a_gap_is_told_only_where_the_seeds_can_show_one():
    from msgd.verbs import _gap

    base = [0.80, 0.81, 0.79, 0.80, 0.82]
    assert "no gap at this scale" in _gap(base, base[::-1])
    assert _gap([x + 0.03 + 0.001 * i for i, x in enumerate(base)], base).endswith("seeds: a gap")
    assert "no gap" in _gap([0.83, 0.84], [0.80, 0.8151]), "eleven standard errors from two seeds are not one in twenty"
    assert "run more seeds" in _gap([0.7, 0.8], [0.8, 0.9])


def test_compare_writes_its_table_and_its_verdict(capsys):
    assert call("compare", "bernoulli", "--steps", "20", "--seeds", "2", "--rows", "60") == 0
    assert "SGD - GD" in capsys.readouterr().out
    assert {p.name for p in Path("msgd-compare").iterdir()} == {"compare.csv", "compare.json", "compare.png"}
    assert Path("msgd-compare/compare.csv").read_text().startswith("noise,seed 0,seed 1,mean\ngd,")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["train", "--batch", "5000"], "msgd: size = 5000 is not between 1 and the n = 1000 samples: draw fewer"),
        (["train", "--dataset", "mnist"], "msgd: mnist does not come with the package"),
        (["train", "--data", "."], "msgd: digits come with the package: say with --dataset what . holds"),
        (["train", "--dataset", "mnist", "--data", "."], "msgd: . does not hold the file train-images-idx3-ubyte"),
        (["train", "--resume"], "msgd: msgd-run/checkpoint.pt does not exist"),
        (["train", "--steps", "0"], "msgd: steps = 0"),
        (
            ["train", "--noise-class", "gauss-fisher", "--batch", "50"],
            "msgd: noise gauss-fisher weighs all rows, so that --batch 50",
        ),
        (["train", "--noise-class", "gd", "--match", "50"], "msgd: noise gd takes all rows without noise"),
        (
            ["train", "--batch", "50", "--match", "20"],
            "msgd: noise sgd has the level of the rows it draws: give --batch 50 or",
        ),
        (["train", "--noise-scale", "5", "--ghost", "10"], "msgd: noise_scale = 5, ghost = 10"),
        (
            ["train", "--steps", "50", "--decay-at", "20", "50"],
            "msgd: decay_at = 50 is not within the 50 steps: the learning rate would never fall there",
        ),
        (["train", "--decay-at", "0"], "msgd: decay_at = 0"),
        (["train", "--checkpoint-every", "0"], "msgd: checkpoint_every = 0"),
        (["train", "--device", "cuda:99x"], "msgd: device 'cuda:99x'"),
        (
            ["train", "--noise-class", "batch-fisher", "--batch", "10", "--match", "50"],
            "msgd: MiniBatchFisher of size 10 cannot",
        ),
        (["demo", "--replicas", "1"], "msgd: replicas = 1"),
        (["demo", "--out", "picture.txt"], "msgd: picture.txt is no name of a picture"),
        (["compare", "--seeds", "1"], "msgd: seeds = 1"),
        (["reproduce", "M77"], "msgd: msgd has no claim 'M77'"),
        (["reproduce", "--data", "nowhere"], "msgd: the data folder"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(argv, sentence, capsys):  # in every package: a test shows what it asks for
    assert call(*argv) == 2
    err = capsys.readouterr().err
    assert err.startswith(sentence) and err.count("\n") == 1
    assert not list(Path().rglob("*")), "something was left behind"


def test_cite_and_list(capsys):
    assert call("cite") == 0
    assert "1906.07405" in capsys.readouterr().out
    assert call("list") == 0
    out = capsys.readouterr().out
    assert all(f"M{i}" in out for i in range(1, 11))
