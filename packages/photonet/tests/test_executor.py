"""The lazy executor gives what the eager network gives, whatever the string, and does less."""

from dataclasses import replace

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.encoders import LevelEncoder
from claimkit.style.transforms import Affine, Statistics
from photonet import Architecture, Decoder, Executor, PhotoNet, PhotoStylizer
from photonet.execution.convolution import Folded
from photonet.execution.lazy import Activation, measure
from photonet.execution.style import Style

CHANNELS = (4, 6, 8, 8, 8)


def close(a, b, tolerance=1e-4):
    return (a - b).abs().max() <= tolerance * max(1.0, b.abs().max())


def sorted_like(x, s):
    """A transform that is not affine: each channel takes the style's quantiles (sort matching)."""
    order = x.flatten(2).argsort(dim=-1, stable=True)
    values = F.interpolate(s.flatten(2).sort(-1).values, order.shape[-1], mode="linear", align_corners=True)
    return torch.empty_like(values).scatter_(-1, order, values).view(x.shape)


@pytest.mark.parametrize("transform", ["wct", "wct-relative", "wct-identity", "adain", "ot", sorted_like])
@pytest.mark.parametrize("bits", ["photonet", "photonas", "artnet", "best-of-log", "0" * 32])
def test_lazy_equals_eager(bits, transform, network, picture):
    net, content, style = network(bits), picture(48, 80), picture(64, 48, seed=1)
    if transform is sorted_like:  # an order is not continuous: rounding in single precision would decide it
        net, content, style = net.double(), content.double(), style.double()
    executor = Executor(net, transform)
    for alpha in (1.0, 0.4):
        assert close(executor(content, executor.prepare(style), alpha), net(content, style, transform, alpha))


@given(st.text("01", min_size=32, max_size=32), st.sampled_from(["wct-relative", "adain", "ot"]))
@example("00001011000011100000000100101000", "wct-relative")  # all channels are dead before one of its transfers
@settings(max_examples=40)
def test_lazy_equals_eager_for_any_string(bits, transform):
    from .conftest import random_network

    net = random_network(bits).double()  # dead channels of random networks would amplify single precision's rounding
    generator = torch.Generator().manual_seed(3)
    content, style = (torch.rand(1, 3, *size, generator=generator).double() for size in ((64, 80), (80, 64)))
    executor = Executor(net, transform)
    assert close(executor(content, executor.prepare(style)), net(content, style, transform))


@pytest.mark.parametrize(
    "bits", ["photonet", "photonas", "artnet", "0" * 9 + "1" * 23, "00000010" + "0" * 24, "00000001" + "0" * 24]
)
def test_bands_change_nothing(bits, network, picture):
    net, content, style = network(bits), picture(256, 48), picture(208, 32, seed=1)
    whole, banded = Executor(net), Executor(net, pixels=64 * 48)
    assert close(banded(content, banded.prepare(style)), whole(content, whole.prepare(style)))
    assert close(banded(content, banded.prepare(style)), net(content, style))


def test_the_style_is_looked_at_as_deep_as_needed_and_once(network, picture, monkeypatch):
    depths = []
    forward = LevelEncoder.forward

    def counted(self, image, depth=None):
        depths.append(depth)
        return forward(self, image, depth)

    monkeypatch.setattr(LevelEncoder, "forward", counted)
    executor = Executor(network("best-of-log"))
    style = executor.prepare(picture(seed=1))
    assert depths == [2]  # T2 alone: the encoder stops at f2, nothing is decoded
    executor(picture(), style), executor(picture(seed=2), style)
    assert depths == [2, 5, 5]
    assert Executor(network("0" * 32)).prepare(picture()).points == {}
    assert depths == [2, 5, 5]


def test_affine_transfers_cost_no_pass_over_the_features(network, picture, monkeypatch):
    net, content, style = network("photonas"), picture(), picture(seed=1)
    executor = Executor(net)
    kept, expected = executor.prepare(style), net(content, style)
    passes, apply = [], Affine.__call__

    def counted(affine, x):
        passes.append(x.shape)
        return apply(affine, x)

    monkeypatch.setattr(Affine, "__call__", counted)
    found = executor(content, kept)
    assert not passes, "applied instead of folded"
    assert close(found, expected)
    net(content, style)
    assert len(passes) == 2, "the eager network applies both transfers, so the count counts"


def test_a_style_is_kept_in_a_file(network, picture, tmp_path):
    executor = Executor(network("photonet"))
    style = executor.prepare(picture(seed=1), name="dusk")
    style.save(tmp_path / "s.style")
    loaded = Style.load(tmp_path / "s.style")
    assert loaded.name == "dusk"
    assert torch.equal(executor(picture(), style), executor(picture(), loaded))
    with pytest.raises(InputError, match="another network"):
        Executor(network("photonet", seed=7))(picture(), style)
    with pytest.raises(InputError, match="of one's own"):
        PhotoStylizer.of_style(PhotoStylizer(network("photonas"), transform=sorted_like).prepare(picture()[0]))
    first = next(iter(style.points))
    broken = Statistics(style.points[first][0].mean * torch.nan, style.points[first][0].covariance)
    replace(style, points={**style.points, first: (broken,)}).save(tmp_path / "nan.style")
    with pytest.raises(InputError, match="not finite"):
        Style.load(tmp_path / "nan.style")
    (tmp_path / "x.style").write_bytes(b"nothing")
    for name in ("x.style", "absent.style"):
        with pytest.raises(InputError, match=name):
            Style.load(tmp_path / name)


