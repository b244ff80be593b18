"""What the page asks of the package."""

from typing import Any

import pytest
import torch

from claimkit.errors import InputError
from claimkit.media.picture import Picture
from claimkit.style.images import to_uint8
from styleproj.pictures.page import painter
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import photograph


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
        result = page.begin(content, page.prepare(style, words), words)(0.6)
        kept: Any = None if color == "style" else color
        wanted = stylizer.stylize(content.rgb, style.rgb, 0.6, preserve_color=kept)
        torch.testing.assert_close(result, wanted, atol=1e-4, rtol=0)
    words = ("style", "ot-projection", "very broad", "half")
    result = page.begin(content, page.prepare(style, words), words)(1.0)
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
        return page.begin(content, page.prepare(Picture(hidden.copy(), opacity), words), words)(1.0)

    torch.testing.assert_close(result(0), result(255), atol=0, rtol=0)
    half, kept = Picture(hidden, opacity), "coral" if color == "coral" else None
    wanted = Stylizer().stylize(content.rgb, half.solid, style_mask=half.seen, preserve_color=kept)
    torch.testing.assert_close(result(0), wanted, atol=1e-4, rtol=0)
