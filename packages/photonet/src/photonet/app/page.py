"""What ``photonet web`` does with the pictures and choices of its page."""

from collections.abc import Callable
from functools import cache
from typing import Any, get_args

from torch import Tensor

from claimkit.errors import InputError
from claimkit.media.picture import Picture
from claimkit.style.web import Maps, Painter, Words
from photonet.app.options import Methods, Transforms
from photonet.regions.labels import read_segmentations
from photonet.stylizer import METHOD, PhotoStylizer

MAPS = ("content's regions: a colour or number each", "style's regions: the same colours or numbers")


def painter(device: str = "auto") -> Painter:
    """Methods are those of the command line, the one that it takes unasked first; a network has one for each transform."""

    @cache
    def stylizer(word: str) -> PhotoStylizer:
        method, _, transform = word.partition(", ")
        return PhotoStylizer(method=method, transform=transform or None, device=device)

    def looked_at(style: Picture, words: Words, maps: Maps) -> Any:
        return style.solid if any(maps) else stylizer(*words).prepare(style.solid)

    def begin(content: Picture, style: Any, words: Words, maps: Maps) -> Callable[[float], Tensor]:
        of_content, of_style = maps
        if of_content is None and of_style is None:
            return stylizer(*words).strengths(content.solid, style)
        if of_content is None or of_style is None:
            raise InputError("regions of the content need those of the style, and the other way round: drop both")
        rgb = content.solid
        size, style_size = ((x.shape[-2], x.shape[-1]) for x in (rgb, style))
        labels, style_labels = read_segmentations(of_content, of_style, size, style_size)
        return stylizer(*words).strengths(rgb, style, labels=labels, style_labels=style_labels)

    methods = sorted(set(get_args(Methods)) - {"network"}, key=lambda name: (name != METHOD, name))
    choices = {"method": (*methods, *(f"network, {t}" for t in get_args(Transforms)))}
    return Painter(looked_at, begin, choices, MAPS, style_size=1024)
