"""How broad strokes are, and which parts of a picture keep their drawing."""

import math

import pytest
import torch
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.images import resize
from claimkit.style.metrics import ssim_edge
from styleproj.pictures.canvas import Canvas, detail
from styleproj.pictures.colour import luma
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import photograph, square


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer()


@pytest.fixture(scope="module")
def style(stylizer):
    return stylizer.prepare(square(photograph("flower"), 96))


@pytest.fixture(scope="module")
def photo():
    return square(photograph("astronaut"), 128)


def mean_frequency(picture):
    """Cycles a picture, weighted by amplitude, from eight to what 128 pixels hold."""
    y = luma(picture)[0]
    window = torch.hann_window(y.shape[0])[:, None] * torch.hann_window(y.shape[1])
    amplitude = torch.fft.fft2((y - y.mean()) * window).abs()
    down, across = (torch.fft.fftfreq(n) * n for n in y.shape)
    radius = (down[:, None].square() + across.square()).sqrt()
    amplitude = amplitude * (radius >= 8) * (radius < 64)
    return float((amplitude * radius).sum() / amplitude.sum())


@pytest.mark.parametrize("stroke", [0.5, 1, 4.0])
@pytest.mark.parametrize(("height", "width"), [(96, 96), (40, 250), (600, 300)])
def test_the_painted_area_depends_on_the_stroke_alone(stroke, height, width):
    painted = Canvas.of(torch.rand(3, height, width), stroke, 8).image
    assert math.sqrt(painted.shape[1] * painted.shape[2]) == pytest.approx(512 / stroke, rel=0.02)
    assert painted.shape[2] / painted.shape[1] == pytest.approx(width / height, rel=0.05)


def test_no_stroke_is_the_picture_itself():
    x = torch.rand(3, 20, 30)
    canvas = Canvas.of(x, None, 8)
    assert canvas.image is x and canvas.back(x) is x
    assert canvas.fitted(None) is None


@pytest.mark.parametrize("stroke", [0.0, 0.06, 17.0, float("nan")])
def test_an_impossible_stroke_is_refused(stroke):
    with pytest.raises(InputError, match=r"stroke = .*: expected 0.0625 \(finest\) to 16"):
        Canvas.of(torch.rand(3, 20, 30), stroke, 8)


def test_what_is_too_fine_to_be_painted_comes_from_the_content_as_far_as_detail_is_kept(photo):
    canvas = Canvas.of(0.25 + photo / 2, 8, 8)
    assert canvas.image.shape[-1] == 64
    assert torch.equal(canvas.back(canvas.image), resize(canvas.image, 128, 128))
    lost = luma(canvas.content - canvas.back(canvas.image))
    for keep in (0.5, 1.0):
        still = luma(canvas.content - canvas.back(canvas.image, keep))
        torch.testing.assert_close(still, (1 - keep * detail(canvas.content)) * lost, atol=1e-5, rtol=0)


def test_labels_stay_labels_and_masks_stay_masks():
    canvas = Canvas.of(torch.rand(3, 64, 64), 16, 8)
    labels, mask = torch.zeros(64, 64, dtype=torch.long), torch.zeros(64, 64)
    labels[:, 32:], mask[:, 32:] = 7, 1.0
    assert set(canvas.fitted(labels).unique().tolist()) == {0, 7} and canvas.fitted(labels).shape == (32, 32)
    torch.testing.assert_close(canvas.fitted(mask)[:, [0, 31]], torch.tensor([[0.0, 1.0]]).expand(32, 2))


def test_strokes_are_a_share_of_the_picture(stylizer, style, photo):
    found = [mean_frequency(stylizer.stylize(resize(photo, n, n), style, stroke=8)) for n in (128, 192, 384)]
    assert found == pytest.approx([found[0]] * 3, rel=0.1)
    pixels = stylizer.stylize(resize(photo, 256, 256), style)
    assert mean_frequency(pixels) > 1.2 * found[0]


