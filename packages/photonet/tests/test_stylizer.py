"""Pictures in, picture out: any size, regions, videos; what does not fit is one sentence."""

import numpy as np
import pytest
import torch
from PIL import Image

from claimkit.errors import InputError
from claimkit.style.images import read_image, write_image
from claimkit.style.transforms import Statistics
from photonet import PhotoStylizer
from photonet.look import Table
from photonet.regions.labels import feathered, from_labels, read_segmentations
from photonet.video import Smoother, stylize_video

HALVES = torch.zeros(2, 40, 56)
HALVES[0, :, :28] = HALVES[1, :, 28:] = 1


@pytest.fixture
def stylizer(network):
    return PhotoStylizer(network("photonet"))


@pytest.mark.parametrize("size", [(8, 8), (33, 50), (64, 100), (9, 120)])
def test_any_size_keeps_its_size(size, stylizer, picture):
    content, style = picture(*size)[0], picture(41, 37, seed=1)[0]
    result = stylizer.stylize(content, style)
    assert result.shape == content.shape and 0 <= result.min() < result.max() <= 1


def test_a_prepared_style_gives_what_its_picture_gives(stylizer, picture, tmp_path):
    content, style = picture(40, 56)[0], picture(48, 48, seed=1)[0]
    prepared = stylizer.prepare(style, name="dusk")
    wanted = stylizer.stylize(content, style)
    assert torch.equal(stylizer.stylize(content, prepared), wanted)
    prepared.save(tmp_path / "dusk.style")
    assert torch.equal(stylizer.stylize(content, tmp_path / "dusk.style"), wanted)
    write_image(tmp_path / "c.png", content)
    write_image(tmp_path / "s.png", style)
    assert stylizer.prepare(tmp_path / "s.png").name == "s"
    files = [tmp_path / "c.png", tmp_path / "s.png"]
    assert torch.equal(stylizer.stylize(files[0], str(files[1])), stylizer.stylize(*map(read_image, files)))


def test_labels_are_masks(stylizer, picture):
    content, style = picture(40, 56)[0], picture(40, 56, seed=1)[0]
    labels = HALVES[1].long()
    by_mask = stylizer.stylize(content, style, masks=HALVES, style_masks=HALVES)
    soft = stylizer.stylize(content, style, masks=feathered(HALVES, content), style_masks=HALVES)
    assert torch.equal(stylizer.stylize(content, style, labels=labels, style_labels=labels), soft)
    assert not torch.allclose(by_mask, stylizer.stylize(content, style), atol=1e-2)
    crossed = stylizer.stylize(content, style, masks=HALVES, style_masks=HALVES.flip(0))
    assert not torch.allclose(by_mask, crossed, atol=1e-2)
    kept = stylizer.prepare(style, HALVES)
    assert torch.equal(stylizer.stylize(content, kept, masks=HALVES), by_mask)


def test_a_label_that_the_style_lacks_takes_all_of_it():
    content, style = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 1], [1, 0]])
    masks, style_masks, lacking = from_labels(content, style)
    assert lacking == [2] and masks.shape == (3, 1, 3)
    assert torch.equal(style_masks[2], torch.ones(2, 2)) and torch.equal(style_masks[1], (style == 1).float())
    with pytest.raises(InputError, match=r"no label in common: 0, 1, 2 in the content, 7 in the style"):
        from_labels(content, torch.full((2, 2), 7))


def test_colours_of_a_segmentation_are_labels_despite_compression(tmp_path):
    colour = torch.tensor([[0.0, 0, 1], [0, 1, 0]])  # blue above, green below
    content = colour.repeat_interleave(20, 0)[:, :, None].expand(40, 3, 30).permute(1, 0, 2).clone()
    content[:, 20] = 0.5  # the antialiased border
    content += 0.03 * torch.rand(content.shape)
    style = colour.flip(0).repeat_interleave(16, 0)[:, :, None].expand(32, 3, 20).permute(1, 0, 2)
    write_image(tmp_path / "c.png", content)
    write_image(tmp_path / "s.jpg", style)
    mine, theirs = read_segmentations(tmp_path / "c.png", tmp_path / "s.jpg", (40, 30), (32, 20))
    assert len(mine.unique()) == len(theirs.unique()) == 2
    assert mine[0, 0] == theirs[-1, 0] and mine[-1, 0] == theirs[0, 0]
    with pytest.raises(InputError, match="30 x 40 pixels, the content 45 x 40"):
        read_segmentations(tmp_path / "c.png", tmp_path / "s.jpg", (40, 45), (32, 20))


