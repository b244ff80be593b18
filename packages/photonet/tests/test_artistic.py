"""ArtNet's training: pictures as they are made, what is trained, and what a step sees."""

import json

import pytest
import torch

from claimkit.style.images import write_image
from claimkit.style.looks import Judge
from photonet.stylizer import PhotoStylizer
from photonet.training.artistic import Artistic, as_made, train_artistic
from photonet.weights import load_network


@pytest.mark.parametrize("transform", ["wct", "ot"])
def test_the_loop_makes_what_the_stylizer_makes(network, picture, transform):
    net = network("artnet")
    content, style = (torch.cat([picture(64, 64, seed=k + i) for i in range(2)]) for k in (0, 7))
    made, same = as_made(net, content, style, transform)
    stylizer = PhotoStylizer(net, transform=transform, device="cpu")
    for x, s, y in zip(content, style, made.clamp(0, 1), strict=True):
        assert (y - stylizer.stylize(x, s)).abs().mean() < 0.01  # bfloat16 in the loop
    assert (same - net.reconstruct(content)).abs().mean() < 0.01


def test_gradients_reach_both_and_pass_a_transfer_as_a_known_matrix(network, picture):
    net = network("artnet").requires_grad_(True)
    made, _ = as_made(net, picture(64, 64), picture(64, 64, seed=1), "wct")
    made.mean().backward()
    assert net.encoder.conv1_1.weight.grad.abs().sum() > 0
    assert net.decoder.conv15.weight.grad.abs().sum() > 0


def test_training_lowers_its_loss_trains_the_encoder_too_and_goes_on(network, vgg, picture, tmp_path):
    for k in range(2):
        write_image(tmp_path / f"photos/{k}.png", picture(80, 96, seed=k)[0])
    files = sorted((tmp_path / "photos").iterdir())
    net, settings = network("artnet"), Artistic(batch=1, crop=64)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    train_artistic(net, Judge(vgg), files, files, tmp_path / "run", 2, settings)
    path = train_artistic(net, Judge(vgg), files, files, tmp_path / "run", 16, settings, resume=True)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert log[-1]["total"] < log[0]["total"] and {"likeness", "drawing", "gram"} <= set(log[0])
    changed = {k.split(".")[0] for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"encoder", "decoder"}
    assert load_network("artnet", path).architecture == net.architecture
    assert (tmp_path / "run/samples/0000016.png").exists()
