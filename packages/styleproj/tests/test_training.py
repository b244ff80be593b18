import json

import numpy as np
import pytest
import torch
from torch import nn

from claimkit.errors import InputError
from claimkit.style.encoders import SlimEncoder
from claimkit.style.images import write_image
from styleproj.networks.network import Decoder, StyleNetwork
from styleproj.networks.teachers import Teacher, compressed_pair
from styleproj.networks.weights import load_network
from styleproj.training.decoder import TrainingSettings, train, train_from_folders
from styleproj.training.distillation import Distillation, distill
from styleproj.training.losses import StyleProjectionLoss, content_loss, kl_loss, moments, style_loss


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("content", "style"):
        (tmp_path / name).mkdir()
        for k in range(3):
            coarse = torch.from_numpy(rng.random((1, 3, 6, 8), np.float32))
            image = nn.functional.interpolate(coarse, size=(48, 64), mode="bicubic")[0]
            write_image(tmp_path / name / f"{k}.png", image)
    return tmp_path / "content", tmp_path / "style"


def small():
    torch.manual_seed(0)
    encoder = SlimEncoder((4, 8), (1,))
    return StyleNetwork(encoder, Decoder((4, 8), (1,), (1, 2)))


SETTINGS = TrainingSettings(
    steps=8, batch=2, crop=16, style_crops=8, sample_every=4, checkpoint_every=3, learning_rate=5e-3, identity_weight=1.0
)


def test_losses_of_known_features():
    f = torch.randn(2, 3, 5, 5)
    assert style_loss(moments([f, f]), moments([f, f])).item() == pytest.approx(0, abs=1e-4)
    assert style_loss(moments([f + 1]), moments([f])).item() == pytest.approx(1, abs=1e-3)
    assert content_loss(f, f - 3).item() == pytest.approx(3)
    assert kl_loss(f, f).item() == 0
    assert kl_loss(f + 5, f).item() == pytest.approx(0, abs=1e-5)  # a softmax does not see a constant
    two = torch.tensor([0.0, 0.0]).view(1, 1, 1, 2), torch.tensor([0.0, np.log(3)]).view(1, 1, 1, 2)
    assert kl_loss(two[1], two[0]).item() == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3), abs=1e-6)


def test_the_sum_is_weighted():
    f, g = torch.randn(1, 3, 5, 5), torch.randn(1, 3, 5, 5)
    parts = StyleProjectionLoss(style_weight=7, kl_weight=3)([f], g, moments([g]))
    assert parts["total"].item() == pytest.approx((parts["content"] + 7 * parts["style"] + 3 * parts["kl"]).item())


def test_training_lowers_the_loss_and_leaves_the_encoder_alone(folders, tmp_path):
    net = small()
    before = {k: v.clone() for k, v in net.encoder.state_dict().items()}
    files = [sorted(f.iterdir()) for f in folders]
    settings = TrainingSettings(**{**SETTINGS.__dict__, "steps": 200, "sample_every": 0})
    path = train(net, [net.encoder], *files, tmp_path / "run", settings, device="cpu")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["total"] < log[0]["total"]
    assert all(torch.equal(v, before[k]) for k, v in net.encoder.state_dict().items())
    assert load_network(path).levels == (1, 2)


class Transparent(StyleNetwork):
    """Its features are the picture: what is decoded from untransformed features is that very picture."""

    def encode(self, image):
        return (image,)

    def decode(self, features):
        return features[0] + 0 * next(self.decoder.parameters()).sum()


def test_the_untransformed_picture_is_compared_with_itself(folders, tmp_path):
    net = Transparent(small().encoder, small().decoder)
    files = [sorted(f.iterdir()) for f in folders]
    train(net, [lambda x: [x]], *files, tmp_path / "run", SETTINGS, device="cpu")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["identity"] == pytest.approx(1e-3, rel=1e-3)  # the root of the 1e-6 under it, and no error


