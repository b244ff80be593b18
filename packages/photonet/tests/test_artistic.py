"""ArtNet's training: what is trained, that its losses fall, and that it goes on."""

import json

import torch

from claimkit.style.images import write_image
from claimkit.style.looks import Judge
from photonet.training.artistic import Artistic, train_artistic
from photonet.weights import load_network


def test_training_lowers_its_losses_trains_the_decoder_alone_and_goes_on(network, vgg, picture, tmp_path):
    for k in range(2):
        write_image(tmp_path / f"photos/{k}.png", picture(80, 96, seed=k)[0])
    files = sorted((tmp_path / "photos").iterdir())
    net, settings = network("artnet"), Artistic(photographs=1, crop=64)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    train_artistic(net, Judge(vgg), files, files, tmp_path / "run", 2, settings)
    path = train_artistic(net, Judge(vgg), files, files, tmp_path / "run", 16, settings, resume=True)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert log[-1]["total"] < log[0]["total"] and {"likeness", "drawing", "pixels", "gram"} <= set(log[0])
    changed = {k.split(".")[0] for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"decoder"}
    assert load_network("artnet", path).architecture == net.architecture
    assert (tmp_path / "run/samples/0000016.png").exists()