def test_a_larger_stroke_is_broader(stylizer, style, photo):
    found = [mean_frequency(stylizer.stylize(photo, style, stroke=stroke)) for stroke in (2, 4, 8, 16)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 1.3 * found[-1]


def test_detail_is_nothing_where_the_picture_is_even_and_a_share_elsewhere(photo):
    torch.testing.assert_close(detail(torch.full((3, 40, 50), 0.3)), torch.zeros(40, 50), atol=1e-5, rtol=0)
    found = detail(photo)
    assert found.shape == (128, 128) and found.min() >= 0 and 0.3 < found.max() < 1
    assert (detail(photo / 2) <= found + 1e-6).all()
    torch.testing.assert_close(detail(1 - photo), found, atol=1e-4, rtol=0)


def test_detail_is_a_share_of_the_contrast_around():
    steps = (torch.arange(64) // 32 % 2).float().mul(0.4).expand(3, 64, 64)  # an edge of 0.4: deviation 0.2 in its middle
    reach = 1  # a 32nd of 64 pixels, to either side
    found = detail(steps)
    assert found[20, [10, 31 - reach - 1]].tolist() == pytest.approx([0, 0], abs=1e-5)
    share = 1 / 3 * 2 / 3 * 0.16
    assert found[20, 31].item() == pytest.approx(share / (share + 0.01), rel=1e-3)


def test_kept_detail_keeps_the_drawing_the_more_the_more_is_asked(stylizer, style, photo):
    plain = stylizer.stylize(photo, style)
    made = [stylizer.stylize(photo, style, keep_detail=keep) for keep in (0.0, 0.5, 1.0)]
    assert torch.equal(made[0], plain)
    edges = [ssim_edge(picture, photo) for picture in made]
    assert edges[0] + 0.02 < edges[1] < edges[2] - 0.02
    flat = torch.full_like(photo, 0.4)
    torch.testing.assert_close(stylizer.stylize(flat, style, keep_detail=1.0), stylizer.stylize(flat, style))
    with pytest.raises(InputError, match=r"keep_detail = 1.2 is outside \[0, 1\]"):
        stylizer.stylize(photo, style, keep_detail=1.2)


def test_outside_a_mask_nothing_changes_whatever_the_stroke(stylizer, style, photo):
    mask = torch.zeros(128, 128)
    mask[:, :64] = 1
    result = stylizer.stylize(photo, style, mask=mask, stroke=8, keep_detail=0.5)
    torch.testing.assert_close(result[..., 64:], photo[..., 64:], atol=0, rtol=0)
    assert (result[..., :56] - photo[..., :56]).abs().mean() > 0.03


@pytest.mark.parametrize("color", [None, "luminance"])
def test_the_slider_gives_the_same_with_strokes_and_detail(stylizer, style, photo, color):
    asked = {"preserve_color": color, "stroke": 8.0, "keep_detail": 0.7}
    at = stylizer.strengths(photo, style, **asked)
    for alpha in (0.4, 1.0):
        torch.testing.assert_close(at(alpha), stylizer.stylize(photo, style, alpha, **asked), atol=1e-4, rtol=0)


def test_while_the_slider_moves_the_picture_is_the_same_but_softer(stylizer, style):
    content = resize(square(photograph("astronaut"), 256), 250, 300)
    at = stylizer.strengths(content, style)
    full, quick = at(0.8), at(0.8, quick=True)
    assert quick.shape == full.shape and not torch.equal(quick, full)
    slow = [F.avg_pool2d(x[None], 10) for x in (quick, full)]
    assert (slow[0] - slow[1]).abs().mean() < 0.05 < (slow[0] - F.avg_pool2d(content[None], 10)).abs().mean()
    small = stylizer.strengths(content[:, :96, :96], style)
    assert torch.equal(small(0.8, quick=True), small(0.8))
