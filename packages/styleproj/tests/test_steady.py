"""Clips: a map of values that changes slowly, and how flicker is measured."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from styleproj.pictures import steady as module
from styleproj.pictures.flicker import SAME, Flicker
from styleproj.pictures.steady import KEPT, KNOTS, SHARE, Steady, through, value_map
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import photograph, square


@pytest.fixture
def quantiles():
    return torch.randn(5, 64).sort(1).values, torch.rand(5, 64).sort(1).values


def test_without_a_bound_the_map_goes_to_the_styles_quantiles(quantiles):
    knots, style = quantiles
    knots[:, 10] = knots[:, 9]  # ties in the content
    torch.testing.assert_close(value_map(knots, style, float("inf")), style)


@pytest.mark.parametrize("steepest", [0.5, 1.0, 2.0])
def test_no_slope_is_above_the_bound_and_the_mean_is_the_styles(quantiles, steepest):
    knots, style = quantiles
    values = value_map(knots, style, steepest)
    most = steepest * style.std(1, keepdim=True) / knots.std(1, keepdim=True)
    steps = values.diff(dim=1)
    assert (steps >= 0).all() and (steps <= most * knots.diff(dim=1) + 1e-6).all()
    torch.testing.assert_close(values.mean(1), style.mean(1))
    assert (steps < style.diff(dim=1) - 1e-4).any()


def test_between_knots_the_map_is_linear_and_beyond_them_constant(quantiles):
    knots, style = quantiles
    x = 3 * torch.randn(5, 100)
    wanted = np.stack([np.interp(*rows) for rows in zip(x, knots, style, strict=True)])
    torch.testing.assert_close(through(x, knots, style).numpy(), wanted, rtol=0, atol=1e-5, check_dtype=False)


@pytest.mark.parametrize("transform", ["projection", "ot-projection", "adain"])
def test_the_first_frame_is_the_picture_where_nothing_is_bounded(network, transform, monkeypatch):
    monkeypatch.setattr(module.value_map, "__defaults__", (float("inf"),))
    stylizer = Stylizer(network, transform=transform)
    frame, style = torch.rand(3, 64, 80), stylizer.prepare(torch.rand(3, 48, 48))
    wanted = stylizer.stylize(frame, style, 0.8)
    made = Steady(stylizer, style, 0.8)(frame)
    assert (made - wanted).abs().mean() < 0.01 < (made - frame).abs().mean()


def test_the_map_is_a_running_mean_and_another_scene_begins_anew(network):
    stylizer = Stylizer(network, transform="projection")
    style = stylizer.prepare(torch.rand(3, 48, 48))
    first, second = torch.rand(2, 3, 32, 32) * 0.2
    paint = Steady(stylizer, style)
    knots = []
    for frame in (first, second):
        paint(frame)
        knots.append(paint._means["knots0"][0])
    fresh = Steady(stylizer, style)
    fresh(second)
    torch.testing.assert_close(knots[1], (1 - SHARE) * knots[0] + SHARE * fresh._means["knots0"][0])
    assert knots[0].shape == (8, KNOTS)
    bright = 0.8 + first
    assert torch.equal(paint(bright), Steady(stylizer, style)(bright))
    assert not torch.equal(paint(second + 0.75), Steady(stylizer, style)(second + 0.75))


def test_a_still_picture_with_noise_flickers_less():
    stylizer = Stylizer()
    photo, style = square(photograph("astronaut"), 96), stylizer.prepare(square(photograph("flower"), 96))
    photo[..., :70] = 0.5  # even: ranks are noise there
    frames = [(photo + torch.randn(3, 96, 96) / 100).clamp(0, 1) for _ in range(3)]
    found = []
    for paint in (lambda frame: stylizer.stylize(frame, style), Steady(stylizer, style)):
        flicker = Flicker()
        for frame in frames:
            flicker.add(frame, paint(frame))
        found.append(flicker.result / flicker.pixels)
    assert found[1] < 0.4 * found[0]


def test_what_stands_still_is_averaged_and_what_changes_is_not(network, monkeypatch):
    stylizer = Stylizer(network)
    paint = Steady(stylizer, stylizer.prepare(torch.rand(3, 48, 48)))
    frame, before, now = square(photograph("astronaut"), 64), torch.rand(3, 64, 64), torch.rand(3, 64, 64)
    changed = frame.clone()
    changed[:, :32] = (frame[:, :32] + 0.5) % 1
    paint._last = changed, before
    made = paint._averaged(frame, now)
    torch.testing.assert_close(made[:, 44:, 8:-8], torch.lerp(now, before, KEPT)[:, 44:, 8:-8], atol=0.15, rtol=0)
    assert (made[:, :20] - now[:, :20]).abs().mean() < 0.1 * (before - now).abs().mean()
    paint._last = frame, before
    torch.testing.assert_close(paint._averaged(frame, now), torch.lerp(now, before, KEPT), atol=1e-3, rtol=0)
    monkeypatch.setattr(module, "moved", lambda last, _: last)
    for share, left in ((0.5, 0.75), (0.9, 0.19), (1.5, 0.0)):
        paint._last = frame, before
        made = paint._averaged(frame + share * SAME, now)
        torch.testing.assert_close(made, torch.lerp(now, before, left * KEPT), atol=1e-4, rtol=0)


def test_flicker_of_a_still_picture_is_the_change_of_its_result():
    x, flicker = square(photograph("astronaut"), 80), Flicker()
    for sign in (1, -1, 1):
        flicker.add(x, torch.full_like(x, 0.5 + 0.05 * sign))
    assert flicker.result / flicker.pixels == pytest.approx(0.1)
    assert str(flicker) == "flicker 10.0%: so much do pixels of the same thing change from frame to frame (source 0.0%)"
    assert str(Flicker()) == "no two frames to compare"


def test_what_is_painted_on_the_things_does_not_flicker_and_what_is_painted_on_the_screen_does():
    wide = F.avg_pool2d(square(photograph("astronaut"), 160)[None], 3, 1, 1)[0]
    texture = F.interpolate(torch.rand(1, 3, 40, 40), scale_factor=4, mode="bilinear")[0]
    found = []
    for moving in (True, False):
        flicker = Flicker()
        for k in range(3):
            left = 4 * k
            content = wide[:, :, left : left + 120]
            flicker.add(content, texture[:, :, left : left + 120] if moving else texture[:, :, :120])
        found.append(flicker.result / flicker.pixels)
        assert flicker.pixels > 0.5 * 2 * 160 * 120
    assert found[0] < 0.4 * found[1]
