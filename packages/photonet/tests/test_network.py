"""The eager network does what the table of operators says."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.encoders import SlimEncoder
from claimkit.style.transforms import Statistics
from photonet import Architecture, Decoder, PhotoNet
from photonet.network.architecture import NAMES
from photonet.network.cost import parameters
from photonet.transforms import TRANSFORMS

CHANNELS = (4, 6, 8, 8, 8)


def random_bits(seed):
    return "".join(map(str, torch.randint(2, (32,), generator=torch.Generator().manual_seed(seed)).tolist()))


@pytest.mark.parametrize("chosen", list(itertools.product("01", repeat=4)))
def test_every_bottleneck_gives_a_picture(chosen, network, picture):
    net = network("0" + "".join(chosen) + "0" * 27)
    assert net(picture(32, 48), picture(48, 32)).shape == (1, 3, 32, 48)
    assert net.decoder.pyramid.in_channels == 8 + sum(c for c, on in zip((8, 8, 6, 4), chosen, strict=True) if on == "1")


@pytest.mark.parametrize("seed", range(8))
def test_random_strings(seed, network, picture):
    bits = random_bits(seed)
    net = network(bits)
    out = net(picture(48, 64).repeat(2, 1, 1, 1), picture(64, 80).repeat(2, 1, 1, 1), "adain", 0.7)
    assert out.shape == (2, 3, 48, 64) and out.isfinite().all()
    assert torch.allclose(out[0], out[1], atol=1e-5)
    assert sum(p.numel() for p in net.decoder.parameters()) == parameters(net.architecture, CHANNELS)


def test_all_ones_and_all_zeros(network, picture):
    for bits in ("1" * 32, "0" * 32):
        net = network(bits)
        assert net(picture(), picture(seed=1)).isfinite().all()
    assert torch.equal(
        net(picture(), picture(seed=1)), net.reconstruct(picture())
    )  # no transfer: the style is not looked at


def test_the_network_is_what_the_formulas_say(network, picture):
    """PhotoNAS written out: transfer on f1 before its norm, then a transfer before the last stage, in lock-step."""
    net = network("photonas")
    d, content, style = net.decoder, picture(), picture(seed=1)
    c, s = net.encode(content), net.encode(style)

    def centre(x):
        var, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
        return (x - mean) / (var + 1e-5).sqrt()

    def up_to_stage_5(f):
        pooled = [F.max_pool2d(centre(f[k]), n) for k, n in ((4, 2), (2, 8))]
        x = d.pyramid(torch.cat([f[5], *pooled], 1))
        x = F.relu(d.conv17(torch.cat([F.interpolate(x, scale_factor=2), f[4]], 1)))
        x = F.interpolate(F.relu(d.conv19(x)), scale_factor=2)
        x = F.interpolate(F.relu(d.conv23(F.relu(d.conv21(x)))), scale_factor=2)
        return F.interpolate(F.relu(d.conv25(x)), scale_factor=2)

    def adain(x, y):
        return centre(x) * (y.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt() + y.mean((2, 3), keepdim=True)

    wanted = d.conv27(torch.cat([adain(up_to_stage_5(c), up_to_stage_5(s)), centre(adain(c[1], s[1]))], 1))
    assert torch.allclose(net(content, style, "adain"), wanted, atol=2e-4)


def test_a_transfer_on_a_feature_feeds_bottleneck_and_skip_alike(network, picture):
    """With T4, f4 is replaced before anything reads it: feeding the transferred f4 to a network without T4 is the same."""
    with_it, without = network(Architecture.of(["bfa4", "skip4", "T4"])), network(Architecture.of(["bfa4", "skip4"]))
    content, style = picture(), picture(seed=1)
    levels = with_it.encode(content)
    levels[4] = levels[4] * 0.5 + 1
    assert torch.equal(with_it(content, style, lambda x, s: x * 0.5 + 1), without.decoder(levels))


def test_alpha_goes_from_the_reconstruction_to_the_full_transfer(network, picture):
    net, c, s = network("photonet"), picture(), picture(seed=1)
    assert torch.allclose(net(c, s, alpha=0.0), net.reconstruct(c), atol=1e-5)
    assert not torch.allclose(net(c, s), net.reconstruct(c), atol=1e-2)


@pytest.mark.parametrize("transform", ["wct", "wct-exact", "ot", "adain"])
def test_content_as_its_own_style_comes_back(transform, network, picture):
    net, c = network("photonet"), picture()
    assert torch.allclose(net(c, c, transform), net.reconstruct(c), atol=1e-3)


def test_wct_gives_the_covariance_of_the_style():
    from photonet.transforms import TRANSFORMS

    x, s = torch.randn(1, 6, 30, 30, dtype=torch.float64), torch.randn(1, 6, 20, 25, dtype=torch.float64).cumsum(1)
    for name in ("wct-exact", "wct", "ot"):
        z = Statistics.of(TRANSFORMS[name](x, s))
        wanted = Statistics.of(s)
        tolerance = 1e-6 if name == "wct-exact" else 1e-3
        assert torch.allclose(z.covariance, wanted.covariance, atol=tolerance) and torch.allclose(
            z.mean, wanted.mean, atol=1e-6
        )


def test_rounding_makes_no_variance_negative():
    """A picture of fewer positions than channels: single precision leaves variances below zero, which have no root."""
    values = torch.tensor([4.0, 2.0, -1e-4], dtype=torch.float64)
    few = Statistics(torch.zeros(1, 3, dtype=torch.float64), torch.diag(values)[None])
    style = Statistics.of(torch.rand(1, 3, 8, 8))
    for name in ("wct", "ot"):
        assert TRANSFORMS[name].fit(few, style).matrix.isfinite().all(), name


def test_single_bits_change_only_their_own_layers(network):
    """Switching an operator changes the channels of its layer, or whether the layer is there, and nothing else."""
    base = {x.name: x for x in network("1" * 32).decoder.layers}
    changed = {}
    for i, name in enumerate(NAMES):
        other = {x.name: x for x in network("1" * i + "0" + "1" * (31 - i)).decoder.layers}
        changed[name] = {k for k in base if other.get(k) != base[k]}
    for name, layers in changed.items():
        if name.startswith("conv"):
            assert layers == {name}
        elif name.startswith("bfa"):
            assert layers == {"pyramid"}
        elif name.startswith("skip"):
            assert layers == {{"4": "conv17", "3": "conv21", "2": "conv25", "1": "conv27"}[name[-1]]}
        else:
            assert layers == set()


def test_what_does_not_fit_is_one_sentence(network, picture):
    with pytest.raises(InputError, match="multiples of 16"):
        network("photonet")(picture(40, 64), picture())
    with pytest.raises(InputError, match="no transform 'wtc'"):
        network("photonet")(picture(), picture(), "wtc")
    with pytest.raises(InputError, match="decoder is for channels"):
        PhotoNet(SlimEncoder((2, 2, 2, 2, 2), (1, 1, 1, 1)), Decoder(Architecture.parse("photonet"), CHANNELS))
