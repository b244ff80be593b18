"""A page on this machine where two pictures are dropped and a slider is moved; needs the extra ``demo``."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from paperkit.errors import InputError
from paperkit.run import require

Transfer = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""``(content, style, strength) -> result``; pictures are uint8, ``(height, width, 3)``; strength is in [0, 1]."""


def page(title: str, explanation: str, transfer: Transfer, examples: Sequence[tuple[np.ndarray, np.ndarray]]) -> Any:
    """The page, not yet served: a gradio ``Blocks``.

    Args:
        title: Heading.
        explanation: One sentence below it.
        transfer: Called for every picture dropped and every move of the slider; an InputError is shown as its sentence.
        examples: Pairs of pictures to begin with.
    """
    require("gradio", "pages", "paperkit[demo]")
    import gradio

    def result(content: np.ndarray | None, style: np.ndarray | None, strength: float) -> np.ndarray | None:
        if content is None or style is None:
            return None
        try:
            return transfer(content, style, strength)
        except InputError as e:
            raise gradio.Error(str(e)) from e

    with gradio.Blocks(title=title, analytics_enabled=False) as blocks:
        gradio.Markdown(f"# {title}\n{explanation}")
        with gradio.Row():
            content = gradio.Image(label="content", elem_id="content", value=examples[0][0])
            style = gradio.Image(label="style", elem_id="style", value=examples[0][1])
            shown = gradio.Image(label="result", elem_id="result", interactive=False)
        strength = gradio.Slider(0, 1, value=1, step=0.05, label="strength", elem_id="strength")
        gradio.Examples([list(pair) for pair in examples], [content, style])
        inputs = [content, style, strength]
        gradio.on(
            [blocks.load, content.change, style.change, strength.change], result, inputs, shown, trigger_mode="always_last"
        )
    return blocks


def serve(blocks: Any, port: int, wait: bool = True) -> str:
    """Serve a page on the loopback interface only; its address. With ``wait``, until interrupted."""
    try:
        _, address, _ = blocks.launch(
            server_name="127.0.0.1", server_port=port, share=False, quiet=True, prevent_thread_lock=True
        )
    except OSError as e:
        raise InputError(f"port {port} cannot be used: choose another with --port") from e
    if wait:
        print(f"{address}   (Ctrl-C ends it)")
        blocks.block_thread()
    return str(address)
