"""Regions that are found: what they are worth where the truth is known, and what they are when nothing is in common."""

import numpy as np
import pytest
import torch

from claimkit.errors import InputError
from photonet import PhotoStylizer
from photonet.colour.grades import Grade, below, graded_by_light
from photonet.regions.found import common_regions
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
