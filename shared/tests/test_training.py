"""What training image networks shares: crops, the loop, the start in closed form."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from claimkit.errors import InputError
from claimkit.training.closed_form import chosen_channels, fit_convolution
from claimkit.training.crops import Crops
from claimkit.training.loop import Loop


def test_pivoted_qr_leaves_out_what_is_a_copy():
    torch.manual_seed(0)
    f = torch.randn(2, 5, 8, 8)
    f[:, 3] = 2 * f[:, 1]
    f[:, 4] = 0
    assert set(chosen_channels(f, 3).tolist()) == {0, 2, 3}


def test_ridge_regression_finds_the_convolution_it_was_made_with():
    torch.manual_seed(0)
    true, layer = torch.nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), torch.nn.Conv2d(3, 4, 3, padding=1)
    x = torch.randn(4, 3, 20, 20)
    with torch.no_grad():
        fit_convolution(layer, x, true(x), rectified=False)
        assert torch.allclose(layer.weight, true.weight, atol=1e-3) and torch.allclose(layer.bias, true.bias, atol=1e-3)
        fit_convolution(layer, x, true(x).relu(), rectified=True)
        once = (
            torch.nn.functional.conv2d(torch.nn.functional.pad(x, [1] * 4, mode="reflect"), layer.weight, layer.bias)
        ).relu()
        assert (once - true(x).relu()).square().mean() < 0.05 * true(x).relu().var()


def test_crops_are_those_of_their_step_and_bad_files_are_named(tmp_path):
    files = [tmp_path / f"{k}.png" for k in range(3)]
    for k, file in enumerate(files):
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (48, 64, 3), np.uint8)).save(file)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    crops = Crops([*files, bad])
    assert len(crops.pictures) == 3 and "bad.png" in crops.skipped[0]
    first = crops.at(5).draw(4, 16)
    assert first.shape == (4, 3, 16, 16) and first.min() >= 0 and first.max() <= 1
    crops.draw(9, 16)
    assert torch.equal(crops.at(5).draw(4, 16), first) and not torch.equal(crops.at(6).draw(4, 16), first)
    with pytest.raises(InputError, match="none of 1 pictures"):
        Crops([bad])


def test_pictures_smaller_than_a_crop_are_enlarged(tmp_path):
    Image.new("RGB", (5, 9), (255, 0, 0)).save(tmp_path / "a.png")
    assert Crops([tmp_path / "a.png"]).draw(1, 16).shape == (1, 3, 16, 16)


def test_a_training_that_diverges_says_so(tmp_path):
    module = nn.Linear(1, 1)
    loop = Loop(module, tmp_path, steps=5, sample_every=0)
    with pytest.raises(InputError, match="lower the learning rate"):
        loop.run(lambda _: {"total": module(torch.ones(1)).sum() * float("nan")})


def test_a_part_of_the_module_learns_at_its_share_of_the_rate(tmp_path):
    module = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    before = [p.detach().clone() for p in module.parameters()]
    loop = Loop(module, tmp_path, steps=1, average=0.0, sample_every=0, shares={"0": 0.25})
    loop.run(lambda _: {"total": module(torch.ones(1)).sum()})
    moved = [(p - b).abs().item() for p, b in zip(module.parameters(), before, strict=True)]
    assert moved == pytest.approx([0.25e-5, 0.25e-5, 1e-5, 1e-5], rel=0.02)  # a hundredth of the rate at first


def test_a_killed_training_logs_every_step_once(tmp_path):
    module = nn.Linear(1, 1, bias=False)

    def loop(steps):
        return Loop(module, tmp_path, steps, sample_every=0)

    loop(200).run(lambda _: {"total": module(torch.ones(1)).square().sum()})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(
            '{"step": 300, "seconds": 9.0, "total": 9.0}\n{"step": 4'
        )  # after its last checkpoint, and half of a line
    loop(400).run(lambda _: {"total": module(torch.ones(1)).square().sum()}, resume=True)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [100, 200, 300, 400] and rows[2]["total"] < 9


def test_the_average_is_what_the_module_ends_with(tmp_path):
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    loop = Loop(module, tmp_path, steps=50, learning_rate=0.1, sample_every=0, checkpoint_every=100)
    loop.run(lambda _: {"total": (module(torch.ones(1)) - 1).square().sum()})
    last = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["module"]["weight"]
    assert 0 < module.weight.item() < last.item()


def test_the_average_is_that_of_its_formula_after_every_step(tmp_path):
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    seen = []

    def step(_):
        seen.append(module.weight.item())
        return {"total": (module(torch.ones(1)) - 1).square().sum()}

    loop = Loop(module, tmp_path, steps=6, learning_rate=0.3, average=0.5, sample_every=0, checkpoint_every=100)
    loop.run(step)
    last = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["module"]["weight"].item()
    expected = 0.0
    for i, weight in enumerate([*seen[1:], last], 1):
        decay = min(0.5, (1 + i) / (10 + i))
        expected = decay * expected + (1 - decay) * weight
    assert module.weight.item() == pytest.approx(expected, rel=1e-5)
