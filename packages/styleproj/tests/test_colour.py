"""The ends of the range are bent, not cut off: exact values, and the regions of a picture by themselves."""

import inspect

import pytest
import torch

from claimkit.style.transforms import Statistics
from styleproj import Stylizer, cli
from styleproj.claims.common import BENT, CutFirst
from styleproj.pictures.colour import LIMIT, MAX_GAIN, SOFT_CLIP, repaint, soft_clip


@pytest.mark.parametrize("width", [0.01, 0.1, 0.2, 0.5])
def test_what_leaves_the_range_is_bent_into_it_and_keeps_its_order(width):
    x = torch.linspace(-0.4, 1.3, 1701)[None, None]
    y = soft_clip(x, width)
    assert y.min().item() == pytest.approx(1 / 255, abs=1e-6)
    assert y.max().item() == pytest.approx(254 / 255, abs=1e-6)
    assert (y.diff() > 0).all()
    middle = (x > width + 1e-3) & (x < 1 - width - 1e-3)
    torch.testing.assert_close(y[middle], x[middle], atol=1e-6, rtol=0)


def test_the_bent_end_is_the_rational_curve_of_slope_one():
    x = torch.tensor([0.5, 0.8, 0.9, 1.0, 1.2])[None, None]
    inside = 0.2 - 1 / 255
    wanted = [0.8 + u / (1 + u * (1 / inside - 1 / 0.4)) for u in (0.1, 0.2, 0.4)]
    torch.testing.assert_close(soft_clip(x, 0.2)[0, 0], torch.tensor([0.5, 0.8, *wanted]), atol=1e-6, rtol=0)
    near = torch.tensor([0.8, 0.8001, 1.2])[None, None]
    start = soft_clip(near, 0.2)[0, 0]
    assert (start[1] - start[0]).item() == pytest.approx(1e-4, rel=0.01)


def test_a_channel_that_stays_inside_is_left_as_it_is_and_no_width_cuts_off():
    x = torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(0)) * 0.98 + 0.01
    torch.testing.assert_close(soft_clip(x, 0.2), x, atol=1e-6, rtol=0)
    x[0] += 0.3
    torch.testing.assert_close(soft_clip(x, 0.2)[1:], x[1:], atol=1e-6, rtol=0)
    assert torch.equal(soft_clip(x, 0.0), x.clamp(0, 1))


def test_each_region_has_ends_of_its_own():
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(3, 16, 16, generator=generator)
    picture[:, :, 8:] *= 20  # what lies outside the region must not bend what lies inside
    left = torch.zeros(16, 16)
    left[:, :8] = 1
    colours = Statistics.of(torch.rand(1, 3, 16, 16, generator=generator) * 0.4 + 0.5)
    whole = repaint(picture, [(left, colours)], 1.0, 3.0, 0.2)
    alone = repaint(picture[:, :, :8], [(None, colours)], 1.0, 3.0, 0.2)
    torch.testing.assert_close(whole[:, :, :8], alone, atol=1e-5, rtol=0)
    assert torch.equal(whole[:, :, 8:], picture[:, :, 8:])


def test_a_few_pixels_far_outside_do_not_decide_how_much_all_are_bent():
    picture = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    picture[:, 0, 0], picture[:, 0, 1] = 4.0, -3.0
    own = Statistics.of(picture[None])
    near = picture.clamp(-0.1, 1.1)
    torch.testing.assert_close(repaint(picture, [(None, own)], 1.0, 1.3, 0.2, 0.1), soft_clip(near, 0.2), atol=1e-5, rtol=0)
    assert repaint(picture, [(None, own)], 1.0, 1.3, 0.0).aminmax() == (0, 1)


def test_what_is_decoded_is_cut_after_its_colours_are_mapped(network):
    x, s = torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(1))
    network.decoder.conv1_1.weight.data.mul_(40)
    stylizer = Stylizer(network, palette=False, device="cpu")
    prepared = stylizer.prepare(s)
    decoded = stylizer.decode([stylizer._transform(f, [(None, prepared)], i, 1.0) for i, f in enumerate(stylizer.encode(x))])
    assert decoded.min() < -0.2
    assert decoded.max() > 1.2
    assert torch.equal(stylizer.stylize(x, s), decoded.clamp(0, 1))
    wanted = repaint(decoded, [(None, prepared.colours)], 1.0, MAX_GAIN, SOFT_CLIP, LIMIT)
    torch.testing.assert_close(Stylizer(network, device="cpu").stylize(x, s), wanted)
    first = repaint(decoded.clamp(0, 1), [(None, prepared.colours)], 1.0, 1.3, 0.2, float("inf"))
    torch.testing.assert_close(CutFirst(network, **BENT, device="cpu").stylize(x, s), first)


def test_without_strength_nothing_is_bent():
    picture = torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)) * 1.4 - 0.2
    colours = Statistics.of(torch.rand(1, 3, 16, 16))
    torch.testing.assert_close(repaint(picture, [(None, colours)], 0.0, 1.3, 0.2), picture.clamp(0, 1))


def test_command_line_and_class_have_the_same_defaults():
    own = inspect.signature(Stylizer).parameters
    for verb in (cli.stylize, cli.video):
        given = inspect.signature(verb).parameters
        assert all(given[n].default == own[n].default for n in ("max_gain", "soft_clip"))
