"""Every verb, end to end, as a user types it."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from claimkit import testing
from claimkit.transfer.networks import create
from dtnh.cli import main


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


call = partial(testing.call, main)


def pictures(folder, count=6):
    """Two classes, dark and light, in train/ and val/."""
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for label, name in enumerate(("dark", "light")):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(120 * label, 120 * label + 120, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i}.png")


FIT = ["train", "--data", "images", "--arch", "cifar-resnet8", "--size", "14", "--batch", "4", "--validation", "0.34"]


def test_help_does_not_import_torch():
    text = testing.help_text("dtnh", "torch")
    assert all(verb in text for verb in ("demo", "train", "compare", "reproduce", "list", "cite"))


def test_demo_writes_a_picture(capsys):
    assert call("demo", "--steps", "5") == 0
    assert Path("dtnh-demo.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    assert "plain L2" in out and "inappropriate" in out and "conflict in" in out


def test_fit_then_resume(capsys):
    pictures(Path("images"))
    assert call(*FIT, "--steps", "4", "--out", "run") == 0
    assert "the regulariser opposed the loss in" in capsys.readouterr().out
    assert {p.name for p in Path("run").iterdir()} == {
        "model.pt",
        "summary.json",
        "conflicts.csv",
        "conflicts.png",
        "checkpoint.pt",
    }
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["classes"] == ["dark", "light"] and summary["method"]["alpha"] == 0.1
    assert len(Path("run/conflicts.csv").read_text().splitlines()) == 5
    assert torch.load("run/model.pt", weights_only=True)["linear.weight"].shape == (2, 64)
    assert call(*FIT, "--steps", "4", "--out", "run") == 2
    assert "already holds a run" in capsys.readouterr().err
    assert call(*FIT, "--steps", "6", "--out", "run", "--resume") == 2
    assert "other settings" in capsys.readouterr().err
    for other in (["--no-guard"], ["--scope", "layer"], ["--alpha", "0.2"], ["--penalty", "featmap"]):
        assert call(*FIT, "--steps", "4", "--out", "run", "--resume", *other) == 2, other
    assert call(*FIT, "--steps", "4", "--out", "run", "--resume") == 0
    capsys.readouterr()
    torch.save(create("cifar-resnet8").state_dict(), "other.pt")
    assert call(*FIT, "--steps", "4", "--out", "run", "--resume", "--weights", "other.pt") == 2
    assert "run/checkpoint.pt was made with another source network: give the same weights" in capsys.readouterr().err
    assert call(*FIT, "--steps", "2", "--out", "plain", "--no-guard", "--penalty", "featmap") == 0
    assert not Path("plain/conflicts.csv").exists()


def test_fit_takes_a_lagged_guard_or_the_metric_of_adamw(capsys):
    pictures(Path("images"))
    assert call(*FIT, "--steps", "4", "--out", "lag", "--penalty", "featmap", "--every", "3") == 0
    assert len(Path("lag/conflicts.csv").read_text().splitlines()) == 3  # header, steps 0 and 3
    assert call(*FIT, "--steps", "2", "--out", "adam", "--optimizer", "adamw", "--learning-rate", "1e-3") == 0
    assert json.loads(Path("adam/summary.json").read_text())["settings"]["optimizer"] == "adamw"
    assert call(*FIT, "--steps", "2", "--out", "both", "--optimizer", "adamw", "--every", "2") == 2
    assert "every = 2" in capsys.readouterr().err and not Path("both/model.pt").exists()


def test_compare_on_the_digits_keeps_finished_runs(capsys):
    arguments = ["compare", "--steps", "3", "--seeds", "2", "--alphas", "0.1", "1"]
    assert call(*arguments) == 0
    first = capsys.readouterr().out
    assert first.count("guard - L2") == 6 and "plain L2" in first
    files = {p.name for p in Path("dtnh-compare").iterdir()}
    assert files == {".finished", "compare.csv", "compare.json", "accuracy.png", "conflicts.png"}
    table = Path("dtnh-compare/compare.csv").read_text().splitlines()
    assert table[0] == "source,regulariser,alpha,seed,plain_l2,base,guard,conflict_rate" and len(table) == 1 + 3 * 2 * 2
    finished = list(Path("dtnh-compare/.finished").rglob("*.json"))
    stamps = {p: p.stat().st_mtime_ns for p in finished}
    assert len(finished) == 2 * 3 * 5
    assert call(*arguments) == 0
    assert capsys.readouterr().out == first and {p: p.stat().st_mtime_ns for p in finished} == stamps


def test_compare_on_a_folder_with_two_sources(capsys):
    pictures(Path("images"))
    from claimkit.transfer.networks import create

    for name in ("one", "two"):
        torch.save(create("cifar-resnet8").state_dict(), f"{name}.pt")
    arguments = ["--data", "images", "--arch", "cifar-resnet8", "--weights", "one.pt", "two.pt", "--size", "14"]
    rest = ["--steps", "2", "--batch", "4", "--alphas", "0.1", "--seeds", "2", "--penalty", "featmap"]
    assert call("compare", *arguments, *rest) == 0
    out = capsys.readouterr().out
    assert "  one " in out and "  two " in out


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["train", "--data", "nowhere"], "dtnh: nowhere is not a folder"),
        (["train", "--data", ".", "--arch", "resnet19"], "dtnh: no network is called 'resnet19'"),
        (
            ["train", "--data", ".", "--arch", "cifar-resnet8"],
            "dtnh: . holds no folder train: expected train/CLASS",
        ),
        (["train", "--data", ".", "--resume"], "dtnh: dtnh-fit/checkpoint.pt does not exist"),
        (["train", "--data", ".", "--steps", "0"], "dtnh: steps = 0"),
        (["compare", "--seeds", "1"], "dtnh: seeds = 1"),
        (["compare", "--data", "."], "dtnh: --data needs --weights"),
        (["compare", "--data", ".", "--weights", "a/x.pt", "b/x.pt"], "dtnh: two of the --weights have one name"),
        (["compare", "--alphas", "-1", "--seeds", "2", "--steps", "1"], "dtnh: alpha = -1"),
        (["demo", "--out", "picture.txt"], "dtnh: picture.txt is no name of a picture"),
        (["reproduce", "C3"], "dtnh: dtnh has no claim 'C3'"),
        (["reproduce", "--data", "nowhere"], "dtnh: the data folder"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(argv, sentence, capsys):
    assert call(*argv) == 2
    err = capsys.readouterr().err
    assert err.startswith(sentence) and err.count("\n") == 1
    left = [p for p in Path().rglob("*") if p.is_file() and ".finished" not in p.parts]
    assert not left, "something was left behind"


def test_cite_and_list(capsys):
    assert call("cite") == 0
    assert "1911.07489" in capsys.readouterr().out
    assert call("list") == 0
    out = capsys.readouterr().out
    assert all(c in out for c in ("C1", "C2", "C5"))
