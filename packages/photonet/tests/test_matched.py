"""The matrix between colours that belong together: what counts how much, known grades, and what it has from the matrix."""

import numpy as np
import pytest
import torch

from photonet.colour.found import heights, normalised
from photonet.colour.grades import Grade
from photonet.colour.matched import HEIGHT, TEMPERATURE, matched
from photonet.look import Table
from photonet.samples import photograph
from photonet.stylizer import PhotoStylizer


def places(*values):
    """Features of one channel in a row."""
    return torch.tensor(values).view(1, 1, 1, -1)


def test_counts_are_the_sums_of_two_plans():
    """Place 1 of the content is like places 1 and 2 of the style, place 2 like place 3."""
    mine, theirs = matched(places(1.0, -1.0), places(1.0, 1.0, -1.0))
    # asked by the content the style's places have 1/4, 1/4, 1/2; asked by the style the content's have 2/3, 1/3
    assert theirs[0].tolist() == pytest.approx([0.875, 0.875, 1.25], abs=1e-5)
    assert mine[0].tolist() == pytest.approx([7 / 6, 5 / 6], abs=1e-5)


def test_one_product_is_the_formula_place_by_place():
    generator = torch.Generator().manual_seed(0)
    content, style = (torch.rand(1, 5, *shape, generator=generator) for shape in ((7, 6), (4, 9)))
    f, g = (torch.nn.functional.normalize(normalised(x.double()), dim=1) for x in (content, style))
    apart = (heights(content) - heights(style).T).double().square()
    joined = ((f @ g.T - HEIGHT * apart) / TEMPERATURE).exp()
    asked = (joined / joined.sum(0)).mean(1), (joined / joined.sum(1, keepdim=True)).mean(0)
    for counts, share in zip(matched(content, style), asked, strict=True):
        wanted = 0.5 + 0.5 * share / share.mean()
        assert torch.allclose(counts.flatten().double(), wanted, atol=1e-4) and wanted.std() > 0.05


def test_of_alike_places_those_of_a_like_height_belong_together():
    """The content's upper place is like two of the style, and asks the one that is as high; nobody asks the other."""
    mine, theirs = (torch.tensor(column).view(1, 1, 3, 1) for column in ((1.0, -1.0, -1.0), (1.0, 1.0, -1.0)))
    assert matched(mine, theirs)[1][:, 0].tolist() == pytest.approx([1, 0.5, 1.5], abs=0.01)


def test_a_place_without_a_counterpart_counts_half():
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(1, 32, 1, 60, generator=generator)
    theirs = matched(shared, torch.cat([shared, torch.randn(1, 32, 1, 20, generator=generator)], 3))[1][0]
    assert theirs[:60].mean() > 1.1 and theirs[60:].min() >= 0.5 and theirs[60:].mean() < 0.7


def test_a_picture_in_its_own_light_stays_what_it_is():
    picture = photograph("coffee", 300)
    assert (PhotoStylizer(method="matched").stylize(picture, picture) - picture).abs().max() < 2e-3


def test_it_is_nearer_to_a_known_grade_than_the_matrix():
    """The right half, graded, as the style of the left half, which shows something else."""
    errors = {"matched": [], "mk": []}
    for i, name in enumerate(("china", "chelsea", "coffee", "rocket")):
        picture = photograph(name, 192)
        half, grade = picture.shape[2] // 2, Grade.draw(np.random.default_rng(i))
        for method, found in errors.items():
            result = PhotoStylizer(method=method).stylize(picture[:, :, :half], grade(picture)[:, :, half:])
            found.append(float((result - grade(picture)[:, :, :half]).square().mean().sqrt()))
    assert np.mean(errors["matched"]) < 0.9 * np.mean(errors["mk"])


def test_it_is_a_map_of_colours_that_can_be_kept(tmp_path):
    stylizer, content, style = PhotoStylizer(method="matched"), photograph("coffee", 160), photograph("rocket", 200)
    kept = stylizer.prepare(style, name="rocket")
    result = stylizer.stylize(content, kept)
    assert Table.fit(content, result).error(content, result)[0] < 0.5
    kept.save(tmp_path / "rocket.style")
    assert torch.allclose(stylizer.stylize(content, tmp_path / "rocket.style"), result, atol=1e-5)
    assert torch.allclose(stylizer.strengths(content, style)(0.5), stylizer.stylize(content, style, 0.5), atol=1e-5)


def test_with_regions_it_is_the_matrix_of_each():
    content, style = photograph("coffee", 96), photograph("rocket", 96)
    masks = [
        torch.stack([m, 1 - m]) for m in (torch.linspace(0, 1, x.shape[2]).expand(x.shape[1:]) for x in (content, style))
    ]
    made = [PhotoStylizer(method=m).stylize(content, style, masks=masks[0], style_masks=masks[1]) for m in ("matched", "mk")]
    assert torch.equal(*made)


def test_a_style_kept_with_one_region_serves_a_content_without():
    """Its features were not looked at: the region's own statistics are what it has."""
    content, style, right = photograph("coffee", 96), photograph("rocket", 96), slice(48, None)
    mask = torch.zeros(1, *style.shape[1:])
    mask[..., right] = 1
    mine, matrix = (PhotoStylizer(method=m) for m in ("matched", "mk"))
    wanted = matrix.stylize(content, matrix.prepare(style, mask))
    assert torch.equal(mine.stylize(content, mine.prepare(style, mask)), wanted)
    assert torch.allclose(wanted, matrix.stylize(content, style[..., right]), atol=1e-5)


def test_a_film_is_steadied_on_both_sides():
    """What the frame asks of the style changes with the frame, too."""
    stylizer, style = PhotoStylizer(method="matched"), photograph("rocket", 96)
    asked = []

    def smooth(name, statistics):
        asked.append(name)
        return statistics

    stylizer.stylize(photograph("coffee", 96), style, smooth=smooth)
    assert asked == ["picture", "picture of the style"]


@pytest.mark.parametrize("shape", [(8, 8), (8, 400), (300, 9)])
def test_any_shape_and_a_flat_picture(shape):
    stylizer = PhotoStylizer(method="matched")
    generator = torch.Generator().manual_seed(0)
    content, style = torch.rand(3, *shape, generator=generator), photograph("rocket", 64)
    for made in (stylizer.stylize(content, style), stylizer.stylize(style, content)):
        assert made.isfinite().all()
    flat = torch.full((3, *shape), 0.5)
    assert torch.allclose(stylizer.stylize(photograph("rocket", 64), flat).mean((1, 2)), flat[:, 0, 0], atol=0.02)
