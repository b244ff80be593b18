import json
from pathlib import Path

import pytest
import torch
from skimage import data

from claimkit.errors import InputError
from claimkit.style.encoders import LevelEncoder, SlimEncoder
from claimkit.training.closed_form import start_encoder
from styleproj import project
from styleproj.networks.closed_form import start_decoder
from styleproj.networks.network import Decoder, StyleNetwork
from styleproj.networks.weights import NAMES, load_network, save_network, shipped, weights_file, weights_files
from styleproj.pictures.style import digest


def network(levels=(2, 3), residuals=(0, 1)):
    encoder = SlimEncoder((4, 6, 8), (2, 2))
    return StyleNetwork(encoder, Decoder((4, 6, 8), (2, 2), levels, residuals))


@pytest.mark.parametrize("levels", [(3,), (2, 3), (1, 3), (1, 2, 3)])
def test_a_picture_comes_back_at_its_size(levels):
    net = network(levels)
    features = net.encode(torch.rand(2, 3, 24, 16))
    assert [tuple(f.shape[1:]) for f in features] == [
        (net.encoder.channels[k - 1], 24 >> (k - 1), 16 >> (k - 1)) for k in levels
    ]
    assert net.decode(features).shape == (2, 3, 24, 16)
    assert net.multiple == 4 and net.channels == tuple((4, 6, 8)[k - 1] for k in levels)


def test_the_decoder_of_the_paper_is_vggs_mirror():
    decoder = Decoder((64, 128, 256, 512), (2, 2, 4), (4,))
    shapes = [(m.in_channels, m.out_channels) for n, m in decoder.named_children()]
    assert shapes == [(512, 256), (256, 256), (256, 256), (256, 256), (256, 128), (128, 128), (128, 64), (64, 64), (64, 3)]


def test_the_deepest_block_may_have_several_convolutions(tmp_path):
    encoder = SlimEncoder((4, 6, 8), (2, 2))
    save_network(StyleNetwork(encoder, Decoder((4, 6, 8), (2, 2, 3), (3,), (0, 0, 1))), tmp_path / "a.safetensors")
    net = load_network(tmp_path / "a.safetensors")
    steps = list(net.decoder.activations(net.encode(torch.rand(1, 3, 16, 16))))
    assert [n for n, *_ in steps] == ["conv3_3", "conv3_2", "conv3_1", "conv2_2", "conv2_1", "conv1_2", "conv1_1"]
    assert net.encoder.convolutions == (2, 2, 1)


@pytest.mark.parametrize("levels", [(3,), (2, 3)])
def test_decoding_leaves_features_and_activations_as_they_are(levels):
    net = network(levels)
    with torch.no_grad():
        features = net.encode(torch.rand(1, 3, 16, 16))
        kept = [f.clone() for f in features]
        steps = list(net.decoder.activations(features))
        assert torch.equal(net.decode(features), steps[-1][2])
        assert all(torch.equal(getattr(net.decoder, n)(x), y) for n, x, y in steps)
    assert all(torch.equal(a, b) for a, b in zip(features, kept, strict=True))


def test_residual_blocks_are_the_identity_at_first():
    torch.manual_seed(1)
    with_blocks, without = network(residuals=(0, 2)), network(residuals=())
    without.load_state_dict({k: v for k, v in with_blocks.state_dict().items() if "residual" not in k})
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(with_blocks.decode(with_blocks.encode(x)), without.decode(without.encode(x)))


def test_ranks_before_relu_are_those_after_it_where_these_have_any():
    net = network()
    x, s = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    before = torch.relu(project(net.encode(x)[0], net.encode(s)[0]))
    after = project(net.encoder(x)[1], net.encoder(s)[1])
    assert torch.equal(before.flatten(2).sort(2).values, after.flatten(2).sort(2).values)
    positive = net.encoder(x)[1] > 0
    assert torch.equal(before[positive], after[positive])


def test_forward_is_encode_transform_decode():
    net = network()
    x, s = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 24, 16)
    assert torch.allclose(net(x, s, lambda a, b: a), net.decode(net.encode(x)))


def test_the_closed_form_start_reconstructs_better_than_chance():
    torch.manual_seed(0)
    teacher = LevelEncoder((8, 12, 16), (2, 2))
    smooth = torch.nn.functional.interpolate(torch.rand(8, 3, 8, 8), size=(32, 32), mode="bicubic").clamp(0, 1)
    with torch.no_grad():
        activations = {name: y.relu() for name, y in teacher.activations(smooth)}
        net = network()
        explained = start_encoder(net.encoder, smooth, activations) | start_decoder(net, smooth)
        error = (net.decode(net.encode(smooth)) - smooth).square().mean()
    assert error < 0.5 * smooth.var()
    assert explained["encoder.conv1_1"] > 0.9 and set(explained) >= {"encoder.conv3_1", "decoder.conv3_1", "decoder.conv1_1"}


def test_weights_survive_the_file(tmp_path):
    net = network()
    save_network(net, tmp_path / "a.safetensors", {"seed": "0"})
    again = load_network(tmp_path / "a.safetensors")
    assert again.levels == net.levels and not any(p.requires_grad for p in again.parameters())
    x = torch.rand(1, 3, 16, 16)
    assert torch.allclose(again.decode(again.encode(x)), net.decode(net.encode(x)), atol=2e-2)


@pytest.mark.parametrize("content", [b"", b"no weights", json.dumps({}).encode()])
def test_what_is_no_network_is_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="holds no network"):
        load_network(tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="does not exist"):
        load_network(tmp_path / "b.safetensors")


def test_networks_that_share_an_encoder_are_those_that_were_shipped_whole():
    """The digest that kept styles name is of the encoder's values; a decoder's bytes are told by their sum."""
    same = [digest(load_network(weights_file(name))) for name in ("paint", "joint", "deep", "slim")]
    assert same == ["33bc0ad0792d36c4"] * 4 and digest(load_network(weights_file("brush"))) == "dc2f47f1d80307de"
    assert [f.name for f in weights_files("paint")] == ["paint.safetensors", "slim.safetensors"]
    assert [f.name for f in weights_files("slim")] == ["slim.safetensors"]


def test_a_file_may_leave_out_the_encoder_of_one_that_is_shipped(tmp_path):
    slim = load_network(weights_file("slim"))
    save_network(slim, tmp_path / "a.safetensors", encoder_of="slim")
    assert (tmp_path / "a.safetensors").stat().st_size < 0.75 * weights_file("slim").stat().st_size
    again = load_network(tmp_path / "a.safetensors").state_dict()
    assert all(torch.equal(t, again[k]) for k, t in slim.state_dict().items())
    save_network(slim, tmp_path / "b.safetensors", {"encoder": "../slim"})
    with pytest.raises(InputError, match="holds no network"):
        load_network(tmp_path / "b.safetensors")


def test_the_shipped_networks_are_small():
    assert sum(weights_file(name).stat().st_size for name in NAMES) < 5e6
    assert shipped() == weights_file("studio")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_network_gives_back_what_it_is_shown(name):
    net = load_network(Path(name))
    image = torch.from_numpy(data.astronaut()[:256, :256].copy()).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        found = net.decode(net.encode(image)).clamp(0, 1)
    assert -10 * (found - image).square().mean().log10() > 20  # dB
