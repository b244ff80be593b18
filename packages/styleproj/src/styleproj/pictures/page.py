"""What ``styleproj web`` does with the pictures and choices of its page."""

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

from torch import Tensor

from claimkit.errors import InputError
from claimkit.media.picture import Picture
from claimkit.style.web import Maps, Painter, Words
from styleproj.cli import Color, Transform
from styleproj.networks.weights import load_network
from styleproj.pictures.batch import prepare, read_labels, read_mask, together
from styleproj.pictures.stylizer import Stylizer

STROKES = {"some pixels": None, "fine": 0.5, "as at 512 pixels": 1.0, "broad": 2.0, "very broad": 4.0}
MAPS = ("mask: black stays as it is", "content's regions: a colour each", "style's regions: the same colours")
DETAIL = {"no": 0.0, "half": 0.5, "all": 1.0}


def painter(device: str = "auto") -> Painter:
    """Colours, transforms, strokes and kept detail are those of the command line."""
    network = load_network()

    @cache
    def stylizer(transform: Any) -> Stylizer:
        return Stylizer(network, transform=transform, device=device)

    def looked_at(style: Picture, words: Words, maps: Maps) -> Any:
        color, transform, _, _ = words
        _, _, of_style = maps
        return style if color == "coral" or of_style else prepare(stylizer(transform), style, "style")

    def begin(content: Picture, style: Any, words: Words, maps: Maps) -> Callable[..., Tensor]:
        color, transform, stroke, detail = words
        mask, of_content, of_style = maps
        if (of_content is None) != (of_style is None):
            raise InputError("regions of the content need those of the style, and the other way round: drop both")
        is_picture = isinstance(style, Picture)
        return stylizer(transform).strengths(
            content.solid,
            style.solid if is_picture else style,
            mask=together(read_mask(mask, content), content.seen),
            style_mask=style.seen if is_picture else None,
            labels=read_labels(of_content, content),
            style_labels=read_labels(of_style, style) if is_picture else None,
            preserve_color=None if color == "style" else color,  # pyright: ignore[reportArgumentType]
            stroke=STROKES[stroke],
            keep_detail=DETAIL[detail],
        )

    choices = {
        "colour": get_args(Color),
        "transform": get_args(Transform),
        "strokes": tuple(STROKES),
        "keep detail": tuple(DETAIL),
    }
    label = "style's size (smaller: finer strokes)"
    return Painter(looked_at, begin, choices, MAPS, style_size=512, style_label=label, quick=True)
