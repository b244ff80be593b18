"""Every verb, end to end, as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from claimkit import testing
from claimkit.transfer.networks import create
from delta import Attention
from delta.cli import main

SMALL = ["--size", "28", "--mean", "0.5", "0.5", "0.5", "--std", "0.5", "0.5", "0.5", "--device", "cpu"]
call = partial(testing.call, main)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def images(tmp_path):
    """Two classes of noise of another colour, and the weights of an untrained network."""
    rng = np.random.default_rng(0)
    for name, colour in (("ants", 0), ("bees", 2)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 120, (34, 40, 3), dtype=np.uint8)
            pixels[:, :, colour] += 100
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    torch.save(create("cifar-resnet8").state_dict(), tmp_path / "w.pt")
    return ["--data", "images", "--arch", "cifar-resnet8", "--weights", "w.pt", *SMALL]


def test_help_does_not_import_torch():
    text = testing.help_text("delta", "torch")
    assert all(verb in text for verb in ("demo", "attention", "train", "compare", "reproduce", "list", "cite"))


def test_importing_the_package_does_not_import_torch():
    subprocess.run([sys.executable, "-c", "import delta, sys; assert 'torch' not in sys.modules"], check=True)


def test_demo_writes_a_picture(capsys):
    assert call("demo", "--steps", "5") == 0
    assert Path("delta-demo.png").read_bytes().startswith(b"\x89PNG")
    assert "32 channels of conv2" in capsys.readouterr().out


def test_attention_writes_the_released_layout(images):
    assert call("attention", *images, "--epochs", "1", "--batches", "1", "--out", "a.json") == 0
    assert [len(g) for g in Attention.from_json(Path("a.json")).gaps] == [16, 32, 64]


def test_finetune_with_attention_of_before_then_resume(images, capsys):
    assert call("attention", *images, "--epochs", "1", "--batches", "1", "--out", "a.json") == 0
    arguments = ["train", *images, "--batch", "8", "--alpha", "0.001", "--attention", "a.json", "--steps", "6"]
    assert call(*arguments) == 0
    assert {p.name for p in Path("delta-run").iterdir()} == {
        "attention.json", "checkpoint.pt", "losses.csv", "model.pt", "summary.json",
    }  # fmt: skip
    summary = json.loads(Path("delta-run/summary.json").read_text())
    assert summary["layers"] == ["layer1.0.conv2", "layer2.0.conv2", "layer3.0.conv2"] and summary["images"] == 22
    assert len(Path("delta-run/losses.csv").read_text().splitlines()) == 7
    capsys.readouterr()
    assert call(*arguments) == 2
    assert "already holds a run" in capsys.readouterr().err
    assert call(*arguments, "--resume") == 0
    capsys.readouterr()
    torch.save(create("cifar-resnet8").state_dict(), "other.pt")
    assert call(*arguments, "--resume", "--weights", "other.pt") == 2
    assert "was made with another source network" in capsys.readouterr().err
    Path("b.json").write_text(json.dumps([[*g[1:], g[0]] for g in json.loads(Path("a.json").read_text())]))
    assert call(*arguments, "--resume", "--attention", "b.json") == 2
    assert "b.json is not the attention that delta-run was begun with" in capsys.readouterr().err
    assert call(*arguments, "--resume", "--learning-rate", "0.5") == 2
    assert "other settings" in capsys.readouterr().err
    assert call(*arguments, "--resume", "--penalty", "fm") == 2
    assert "other settings" in capsys.readouterr().err


@pytest.mark.parametrize("reg", ["delta", "fm", "l2sp", "l2", "frozen", "scratch"])
def test_every_method(images, reg, capsys):
    options = ["--steps", "2", "--batch", "8", "--out", reg, "--no-augment"]
    assert call("train", *images, "--penalty", reg, *options) == 0
    assert capsys.readouterr().out.startswith(f"{reg}, alpha ")
    assert (Path(reg) / "attention.json").exists() == (reg == "delta")


def test_a_loss_is_learnt_and_the_test_folder_is_used(images, capsys):
    Path("images").rename("all")
    for part in ("train", "test"):
        Path("images").mkdir(exist_ok=True)
        Path("images", part).symlink_to(Path("all").resolve(), target_is_directory=True)
    assert call("train", *images, "--penalty", "l2", "--steps", "60", "--batch", "16", "--learning-rate", "0.05") == 0
    assert json.loads(Path("delta-run/summary.json").read_text())["test"]["accuracy"] > 0.9


def test_compare_chooses_on_validation_and_resumes(images, capsys):
    arguments = ["compare", "l2", "l2sp", *images, "--seeds", "2", "--steps", "2", "--batch", "8"]
    assert call(*arguments) == 0
    first = capsys.readouterr().out
    saved = json.loads(Path("delta-compare/compare.json").read_text())
    assert saved["methods"]["l2sp"]["alpha"] in (1e-3, 1e-2, 1e-1, 1.0)
    assert len(saved["methods"]["l2"]["by seed"]) == 2
    before = Path("delta-compare/seed-0.json").stat().st_mtime_ns
    assert call(*arguments) == 0
    assert capsys.readouterr().out == first and Path("delta-compare/seed-0.json").stat().st_mtime_ns == before
    Image.new("RGB", (20, 20)).save(Path("images/ants/0.png"))
    assert call(*arguments) == 0  # another picture under the same name: nothing of before is taken up
    assert Path("delta-compare/seed-0.json").stat().st_mtime_ns > before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupted_run_goes_on(images):
    command = testing.own_process("delta", "train", *images, "--penalty", "l2", "--batch", "8")
    running = subprocess.Popen([*command, "--steps", "100000"], stderr=subprocess.PIPE, text=True)
    try:
        while not Path("delta-run/checkpoint.pt").exists():
            assert running.poll() is None, running.stderr.read()
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        errors = running.communicate(timeout=600)[1]
    finally:
        running.kill()
    assert running.returncode == 130 and "interrupted" in errors
    assert torch.load("delta-run/checkpoint.pt", weights_only=True)["step"] >= 100


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"--data": "nowhere"}, "nowhere is not a folder"),
        ({"--arch": "resnet51"}, "no network is called 'resnet51'; near it are"),
        ({"--weights": "foreign.pt"}, "foreign.pt holds weights of another network"),
        ({"--weights": "text.pt"}, "text.pt is not a file of tensors"),
        ({"--weights": "nothing.pt"}, "No such file"),
        ({"--layers": "layer1.0.conv3"}, "CifarResNet has no layer 'layer1.0.conv3'; near it are layer1.0.conv2"),
        ({"--data": "one"}, "one has 1 class folder(s)"),
        ({"--data": "torn"}, "torn: cannot read bees/0.png"),
        ({"--size": "4"}, "size = 4"),
        ({"--steps": "0"}, "steps = 0"),
        ({"--learning-rate": "-1"}, "learning rate -1.0"),
        ({"--alpha": "-1"}, "alpha = -1.0"),
        ({"--device": "abacus"}, "device 'abacus'"),
        ({"--attention": "text.pt"}, "text.pt is no attention"),
        ({"--resume": None}, "delta-run/checkpoint.pt does not exist"),
        ({"--weights": None}, "--penalty delta starts from a pretrained network"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(images, change, sentence, capsys):
    torch.save({"conv.weight": torch.zeros(1)}, "foreign.pt")
    Path("text.pt").write_text("no weights")
    Path("one").mkdir()
    Path("one/ants").symlink_to(Path("images/ants").resolve(), target_is_directory=True)
    Path("torn").mkdir()
    Path("torn/ants").symlink_to(Path("images/ants").resolve(), target_is_directory=True)
    Path("torn/bees").mkdir()
    Path("torn/bees/0.png").write_bytes(b"torn")
    options = {"--data": "images", "--arch": "cifar-resnet8", "--weights": "w.pt", "--size": "28", "--steps": "1"}
    for key, value in change.items():
        options[key] = value
        if value is None and key != "--resume":
            del options[key]
    assert call("train", *(v for pair in options.items() for v in pair if v is not None)) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"delta: {sentence}") and err.count("\n") == 1
    assert not Path("delta-run").exists(), "something was left behind"


def test_bad_input_of_the_other_verbs(images, capsys):
    for argv, sentence in (
        (["demo", "--out", "picture.txt"], "picture.txt is no name of a picture"),
        (["demo", "--steps", "0"], "steps = 0"),
        (["attention", *images, "--out", "a.txt"], "a.txt, 10 epochs"),
        (["compare", *images, "--seeds", "1"], "seeds = 1"),
        (["compare", "l2", *images, "--per-class", "99"], "class 'ants' has 14 images: 99 wanted"),
        (["reproduce", "C77"], "delta has no claim 'C77'"),
    ):
        assert call(*argv) == 2, argv
        assert capsys.readouterr().err.startswith(f"delta: {sentence}")


def test_cite_and_list(capsys):
    assert call("cite") == 0
    assert "1901.09229" in capsys.readouterr().out
    assert call("list") == 0
    out = capsys.readouterr().out
    assert "D1" in out and "formula" in out
