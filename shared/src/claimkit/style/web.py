"""A page on this machine where two pictures are dropped and a slider is moved; needs the extras ``style`` and ``demo``."""

import importlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claimkit.errors import InputError
from claimkit.media.picture import Picture, write_picture
from claimkit.media.policy import name_results
from claimkit.media.reading import read_picture
from claimkit.photographs import photograph
from claimkit.run import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

PREVIEW = 384
SIZES = (256, 512, 1024, 2048)
AS_IT_IS = "as it is"
Words = tuple[str, ...]
Maps = tuple[Path | None, ...]


@dataclass(frozen=True)
class Painter:
    """What a package does with two pictures, in steps of which each is kept until a picture or a choice changes.

    Attributes:
        prepare: ``(style, words, maps) -> prepared``, what is needed of a style.
        begin: ``(content, prepared, words, maps) -> at``, where ``at(strength)`` is the result ``(3, height, width)`` in
            [0, 1].
        choices: Label of each choice and its words, the first being taken unasked; ``words`` are the chosen, in this order.
        maps: Label of each mask or map of regions that can be dropped; ``maps`` are the files, in this order, or None.
        style_size: Side of the square to whose area a style is shrunk unasked.
        style_label: What the size of the style is called.
        quick: Whether ``at(strength, quick=True)`` gives a softer picture at once, shown while the slider moves.
    """

    prepare: Callable[[Picture, Words, Maps], Any]
    begin: Callable[[Picture, Any, Words, Maps], "Callable[..., Tensor]"]
    choices: dict[str, Words]
    maps: Words = ()
    style_size: int = 512
    style_label: str = "style's size"
    quick: bool = False


@dataclass(frozen=True)
class Chosen:
    """What is chosen on the page beside two pictures and a strength.

    Attributes:
        size: Side of the square to whose area the content is shrunk; 0 keeps it.
        style_size: The same for the style.
        words: One for each of the painter's choices.
        maps: A file, or None, for each of the painter's maps.
    """

    size: int
    style_size: int
    words: Words
    maps: Maps = ()


class Desk:
    """Makes pictures of files for a page; what does not depend on the strength is done once for each picture and choice."""

    def __init__(self, painter: Painter):
        self.painter = painter
        self.read = lru_cache(8)(_read)
        self._prepared = lru_cache(4)(self._prepare)
        self._begun = lru_cache(4)(self._begin)

    def make(
        self, content: Path, style: Path, out: Path, strength: float, chosen: Chosen, quick: bool = False
    ) -> tuple[str, ...]:
        """Write the picture; return what was lost or guessed, a sentence each.

        Args:
            content: A picture in any format that :mod:`claimkit.media` reads.
            style: Another.
            out: The suffix is the format; tagged as sRGB.
            strength: In [0, 1].
            chosen: What else is asked for.
            quick: A softer picture at once, of a painter that makes such.

        Raises:
            InputError: A picture cannot be read or worked on; the sentence names it as the user does.
        """
        import torch

        picture = self.read(content, chosen.size)
        at = self._begun(content, style, chosen)
        result = at(strength, quick=True) if quick else at(strength)
        if picture.seen is not None:
            result = torch.where(picture.seen > 0, result, picture.rgb)
        said = write_picture(out, picture.with_rgb(result))
        return *picture.notes, *self.read(style, chosen.style_size).notes, *said

    def _begin(self, content: Path, style: Path, chosen: Chosen) -> "Callable[..., Tensor]":
        picture, prepared = self.read(content, chosen.size), self._prepared(style, replace(chosen, size=0))
        with _named(content, *chosen.maps):
            return self.painter.begin(picture, prepared, chosen.words, chosen.maps)

    def _prepare(self, style: Path, chosen: Chosen) -> Any:
        picture = self.read(style, chosen.style_size)
        with _named(style, *chosen.maps):
            return self.painter.prepare(picture, chosen.words, chosen.maps)


def _read(path: Path, side: int) -> Picture:
    with _named(path):
        return read_picture(path, side=side)


@contextmanager
def _named(picture: Path, *others: Path | None) -> Iterator[None]:
    """Sentences that name files as the user does, not where the page keeps them; one that names none names the picture."""
    try:
        yield
    except InputError as e:
        said, files = str(e), [p for p in (picture, *others) if p is not None]
        for path in files:
            said = said.replace(str(path), path.name)
        raise InputError(said if any(p.name in said for p in files) else f"{picture.name}: {said}") from e


