"""The C-step, the objective, weights as files, the start in closed form, and the distillation of the encoder."""

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from claimkit.errors import InputError
from claimkit.style.encoders import VGG19, SlimEncoder
from claimkit.style.images import write_image
from photonet import Architecture, Decoder, PhotoNet, objective
from photonet.network.objective import Objective, cost_of
from photonet.training.closed_form import start_decoder
from photonet.training.decoders import TrainingSettings, reconstruction_losses, train, train_from_folder
from photonet.training.distillation import Distillation, distill
from photonet.weights import load_network, load_networks, save_networks

CHANNELS = (4, 6, 8, 8, 8)
SETTINGS = TrainingSettings(steps=6, batch=2, crop=32, sample_every=3, checkpoint_every=2, learning_rate=3e-3)


@pytest.fixture
def photos(tmp_path, picture):
    for k in range(3):
        write_image(tmp_path / f"photos/{k}.png", picture(64, 80, seed=k)[0])
    return sorted((tmp_path / "photos").iterdir())


def decoders(*names):
    return {n: Decoder(Architecture.parse(n), CHANNELS) for n in names}


def test_training_lowers_the_loss_resumes_and_leaves_the_encoder(photos, tmp_path, network):
    encoder = network("photonet").encoder
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    settings = TrainingSettings(**{**SETTINGS.__dict__, "steps": 120, "sample_every": 0, "checkpoint_every": 100})
    path = train(encoder, decoders("photonas", "best-of-log"), photos, tmp_path / "run", settings, device="cpu")
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert log[-1]["total"] < 0.8 * log[0]["total"] and {"photonas image", "best-of-log features"} <= set(log[0])
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    assert set(load_networks(path)) == {"photonas", "best-of-log"}


def test_an_interrupted_training_goes_on_as_if_nothing_had_been(photos, tmp_path, network):
    encoder = network("photonet").encoder
    torch.manual_seed(5)
    start = decoders("photonas")["photonas"].state_dict()

    def run(out, steps, resume=False):
        made = decoders("photonas")
        made["photonas"].load_state_dict(start)
        settings = TrainingSettings(**{**SETTINGS.__dict__, "steps": steps, "sample_every": 0})
        train(encoder, made, photos, out, settings, resume, "cpu")
        return made["photonas"].conv27.weight

    whole = run(tmp_path / "a", 4)
    # the rate depends on the number of steps: interrupt the same training by hand
    made = decoders("photonas")
    made["photonas"].load_state_dict(start)
    calls = []

    def stop(*args, **kwargs):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return reconstruction_losses(*args, **kwargs)

    settings = TrainingSettings(**{**SETTINGS.__dict__, "steps": 4, "sample_every": 0})
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("photonet.training.decoders.reconstruction_losses", stop)
        train(encoder, made, photos, tmp_path / "b", settings, device="cpu")
    assert torch.allclose(run(tmp_path / "b", 4, resume=True), whole, atol=1e-6)
    with pytest.raises(InputError, match="already holds a run"):
        train(encoder, made, photos, tmp_path / "b", settings, device="cpu")


def test_losses_are_those_of_the_c_step(network, picture):
    net, images = network("photonet"), picture()
    levels = net.encoder(images)
    image, features = reconstruction_losses(net.encoder, net.decoder, images, levels)
    again = net.reconstruct(images)
    assert image == pytest.approx(((again - images) ** 2).mean().item(), rel=1e-4)
    wanted = sum(((a - b) ** 2).mean() for a, b in zip(net.encoder(again), levels, strict=True)) / 5
    assert features == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize("bits", ["photonet", "photonas", "artnet", "best-of-log", "0" * 32])
def test_a_closed_form_start_reconstructs_better_than_chance(bits, picture):
    encoder = SlimEncoder(CHANNELS, (2, 2, 2, 2))
    for layer in encoder.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    decoder = Decoder(Architecture.parse(bits), CHANNELS)
    images = torch.cat([picture(96, 96, seed=k) for k in range(6)])
    shares = start_decoder(encoder.eval(), decoder, images)
    assert set(shares) == {x.name for x in decoder.layers}
    with torch.no_grad():
        error = (PhotoNet(encoder, decoder).reconstruct(images) - images).square().mean()
    assert error < (0.5 if "skip1" in decoder.architecture else 1) * images.var()


