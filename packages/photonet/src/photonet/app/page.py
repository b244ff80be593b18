"""What ``photonet web`` does with the pictures and choices of its page."""

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

from torch import Tensor

from claimkit.media.picture import Picture
from claimkit.style.web import Painter, Words
from photonet.app.options import Methods, Transforms
from photonet.stylizer import METHOD, PhotoStylizer


def painter(device: str = "auto") -> Painter:
    """Methods are those of the command line, the one that it takes unasked first; a network has one for each transform."""

    @cache
    def stylizer(word: str) -> PhotoStylizer:
        method, _, transform = word.partition(", ")
        return PhotoStylizer(method=method, transform=transform or None, device=device)

    def looked_at(style: Picture, words: Words) -> Any:
        return stylizer(*words).prepare(style.solid)

    def begin(content: Picture, style: Any, words: Words) -> Callable[[float], Tensor]:
        return stylizer(*words).strengths(content.solid, style)

    methods = sorted(set(get_args(Methods)) - {"network"}, key=lambda name: (name != METHOD, name))
    return Painter(looked_at, begin, {"method": (*methods, *(f"network, {t}" for t in get_args(Transforms)))}, 1024)
