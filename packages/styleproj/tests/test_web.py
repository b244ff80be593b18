"""What the page asks of the package."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from claimkit.errors import InputError
from claimkit.media.picture import Picture
from claimkit.style.images import to_uint8
from styleproj.pictures.page import painter
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import photograph

NO_MAPS = (None, None, None)


@pytest.fixture(scope="module")
def pictures():
    return photograph("astronaut", 64), photograph("coffee", 48)


@pytest.mark.parametrize("transform", ["projection", "ot-projection", "ot"])
@pytest.mark.parametrize("color", [None, "luminance", "coral"])
def test_the_function_of_the_strength_gives_what_the_stylizer_gives(pictures, transform, color):
    stylizer, (content, style) = Stylizer(transform=transform), pictures
    mask = torch.ones(content.shape[-2:])
    mask[:20] = 0
    at = stylizer.strengths(content, style, mask=mask, preserve_color=color)
    for alpha in (0.3, 1.0):
        wanted = stylizer.stylize(content, style, alpha, mask=mask, preserve_color=color)
        torch.testing.assert_close(at(alpha), wanted, atol=1e-4, rtol=0)
    with pytest.raises(InputError, match=r"alpha = 1.5 is outside \[0, 1\]"):
        at(1.5)


def test_every_choice_of_the_page_is_one_of_the_command_line_and_works(pictures):
    content, style = (Picture(to_uint8(p)) for p in pictures)
    page, stylizer = painter(), Stylizer()
    assert page.quick
    first = {label: words[0] for label, words in page.choices.items()}
    assert first == {"colour": "style", "transform": "ot-projection", "strokes": "some pixels", "keep detail": "no"}
    for color in page.choices["colour"]:
        words = (color, "ot-projection", "some pixels", "no")
        result = page.begin(content, page.prepare(style, words, NO_MAPS), words, NO_MAPS)(0.6)
        kept: Any = None if color == "style" else color
        wanted = stylizer.stylize(content.rgb, style.rgb, 0.6, preserve_color=kept)
        torch.testing.assert_close(result, wanted, atol=1e-4, rtol=0)
    words = ("style", "ot-projection", "very broad", "half")
    result = page.begin(content, page.prepare(style, words, NO_MAPS), words, NO_MAPS)(1.0)
    wanted = stylizer.stylize(content.rgb, style.rgb, stroke=4, keep_detail=0.5)
    torch.testing.assert_close(result, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("color", ["style", "coral"])
def test_what_is_transparent_in_a_style_does_not_count(pictures, color):
    content, style = (Picture(to_uint8(p)) for p in pictures)
    hidden, opacity = style.pixels.copy(), torch.full(style.pixels.shape[:2], 255, dtype=torch.uint8).numpy()
    opacity[:10] = 0
    page, words = painter(), (color, "ot-projection", "some pixels", "no")

    def result(value):
        hidden[:10] = value
        return page.begin(content, page.prepare(Picture(hidden.copy(), opacity), words, NO_MAPS), words, NO_MAPS)(1.0)

    torch.testing.assert_close(result(0), result(255), atol=0, rtol=0)
    half, kept = Picture(hidden, opacity), "coral" if color == "coral" else None
    wanted = Stylizer().stylize(content.rgb, half.solid, style_mask=half.seen, preserve_color=kept)
    torch.testing.assert_close(result(0), wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("colour", ["style", "coral"])
def test_masks_and_regions_do_on_the_page_what_they_do_on_the_command_line(pictures, colour, tmp_path):
    content, style = (Picture(to_uint8(p)) for p in pictures)
    mask, labels, style_labels = (np.zeros(p.pixels.shape[:2], np.uint8) for p in (content, content, style))
    mask[:, 20:], labels[30:], style_labels[:, 24:] = 255, 7, 7
    files = tuple(tmp_path / f"{name}.png" for name in ("mask", "content", "style"))
    for file, values in zip(files, (mask, labels, style_labels), strict=True):
        Image.fromarray(values).save(file)
    page, words = painter(), (colour, "ot-projection", "some pixels", "no")
    result = page.begin(content, page.prepare(style, words, files), words, files)(0.7)
    kept: Any = None if colour == "style" else colour
    given = {"mask": torch.tensor(mask) / 255, "labels": torch.tensor(labels), "style_labels": torch.tensor(style_labels)}
    wanted = Stylizer().stylize(content.rgb, style.rgb, 0.7, preserve_color=kept, **given)
    torch.testing.assert_close(result, wanted, atol=1e-4, rtol=0)
    assert (result - content.rgb).abs()[:, :, :20].max() < 1e-6
    half = (None, files[1], None)
    with pytest.raises(InputError, match="regions of the content need those of the style"):
        page.begin(content, page.prepare(style, words, half), words, half)
