"""A page on this machine where two pictures are dropped and a slider is moved; needs the extras ``style`` and ``demo``."""

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from claimkit.errors import InputError
from claimkit.run import require

if TYPE_CHECKING:
    from torch import Tensor

STYLE_SIDE = 512


def page(
    title: str,
    explanation: str,
    stylize: "Callable[[Tensor, Tensor, float], Tensor]",
    examples: "Sequence[tuple[Tensor, Tensor]]",
    size: int,
) -> Any:
    """The page, not yet served: a gradio ``Blocks``.

    Args:
        title: Heading.
        explanation: One sentence below it.
        stylize: ``(content, style, strength) -> result``, called for every picture dropped and every move of the slider;
            pictures are ``(3, height, width)`` in [0, 1]; an InputError is shown as its sentence.
        examples: Pairs of pictures, of which the first is there from the beginning.
        size: Longer side of a result.
    """
    require("gradio", "pages", "claimkit[demo]")
    gradio: Any = importlib.import_module("gradio")

    from claimkit.style.images import fit, from_uint8, to_uint8

    def result(content: np.ndarray | None, style: np.ndarray | None, strength: float) -> np.ndarray | None:
        if content is None or style is None:
            return None
        try:
            return to_uint8(stylize(fit(from_uint8(content), size), fit(from_uint8(style), STYLE_SIDE), strength))
        except InputError as e:
            raise gradio.Error(str(e)) from e

    pairs = [[to_uint8(picture) for picture in pair] for pair in examples]
    with gradio.Blocks(title=title, analytics_enabled=False) as blocks:
        gradio.Markdown(f"# {title}\n{explanation}")
        with gradio.Row():
            content = gradio.Image(label="content", elem_id="content", value=pairs[0][0])
            style = gradio.Image(label="style", elem_id="style", value=pairs[0][1])
            shown = gradio.Image(label="result", elem_id="result", interactive=False)
        strength = gradio.Slider(0, 1, value=1, step=0.05, label="strength", elem_id="strength")
        gradio.Examples(pairs, [content, style])
        inputs = [content, style, strength]
        gradio.on(
            [blocks.load, content.change, style.change, strength.change], result, inputs, shown, trigger_mode="always_last"
        )
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