def test_projection_style_and_affine_style_do_not_mix(network, picture):
    net = network("photonas")
    with pytest.raises(InputError, match="affine"):
        Executor(net, sorted_like)(picture(), Executor(net).prepare(picture()))
    features = Executor(net, sorted_like).prepare(picture(seed=1))  # from features statistics can still be taken
    assert close(Executor(net)(picture(), features), net(picture(), picture(seed=1)))


def test_measure_takes_rounding_for_no_spread():
    generator = torch.Generator().manual_seed(0)
    x = 3.7 + torch.finfo(torch.float32).eps * torch.randn(1, 3, 40, 50, generator=generator)
    x[:, 2] += 1e-4 * torch.randn(40, 50, generator=generator)
    covariance = measure(x).covariance[0]
    assert torch.count_nonzero(covariance) == 1 and covariance[2, 2].sqrt().item() == pytest.approx(1e-4, rel=0.1)


def test_measure_is_mean_and_covariance():
    x = torch.randn(1, 5, 70, 90) * torch.tensor([1, 10, 0.1, 1, 1]).view(1, 5, 1, 1) + 100
    found, wanted = measure(x), Statistics.of(x.double())
    assert torch.allclose(found.mean, wanted.mean, rtol=1e-6)
    assert torch.allclose(found.covariance, wanted.covariance, rtol=1e-3, atol=1e-4)
    weight = torch.rand(70, 90)
    found, wanted = measure(x, weight), Statistics.of(x.double(), weight.double())
    assert torch.allclose(found.covariance, wanted.covariance, rtol=1e-3, atol=1e-4)
    assert torch.allclose(measure(x, positions=2000).mean, wanted.mean, rtol=1e-2)


def test_a_convolution_takes_maps_and_doublings_into_its_weights():
    layer = torch.nn.Conv2d(7, 5, 3, padding=1, padding_mode="reflect").double()
    fit = Affine(torch.randn(1, 4, 4, dtype=torch.float64), torch.randn(1, 4, dtype=torch.float64))
    parts = [Activation(torch.randn(1, 4, 5, 6).double(), fit, doubled=True), Activation(torch.randn(1, 3, 10, 12).double())]
    plain = layer(torch.cat([p.tensor() for p in parts], 1))
    folded = Folded(layer, [p.form for p in parts])([p.values for p in parts], rectify=False)
    assert torch.allclose(folded, plain, atol=1e-12)
    rectified = Folded(layer, [p.form for p in parts])([p.values for p in parts])
    assert torch.allclose(rectified, plain.relu(), atol=1e-12)


def test_regions_take_from_regions(network, picture):
    """Halves with their own statistics; what belongs to no region stays."""
    net, content, style = network("photonas"), picture(64, 64), picture(64, 64, seed=1)
    halves = torch.zeros(2, 64, 64)
    halves[0, :, :32] = halves[1, :, 32:] = 1
    executor = Executor(net)
    prepared = executor.prepare(style, halves)
    assert prepared.regions == 2
    f = net.encode(style)[1]
    assert torch.allclose(prepared.points["T1"][1].mean, f[..., 32:].double().mean((2, 3)), atol=1e-5)
    both = executor(content, prepared, masks=halves)
    swapped = executor(content, executor.prepare(style, halves.flip(0)), masks=halves)
    assert not close(both, swapped, 1e-2)
    ones = torch.ones(1, 64, 64)
    assert close(executor(content, executor.prepare(style, ones), masks=ones), net(content, style))
    assert close(executor(content, prepared, masks=0 * halves), net.reconstruct(content))
    assert executor(content, prepared, masks=0.5 * halves).isfinite().all()
    with pytest.raises(InputError, match="2 regions and the content 1"):
        executor(content, prepared)
    sort = Executor(net, sorted_like)
    assert close(sort(content, sort.prepare(style, ones), masks=ones), net(content, style, sorted_like))


def test_smoothing_is_asked_at_every_transfer_and_norm(network, picture):
    executor = Executor(network("photonet"))
    names = []
    executor(picture(), executor.prepare(picture(seed=1)), smooth=lambda name, s: (names.append(name), s)[1])
    assert set(names) == set(executor.network.architecture.transfers)


def test_sizes_that_do_not_fit(network, picture):
    executor = Executor(network("photonet"))
    with pytest.raises(InputError, match="multiples of 16"):
        executor.prepare(picture(40, 64))
    assert isinstance(Architecture.parse("photonet"), Architecture) and PhotoNet and Decoder