def page(
    title: str, explanation: str, painter: Painter, examples: Sequence[tuple[str, str]], size: int,
    example_of: Callable[[str], "NDArray[np.uint8]"] = photograph,
) -> Any:  # fmt: skip
    """The page, not yet served: a gradio ``Blocks``.

    Args:
        title: Heading.
        explanation: One sentence below it.
        painter: Makes the pictures.
        examples: Pairs of names, of which the first is there from the beginning.
        size: Side of the square to whose area a content is shrunk unasked; 0 keeps it.
        example_of: The picture of a name; :data:`claimkit.photographs.PHOTOGRAPHS` when not given.

    Raises:
        InputError: gradio is missing, or the size is negative.
    """
    require("gradio", "pages", "./shared[demo]")
    if size < 0:
        raise InputError(f"size = {size}: expected a number of pixels, or 0 to keep the size")
    gradio: Any = importlib.import_module("gradio")
    desk = Desk(painter)
    kept = tempfile.TemporaryDirectory(prefix="claimkit-")

    def example(name: str) -> str:
        path = Path(kept.name) / f"{name}.jpg"
        if not path.exists():
            write_picture(path, Picture(example_of(name)))
        return str(path)

    def preview(file: str | None) -> Any:
        try:
            return None if file is None else desk.read(Path(file), PREVIEW).fitted(PREVIEW).pixels
        except InputError:
            return None  # the sentence stands below the result

    def make(
        content: str | None, style: str | None, strength: float, *chosen: Any, quick: bool = False
    ) -> tuple[str | None, str]:
        side, style_side, suffix, *rest = chosen
        words, maps = tuple(rest[: len(painter.choices)]), tuple(m and Path(m) for m in rest[len(painter.choices) :])
        if content is None or style is None:
            return None, "Drop two pictures."
        files = Path(content), Path(style)
        out = name_results([files], Path(kept.name), suffix)[0]
        try:
            asked = Chosen(side, style_side, words, maps)
            return str(out), "\n".join(desk.make(*files, out, strength, asked, quick))
        except InputError as e:
            return None, str(e)

    def sizes(label: str, usual: int) -> Any:
        named = [(str(n), n) for n in sorted({*SIZES, usual} - {0})]
        return gradio.Dropdown([*named, (AS_IT_IS, 0)], value=usual, label=label)

    pairs = [[example(name) for name in pair] for pair in examples]
    with gradio.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 86400)) as blocks:
        gradio.Markdown(f"# {title}\n{explanation}")
        files = []
        with gradio.Row():
            for name, first in zip(("content", "style"), pairs[0], strict=True):
                with gradio.Column(min_width=240):
                    file = gradio.File(label=name, elem_id=name, value=first, height=120)
                    shown = gradio.Image(
                        label=f"{name} as it is read", elem_id=f"{name}-seen", interactive=False, buttons=["fullscreen"]
                    )
                    gradio.on([blocks.load, file.change], preview, file, shown, show_progress="hidden")
                    files.append(file)
            with gradio.Column(min_width=240):
                result = gradio.Image(
                    label="result", elem_id="result", interactive=False, type="filepath", buttons=["download", "fullscreen"]
                )
                said = gradio.Textbox(label="notes", elem_id="notes", interactive=False)
        strength = gradio.Slider(0, 1, value=1, step=0.05, label="strength", elem_id="strength")
        with gradio.Row():
            chosen = [
                sizes("size", size),
                sizes(painter.style_label, painter.style_size),
                gradio.Radio([("JPEG", ".jpg"), ("PNG", ".png")], value=".jpg", label="download", elem_id="format"),
                *(gradio.Dropdown(list(words), value=words[0], label=label) for label, words in painter.choices.items()),
            ]
        if painter.maps:
            with gradio.Accordion("regions", open=False, elem_id="regions"), gradio.Row():
                chosen += [gradio.File(label=m, elem_id=f"map-{i}", height=120) for i, m in enumerate(painter.maps)]
        gradio.Examples(pairs, files)
        inputs = [*files, strength, *chosen]
        outputs = [result, said]
        changes = [blocks.load, *(i.change for i in inputs if i is not strength)]
        gradio.on(changes, make, inputs, outputs, trigger_mode="always_last", show_progress="minimal")
        moved, soft = strength.change, partial(make, quick=painter.quick)
        moving = gradio.on(moved, soft, inputs, outputs, trigger_mode="always_last", show_progress="hidden")
        if painter.quick:
            moving.then(make, inputs, outputs, trigger_mode="always_last", show_progress="hidden")
    return blocks


def serve(blocks: Any, port: int) -> None:
    """Serve a page on the loopback interface only, until interrupted; print its address."""
    try:
        _, address, _ = blocks.launch(
            server_name="127.0.0.1", server_port=port, share=False, quiet=True, prevent_thread_lock=True
        )
    except OSError as e:
        raise InputError(f"port {port} cannot be used: choose another with --port") from e
    print(f"{address}   (Ctrl-C ends it)", flush=True)
    blocks.block_thread()
