"""Regions that are found, and what a network adds to the matrix in small windows."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from claimkit.errors import InputError
from claimkit.style.metrics import ssim_edge
from photonet import PhotoStylizer
from photonet.colour import local
from photonet.colour.found import common_regions
from photonet.colour.grades import Grade, below, graded_by_light
from photonet.colour.local import LOST, LocalExecutor
from photonet.quality import halo
from photonet.regions.guided_filter import carried
from photonet.samples import photograph


def test_a_grade_is_its_formula():
    plain = Grade((1.0, 1.0, 1.0), 1.0, 0.0, 1.0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    picture = torch.rand(3, 4, 5)
    assert torch.allclose(plain(picture), picture, atol=1e-6)
    grey = Grade((1.0, 1.0, 1.0), 2.0, 0.0, 0.0, (0.1, 0.0, 0.0), (0.0, 0.0, 0.2))(picture)
    luma = (picture**2 * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)
    wanted = torch.stack([luma + 0.1 * (1 - luma) ** 2, luma, luma + 0.2 * luma**2]).clamp(0, 1)
    assert torch.allclose(grey, wanted, atol=1e-6)
    share = below(100, 3)
    assert share[0, 0, 0] < 0.01 and share[0, -1, 0] > 0.99 and share[0, :, 0].diff().min() > 0
    assert torch.allclose(graded_by_light(picture, plain, plain), picture, atol=1e-6)


def test_found_regions_come_nearer_to_light_that_changes_than_one_matrix():
    picture = photograph("coffee", 128)
    rng = np.random.default_rng(3)
    result = graded_by_light(picture, Grade.draw(rng), Grade.draw(rng))
    content, style, truth = picture[:, :, :85], result[:, :, 43:], result[:, :, :85]
    error = {n: float((PhotoStylizer(method=n).stylize(content, style) - truth).square().mean()) for n in ("mk", "regions")}
    assert error["regions"] < 0.8 * error["mk"]


def test_regions_are_shared_and_sum_to_one():
    torch.manual_seed(0)
    sky, ground = torch.randn(2, 6, 1)
    content = torch.cat([sky.expand(6, 40), ground.expand(6, 40)], 1).view(1, 6, 8, 10) + 0.1 * torch.randn(1, 6, 8, 10)
    style = torch.cat([sky.expand(6, 20), ground.expand(6, 60)], 1).view(1, 6, 8, 10) + 0.1 * torch.randn(1, 6, 8, 10)
    found = common_regions(content, style, clusters=2)
    assert found is not None
    mine, theirs = found
    assert mine.shape == (2, 8, 10) and torch.allclose(mine.sum(0), torch.ones(8, 10), atol=1e-5)
    above = int(mine[:, 0].mean(1).argmax())
    assert mine[above, :4].mean() > 0.8 > 0.2 > mine[above, 4:].mean()
    assert theirs[above, :2].mean() > 0.8 > 0.2 > theirs[above, 3:].mean()
    assert common_regions(content, style, clusters=1) is None


def test_a_picture_of_one_position_has_no_regions_and_takes_the_matrix():
    small, style = photograph("coffee", 96)[:, 20:28, 30:38], photograph("rocket", 96)
    for content, other in ((small, style), (style, small), (small, small)):
        made = [PhotoStylizer(method=m).stylize(content, other) for m in ("regions", "mk")]
        assert torch.allclose(*made, atol=1e-5)


def test_what_regions_cannot_do_is_one_sentence(picture, tmp_path):
    stylizer = PhotoStylizer(method="regions")
    content, style = picture(40, 56)[0], picture(41, 37, seed=1)[0]
    kept = stylizer.prepare(style, name="dusk")
    kept.save(tmp_path / "dusk.style")
    made = stylizer.stylize(content, style)
    assert torch.equal(PhotoStylizer.of_style(kept).stylize(content, tmp_path / "dusk.style"), made)
    with pytest.raises(InputError, match="finds its own regions"):
        stylizer.stylize(content, style, masks=torch.ones(1, 40, 56), style_masks=torch.ones(1, 41, 37))
    with pytest.raises(InputError, match="change from frame to frame"):
        stylizer.stylize(content, style, smooth=lambda name, s: s)


def test_a_network_that_changes_nothing_adds_nothing(monkeypatch):
    stylizer, matrix = PhotoStylizer(method="local"), PhotoStylizer(method="mk")
    content, style = photograph("china", 96), photograph("coffee", 96)
    monkeypatch.setattr(stylizer.executor.network, "__call__", None, raising=False)
    monkeypatch.setattr(type(stylizer.executor.network), "__call__", lambda self, x, *rest: x)
    assert torch.allclose(stylizer.stylize(content, style), matrix.stylize(content, style), atol=1e-6)


def test_what_a_network_adds_draws_no_halo_and_keeps_the_drawing():
    content, style = photograph("china", 224), photograph("rocket", 224)
    stylizers = PhotoStylizer("stylenas"), PhotoStylizer(method="mk"), PhotoStylizer(method="local")
    bare, matrix, made = (s.stylize(content, style) for s in stylizers)
    assert halo(made, content) < 0.25 * halo(bare, content)
    assert ssim_edge(made, content) > ssim_edge(matrix, content) - 2 * LOST
    assert (made - matrix).abs().mean() > 0.005, "it adds something"


def test_the_strength_is_one_where_nothing_is_lost_and_less_where_much_is():
    small = photograph("coffee", 96)
    assert local._strength(small, torch.zeros_like(small), small) == 1
    noise = 0.3 * (torch.rand_like(small) - 0.5)
    share = local._strength(small, noise, small)
    assert 0 < share < 0.5
    assert 0.3 * LOST < 1 - ssim_edge((small + share * noise).clamp(0, 1), small) <= LOST


def test_maps_are_carried_to_any_size_band_by_band(monkeypatch):
    picture, maps = torch.rand(3, 37, 53), torch.randn(12, 9, 13)
    large = torch.nn.functional.interpolate(maps[None], size=(37, 53), mode="bilinear")[0]
    wanted = picture + torch.einsum("icyx,iyx->cyx", large[:9].view(3, 3, 37, 53), picture) + large[9:]
    whole = carried(picture, maps)
    assert torch.allclose(whole, wanted, atol=1e-5)
    monkeypatch.setattr("photonet.regions.guided_filter.BAND", 200)
    assert torch.allclose(carried(picture, maps), whole, atol=1e-6)


def test_a_kept_style_its_masks_and_a_video_are_as_the_matrix_has_them(picture, tmp_path):
    stylizer = PhotoStylizer(method="local")
    content, style = picture(40, 56)[0], picture(41, 37, seed=1)[0]
    kept = stylizer.prepare(style, name="dusk")
    kept.save(tmp_path / "dusk.style")
    made = stylizer.stylize(content, style)
    assert torch.equal(PhotoStylizer.of_style(kept).stylize(content, tmp_path / "dusk.style"), made)
    half, uncut = stylizer.stylize(content, kept, 0.5), (made > 0) & (made < 1)
    assert torch.allclose(half[uncut], ((content + made) / 2)[uncut], atol=1e-6)
    seen = []
    stylizer.stylize(content, kept, smooth=lambda name, s: seen.append(name) or s)
    assert {"picture", "strength", "T1"} <= set(seen)
    above = torch.zeros(2, 40, 56)
    above[0, :20], above[1, 20:] = 1, 1
    masked = stylizer.stylize(content, style, masks=above, style_masks=torch.ones(2, 41, 37))
    assert masked.shape == content.shape and not torch.allclose(masked, made, atol=1e-3)
    upper = stylizer.stylize(content, style, masks=above[:1], style_masks=torch.ones(1, 41, 37))
    assert isinstance(stylizer.executor, LocalExecutor)
    assert torch.allclose(upper[:, 20:], content[:, 20:], atol=1e-6), "where there is no mask the content stays"


def test_a_method_loads_no_library_that_it_does_without():
    """Clusters cost as much memory as a frame of 4K in all its forms, statistics and plots two seconds of a processor."""
    absent = "'sklearn', 'skimage', 'scipy.stats', 'matplotlib'"
    code = f"import sys, photonet.verbs; assert not {{{absent}}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