def test_the_objective_is_the_formula_over_all_pairs(network):
    encoder = network("photonet").encoder
    students, teachers = (torch.rand(3, 1, 3, 32, 32, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    a = Architecture.parse("best-of-log")
    found = objective(a, students, teachers, encoder)
    image = ((students - teachers) ** 2).mean()
    levels = [
        torch.stack([((x - y) ** 2).mean() for x, y in zip(encoder(s), encoder(t), strict=True)]).mean()
        for s, t in zip(students, teachers, strict=True)
    ]
    features = torch.stack(levels).mean()  # of all pairs, not of the last
    assert found.total == pytest.approx(0.8 * image.item() + 0.1 * features.item() + 0.1 * 5 / 32, rel=1e-5)
    # the best row of the published log: L_r 0.0051, L_p 0.3358, five operators
    assert Objective(0.0051, 0.3358, 5 / 32).total == pytest.approx(0.0533, abs=5e-5)
    assert cost_of(Architecture.parse("photonet"), "macs") == 1 > cost_of(a, "macs") > 0.3
    for bad in (([], []), (students, teachers[:2]), (students[..., :16], teachers)):
        with pytest.raises(InputError):
            objective(a, *bad, encoder)


def test_weights_come_back_in_half_precision(network, picture, tmp_path):
    nets = {n: network(n) for n in ("photonet", "photonas")}
    path = tmp_path / "w.safetensors"
    save_networks(nets["photonet"].encoder, {n: net.decoder for n, net in nets.items()}, path)
    loaded = load_networks(path)
    assert loaded["photonas"].encoder is loaded["photonet"].encoder
    assert torch.allclose(loaded["photonet"].reconstruct(picture()), nets["photonet"].reconstruct(picture()), atol=0.02)
    bits = nets["photonas"].architecture.bits
    assert load_network(bits, path).architecture == load_network("PhotoNAS", path).architecture
    assert load_network(path=path).architecture == nets["photonet"].architecture
    with pytest.raises(InputError, match="photonet, photonas but not for artnet"):
        load_network("artnet", path)
    (tmp_path / "x.safetensors").write_bytes(b"x")
    for name in ("x.safetensors", "absent.safetensors"):
        with pytest.raises(InputError, match=name):
            load_networks(tmp_path / name)


def test_a_vgg_to_relu5_1_can_be_the_encoder(photos, tmp_path):
    torch.manual_seed(0)
    state = VGG19(5).state_dict()
    torch.save({k.replace("input", "conv0"): v for k, v in state.items()}, tmp_path / "vgg.pt")
    settings, folder = TrainingSettings(steps=1, batch=1, crop=32), photos[0].parent
    path = train_from_folder(folder, ["best-of-log"], tmp_path / "run", tmp_path / "vgg.pt", settings, device="cpu")
    assert load_network("best-of-log", path).encoder.channels == (64, 128, 256, 512, 512)
    shallow = {k: v for k, v in state.items() if "5_1" not in k}
    torch.save({k.replace("input", "conv0"): v for k, v in shallow.items()}, tmp_path / "short.pt")
    with pytest.raises(InputError, match="relu4_1 only"):
        train_from_folder(folder, ["photonas"], tmp_path / "r", tmp_path / "short.pt", settings, device="cpu")


def test_settings_that_do_not_fit_are_one_sentence(photos, tmp_path):
    for wrong in ({"crop": 40}, {"crop": 16}, {"steps": 0}, {"learning_rate": 0.0}):
        with pytest.raises(InputError):
            TrainingSettings(**wrong)
    with pytest.raises(InputError, match="at least one"):
        train_from_folder(photos[0].parent, [], tmp_path / "r", None, SETTINGS)


def test_the_distillation_runs_and_resumes(photos, teachers, tmp_path):
    teachers(tmp_path / "weights")
    settings = Distillation(channels=(4, 4, 4, 6, 6), steps=2, batch=2, imitated=1, crop=32)
    distill(photos, tmp_path / "weights", tmp_path / "out", settings)
    path = distill(
        photos, tmp_path / "weights", tmp_path / "out", Distillation(**{**settings.__dict__, "steps": 3}), resume=True
    )
    assert load_networks(path)["artnet"].encoder.channels == (4, 4, 4, 6, 6)
    torch.save({"a": torch.zeros(1)}, tmp_path / "weights/vgg19_distilled16x.pt")
    with pytest.raises(InputError, match="not the compressed VGG-19"):
        distill(photos, tmp_path / "weights", tmp_path / "other", settings)


def test_eight_bits_are_half_the_bytes_and_nearly_the_picture(network, picture, tmp_path):
    net = network("photonas")
    paths = {name: tmp_path / f"{name}.safetensors" for name in ("half", "eight")}
    save_networks(net.encoder, {"photonas": net.decoder}, paths["half"])
    save_networks(net.encoder, {"photonas": net.decoder}, paths["eight"], eight_bits=["photonas"])
    half, eight = (load_networks(path)["photonas"] for path in paths.values())
    largest = net.decoder.pyramid.weight.abs().amax((1, 2, 3), keepdim=True)
    assert ((eight.decoder.pyramid.weight - net.decoder.pyramid.weight).abs() <= largest / 254 * 1.001).all()
    assert (half.reconstruct(picture()) - eight.reconstruct(picture())).abs().mean() < 0.02
    kernels = sum(p.numel() for p in net.decoder.parameters() if p.ndim == 4)
    assert paths["half"].stat().st_size - paths["eight"].stat().st_size > kernels / 2


@pytest.mark.data
def test_shipped_weights_on_held_out_photographs():
    from claimkit.photographs import part_of
    from claimkit.style.images import fit, read_image
    from claimkit.style.metrics import psnr
    from photonet import PhotoStylizer

    if not (data := os.environ.get("CLAIMKIT_DATA")):
        pytest.skip("needs photographs: set CLAIMKIT_DATA")
    files = part_of(Path(data), "photos", "eval")[:6]
    stylizer = PhotoStylizer("photonet", transform="wct")
    found = [psnr(stylizer.stylize(x, x), x) for x in (fit(read_image(p), 256) for p in files)]
    assert sum(found) / len(found) > 24
