"""What the page asks of the package."""

import pytest
import torch

from claimkit.errors import InputError
from claimkit.media.picture import Picture
from claimkit.style.images import to_uint8
from photonet.app.page import painter
from photonet.samples import photograph
from photonet.stylizer import PhotoStylizer


@pytest.fixture(scope="module")
def pictures():
    return photograph("china", 64), photograph("coffee", 48)


@pytest.mark.parametrize("method", ["mk", "reinhard", "idt", "histogram", "regions", "network"])
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
    assert words[0] == "mk"
    assert {"regions", "network, ot", "network, wct"} < set(words)
    results = [page.begin(content, page.prepare(style, (w,)), (w,))(0.6) for w in words]
    torch.testing.assert_close(results[0], PhotoStylizer().stylize(content.rgb, style.rgb, 0.6), atol=1e-5, rtol=0)
    wct = PhotoStylizer(transform="wct").stylize(content.rgb, style.rgb, 0.6)
    torch.testing.assert_close(results[words.index("network, wct")], wct, atol=1e-5, rtol=0)
