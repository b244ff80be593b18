"""What the page asks of the package."""

import numpy as np
import pytest
import torch
from PIL import Image

from claimkit.errors import InputError
from claimkit.media.picture import Picture
from claimkit.style.images import to_uint8
from photonet.app.page import painter
from photonet.samples import photograph
from photonet.stylizer import METHOD, PhotoStylizer

NO_MAPS = (None, None)


@pytest.fixture(scope="module")
def pictures():
    return photograph("china", 64), photograph("coffee", 48)


@pytest.mark.parametrize("method", ["mk", "matched", "reinhard", "idt", "histogram", "regions", "network"])
def test_the_function_of_the_strength_gives_what_the_stylizer_gives(pictures, method):
    stylizer, (content, style) = PhotoStylizer(method=method), pictures
    at = stylizer.strengths(content, style)
    for alpha in (0.0, 0.3, 1.0):
        torch.testing.assert_close(at(alpha), stylizer.stylize(content, style, alpha), atol=1e-5, rtol=0)
    with pytest.raises(InputError, match=r"alpha = 1.5 is outside \[0, 1\]"):
        at(1.5)


def test_every_choice_of_the_page_is_one_of_the_command_line_and_works(pictures):
    content, style = (Picture(to_uint8(p)) for p in pictures)
    page = painter()
    words = page.choices["method"]
    assert words[0] == METHOD == "matched"
    assert {"regions", "network, ot", "network, wct"} < set(words)
    results = [page.begin(content, page.prepare(style, (w,), NO_MAPS), (w,), NO_MAPS)(0.6) for w in words]
    torch.testing.assert_close(results[0], PhotoStylizer().stylize(content.rgb, style.rgb, 0.6), atol=1e-5, rtol=0)
    wct = PhotoStylizer(transform="wct").stylize(content.rgb, style.rgb, 0.6)
    torch.testing.assert_close(results[words.index("network, wct")], wct, atol=1e-5, rtol=0)


@pytest.mark.parametrize("word", ["mk", "reinhard", "network, ot"])
def test_regions_do_on_the_page_what_they_do_on_the_command_line(pictures, word, tmp_path):
    content, style = (Picture(to_uint8(p)) for p in pictures)
    labels, style_labels = (np.zeros(p.pixels.shape[:2], np.uint8) for p in (content, style))
    labels[30:], style_labels[:, 24:] = 7, 7
    files = tmp_path / "content.png", tmp_path / "style.png"
    for file, values in zip(files, (labels, style_labels), strict=True):
        Image.fromarray(values).save(file)
    page = painter()
    at = page.begin(content, page.prepare(style, (word,), files), (word,), files)
    method, _, transform = word.partition(", ")
    stylizer = PhotoStylizer(method=method, transform=transform or None)
    given = {"labels": torch.tensor(labels).long(), "style_labels": torch.tensor(style_labels).long()}
    for alpha in (0.4, 1.0):
        wanted = stylizer.stylize(content.rgb, style.rgb, alpha, **given)
        torch.testing.assert_close(at(alpha), wanted, atol=1e-4, rtol=0)
    assert (at(1.0) - stylizer.stylize(content.rgb, style.rgb)).abs().max() > 0.05
    half = (files[0], None)
    with pytest.raises(InputError, match="regions of the content need those of the style"):
        page.begin(content, page.prepare(style, (word,), half), (word,), half)