def test_an_interrupted_training_ends_as_an_uninterrupted_one(folders, tmp_path, monkeypatch):
    files = [sorted(f.iterdir()) for f in folders]
    whole = small()
    train(whole, [whole.encoder], *files, tmp_path / "whole", SETTINGS, device="cpu")
    broken, count = small(), 0
    original = StyleProjectionLoss.__call__

    def interrupt(self, *given):
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt
        return original(self, *given)

    monkeypatch.setattr(StyleProjectionLoss, "__call__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(broken, [broken.encoder], *files, tmp_path / "broken", SETTINGS, device="cpu")
    with pytest.raises(InputError, match="already holds a run: add --resume to go on with it"):
        train(small(), [broken.encoder], *files, tmp_path / "broken", SETTINGS, device="cpu")
    again = small()
    train(again, [again.encoder], *files, tmp_path / "broken", SETTINGS, resume=True, device="cpu")
    for a, b in zip(again.decoder.parameters(), whole.decoder.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert sorted(p.name for p in (tmp_path / "broken" / "samples").iterdir()) == ["0000004.png", "0000008.png"]


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_refused(folders, tmp_path):
    net = small()
    files = [sorted(f.iterdir()) for f in folders]
    train(net, [net.encoder], *files, tmp_path / "run", SETTINGS, device="cpu")
    other = TrainingSettings(**{**SETTINGS.__dict__, "kl_weight": 9.0})
    with pytest.raises(InputError, match="another kl_weight"):
        train(small(), [net.encoder], *files, tmp_path / "run", other, resume=True, device="cpu")
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is damaged"):
        train(small(), [net.encoder], *files, tmp_path / "run", SETTINGS, resume=True, device="cpu")
    with pytest.raises(InputError, match="crop must be a multiple of 2"):
        train(net, [], *files, tmp_path / "b", TrainingSettings(crop=17), device="cpu")


def test_training_from_folders_goes_on_from_the_shipped_network(folders, tmp_path):
    settings = TrainingSettings(steps=1, batch=1, crop=16, style_crops=8, sample_every=0)
    path = train_from_folders(*folders, tmp_path / "run", None, None, settings, device="cpu")
    assert load_network(path).channels == load_network().channels


def test_a_vgg_gets_the_decoder_of_the_paper(folders, tmp_path):
    state = {}
    for key, (a, b, k) in {
        "conv0": (3, 3, 1),
        "conv1_1": (64, 3, 3),
        "conv1_2": (64, 64, 3),
        "conv2_1": (128, 64, 3),
    }.items():
        state |= {f"{key}.weight": torch.randn(a, b, k, k) * 0.1, f"{key}.bias": torch.zeros(a)}
    torch.save(state, tmp_path / "vgg.pt")
    settings = TrainingSettings(steps=1, batch=1, crop=16, style_crops=8, sample_every=0)
    vgg = tmp_path / "vgg.pt"
    trained = load_network(train_from_folders(*folders, tmp_path / "run", vgg, vgg, settings, device="cpu"))
    assert trained.levels == (2,) and trained.encoder.channels == (64, 128)


def fake_teachers(folder):
    """Files with the keys and shapes of the teachers, small random numbers."""

    def layer(a, b, k=3):
        return torch.randn(a, b, k, k) * (1.5 / (b * k * k)) ** 0.5, torch.zeros(a)

    def named(layers):
        return {f"{n}.{part}": t for n, pair in layers.items() for part, t in zip(("weight", "bias"), pair, strict=True)}

    wide = {"conv1_1": (64, 3), "conv1_2": (64, 64), "conv2_1": (128, 64), "conv2_2": (128, 128), "conv3_1": (256, 128)}
    torch.save(
        named({"conv0": layer(3, 3, 1), **{n: layer(*s) for n, s in wide.items()}}), folder / "vgg19_normalised_conv3_1.pt"
    )
    further = [*wide.values(), (256, 256), (256, 256), (256, 256)]
    places = (0, 2, 5, 7, 10, 12, 14, 16)
    state = named({f"features.{i}": layer(*s) for i, s in zip(places, further, strict=True)})
    torch.save(state, folder / "vgg19_imagenet_conv3_4.pt")
    slim = {"11": (16, 3), "12": (16, 16), "21": (32, 16), "22": (32, 32), "31": (64, 32)}
    slim |= {"32": (64, 64), "33": (64, 64), "34": (64, 64), "41": (128, 64)}
    compressed = {"SE4.conv0": layer(3, 3, 1), **{f"SE4.conv{n}": layer(*s) for n, s in slim.items()}}
    compressed |= {f"SD4.conv{n}": layer(b, a) for n, (a, b) in slim.items()}
    heads = zip(("11", "21", "31", "41"), (16, 32, 64, 128), (64, 128, 256, 512), strict=True)
    compressed |= {f"SE4.conv{n}_aux": layer(full, c, 1) for n, c, full in heads}
    torch.save(named(compressed), folder / "vgg19_distilled16x.pt")


def test_distillation_runs_resumes_and_imitates(folders, tmp_path, capsys):
    fake_teachers(tmp_path)
    files = [sorted(f.iterdir()) for f in folders]
    settings = Distillation(steps=2, batch=4, crop=32)
    distill(*files, tmp_path, tmp_path / "run", settings)
    assert "encoder.conv4_1: explains" in capsys.readouterr().out
    longer = Distillation(steps=4, batch=4, crop=32)
    net = distill(*files, tmp_path, tmp_path / "run", longer, resume=True)
    assert net.channels == (64, 128) and load_network(tmp_path / "run" / "network.safetensors").levels == (3, 4)
    teacher = Teacher(tmp_path / "vgg19_normalised_conv3_1.pt", tmp_path / "vgg19_distilled16x.pt")
    assert [f.shape[1] for f in teacher(torch.rand(1, 3, 32, 32))] == [64, 128, 256, 512]
    with pytest.raises(InputError, match="not the compressed VGG-19"):
        compressed_pair(tmp_path / "vgg19_imagenet_conv3_4.pt")
