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


def painter(device: str = "auto") -> Painter:
    """Colours and transforms are those of the command line."""
    network = load_network()

    @cache
    def stylizer(transform: Any) -> Stylizer:
        return Stylizer(network, transform=transform, device=device)

    def looked_at(style: Picture, words: Words) -> Any:
        color, transform = words
        return style if color == "coral" else prepare(stylizer(transform), style, "style")

    def begin(content: Picture, style: Any, words: Words) -> Callable[[float], Tensor]:
        color, transform = words
        is_picture = isinstance(style, Picture)
        return stylizer(transform).strengths(
            content.solid,
            style.solid if is_picture else style,
            mask=content.seen,
            style_mask=style.seen if is_picture else None,
            preserve_color=None if color == "style" else color,  # pyright: ignore[reportArgumentType]
        )

    choices = {"color": get_args(Color), "transform": get_args(Transform)}
    return Painter(looked_at, begin, choices, 512, "style's size (smaller: finer strokes)")
