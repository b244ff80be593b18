"""What ``styleproj web`` does with the pictures and choices of its page."""

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

from torch import Tensor

from claimkit.media.picture import Picture
from claimkit.style.web import Painter, Words
from styleproj.cli import Color, Transform
from styleproj.networks.weights import load_network
from styleproj.pictures.batch import prepare
from styleproj.pictures.stylizer import Stylizer

STROKES = {"some pixels": None, "fine": 0.5, "as at 512 pixels": 1.0, "broad": 2.0, "very broad": 4.0}
DETAIL = {"no": 0.0, "half": 0.5, "all": 1.0}


def painter(device: str = "auto") -> Painter:
    """Colours, transforms, strokes and kept detail are those of the command line."""
    network = load_network()

    @cache
    def stylizer(transform: Any) -> Stylizer:
        return Stylizer(network, transform=transform, device=device)

    def looked_at(style: Picture, words: Words) -> Any:
        color, transform, _, _ = words
        return style if color == "coral" else prepare(stylizer(transform), style, "style")

    def begin(content: Picture, style: Any, words: Words) -> Callable[..., Tensor]:
        color, transform, stroke, detail = words
        is_picture = isinstance(style, Picture)
        return stylizer(transform).strengths(
            content.solid,
            style.solid if is_picture else style,
            mask=content.seen,
            style_mask=style.seen if is_picture else None,
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
    return Painter(looked_at, begin, choices, 512, "style's size (smaller: finer strokes)", quick=True)