def test_small_grey_values_are_numbers_of_labels(tmp_path):
    ids = torch.arange(4).repeat_interleave(6)[None].expand(10, 24)
    for name in ("c.png", "s.png"):
        write_image(tmp_path / name, (ids / 255).expand(3, 10, 24))
    mine, theirs = read_segmentations(tmp_path / "c.png", tmp_path / "s.png", (10, 24), (10, 24))
    assert torch.equal(mine, ids) and torch.equal(theirs, ids)


def test_smoothing_is_the_moving_mixture_of_distributions():
    a, b = torch.randn(1, 3, 20, 20, dtype=torch.float64), 2 * torch.randn(1, 3, 20, 20, dtype=torch.float64) + 5
    smoother = Smoother(0.5)
    first = smoother("x", Statistics.of(a))
    assert torch.allclose(first.mean, Statistics.of(a).mean)
    both = Statistics.of(torch.cat([a, b], 2))
    second = smoother("x", Statistics.of(b))
    assert torch.allclose(second.mean, both.mean) and torch.allclose(second.covariance, both.covariance)
    smoother.forget()
    assert torch.allclose(smoother("x", Statistics.of(b)).mean, Statistics.of(b).mean)
    with pytest.raises(InputError, match="memory"):
        Smoother(1.0)


def test_a_video_of_one_picture_is_still(stylizer, picture):
    style, smoother = stylizer.prepare(picture(seed=1)[0]), Smoother(0.8)
    frames = [stylizer.stylize(picture(40, 56)[0], style, smooth=smoother) for _ in range(3)]
    assert torch.allclose(frames[0], frames[2], atol=1e-4)


def test_changes_of_large_frames_are_measured_on_a_grid_of_their_pixels(tmp_path, monkeypatch):
    for at in range(3):
        rows = np.linspace(0, 200, 48)[:, None, None] + np.linspace(0, 20, 64)[:, None] + np.arange(3) + 10 * at
        Image.fromarray(rows.astype(np.uint8)).save(tmp_path / f"{at}.png")
    halved = PhotoStylizer(method="mk")
    look = Table.load(write_cube(tmp_path / "half.cube"))
    found = []
    for seen in (960, 16):
        monkeypatch.setattr("photonet.video.SEEN", seen)
        found.append(stylize_video(halved, tmp_path, look, tmp_path / f"out{seen}").steadiness)
    assert found[0].content == pytest.approx(20 / 255, rel=1e-3) and found[1].content == pytest.approx(20 / 255, rel=1e-3)
    assert found[0].ratio == pytest.approx(0.5, rel=1e-3) and found[1].ratio == pytest.approx(0.5, rel=1e-3)


def write_cube(path):
    """A table that halves every colour."""
    corners = [f"{r / 2} {g / 2} {b / 2}" for b in (0, 1) for g in (0, 1) for r in (0, 1)]
    path.write_text("\n".join(["LUT_3D_SIZE 2", *corners]) + "\n")
    return path


def test_what_does_not_fit_is_one_sentence(stylizer, network, picture):
    c, s = picture(40, 56)[0], picture(40, 56, seed=1)[0]
    cases = {
        "alpha = 2": lambda: stylizer.stylize(c, s, 2.0),
        "at least 8": lambda: stylizer.stylize(c[:, :7], s),
        "not finite": lambda: stylizer.stylize(c * float("nan"), s),
        "has shape": lambda: stylizer.stylize(c[:1], s),
        "cannot be read": lambda: stylizer.stylize("absent.jpg", s),
        "needs one of the style": lambda: stylizer.stylize(c, s, labels=HALVES[0].long()),
        "as labels and as masks": lambda: stylizer.stylize(
            c, s, style_masks=HALVES, labels=HALVES[0].long(), style_labels=HALVES[0].long()
        ),
        "the table 'look' knows no regions": lambda: stylizer.stylize(c, Table.fit(c, s), style_masks=HALVES),
        "outside": lambda: stylizer.stylize(c, s, masks=2 * HALVES, style_masks=HALVES),
        "region 1 of the style is empty": lambda: stylizer.stylize(
            c, s, masks=HALVES, style_masks=torch.stack([HALVES[0], 0 * HALVES[0]])
        ),
        "expected \\(regions, 40, 56\\)": lambda: stylizer.stylize(c, s, masks=HALVES[:, :39], style_masks=HALVES),
        "2 regions and the content 1": lambda: stylizer.stylize(c, stylizer.prepare(s, HALVES)),
        "prepared before": lambda: stylizer.stylize(
            c, stylizer.prepare(s, HALVES), masks=HALVES, style_masks=HALVES.flip(0)
        ),
        "of another network": lambda: PhotoStylizer(network("photonas")).stylize(c, stylizer.prepare(s)),
    }
    for said, call in cases.items():
        with pytest.raises(InputError, match=said) as e:
            call()
        assert "\n" not in str(e.value)
    with pytest.raises(InputError, match="pixels = 0"):
        PhotoStylizer(network("photonas"), pixels=0)
