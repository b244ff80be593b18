"""Pictures for people: contact sheets, and a drawing of a network."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import Tensor

from claimkit import figures
from claimkit.style.images import to_uint8
from photonet.network.architecture import STAGES, Architecture, level_of
from photonet.network.cost import VGG_CHANNELS, layers

BLUE, ORANGE, GREY, GREEN = "#3b6fb6", "#d9822b", "#b8bcc4", "#4c9a6a"


def sheet(columns: Sequence[str], rows: Sequence[Sequence[Tensor]], side: float = 2.6) -> Figure:
    """Pictures ``(3, height, width)`` in rows under titles."""
    ratio = sum(row[0].shape[-2] / row[0].shape[-1] for row in rows)
    size = side, (side * ratio + 0.3) / len(rows)
    figure, axes = figures.figure(len(rows), len(columns), size, dpi=110, squeeze=False)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            axes[i][j].imshow(to_uint8(picture))
            axes[i][j].set_axis_off()
            if i == 0:
                axes[i][j].set_title(columns[j], fontsize=10)
    return figure


def network(architecture: Architecture, channels: Sequence[int] = VGG_CHANNELS) -> Figure:
    """A drawing: the encoder's levels down on the left, the decoder's stages up on the right, what joins them between."""
    figure = Figure(figsize=(9.5, 6.2), dpi=110)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.9))
    axes.set_xlim(0, 10)
    axes.set_ylim(-0.9, 5.75)
    axes.set_axis_off()
    axes.set_title(f"{architecture.bits}\n{len(architecture)} operators", fontsize=10, family="monospace")
    convolutions = {j: [x for x in layers(architecture, channels) if x.stage == j] for j in (0, *STAGES)}
    for k in (1, 2, 3, 4, 5):
        y = 5 - k
        _box(
            axes, 0.2, y + 0.1, 1.7, f"f{k}   {channels[k - 1]} ch\n1/{2 ** (k - 1)}", BLUE, k in architecture.content_levels
        )
        if k < 5:
            _arrow(axes, (1.05, y + 0.1), (1.05, y - 0.2), BLUE)
    for j in STAGES:
        y, k = j - 1, level_of(j)
        names = [f"{x.name} {x.kernel}x{x.kernel} {x.inputs}→{x.outputs}" for x in convolutions[j]]
        _box(axes, 6.2, y + 0.1, 3.6, "\n".join([f"stage {j}", *names]), GREEN, True)
        if f"stage{j}.T" in architecture:
            axes.text(8.0, y - 0.04, "transfer", ha="center", va="center", fontsize=8, color=ORANGE, weight="bold")
        elif j > 1:
            _arrow(axes, (8.0, y - 0.1), (8.0, y + 0.1), GREEN)
        if k in architecture.skips:
            steps = ["transfer"] if f"T{k}" in architecture else []
            steps += ["norm"] if f"in{k}" in architecture else []
            _arrow(axes, (1.9, 5.5 - k), (6.2, 5.5 - k), BLUE)
            axes.text(4.9, 5.56 - k, " → ".join(["skip", *steps]), ha="center", va="bottom", fontsize=8, color=_tint(steps))
    x = convolutions[0][0]
    _box(axes, 3.3, -0.75, 4.6, f"bottleneck   1x1 {x.inputs}→{x.outputs}", GREY, True, 0.45)
    _arrow(axes, (7.2, -0.3), (7.2, 0.1), GREEN)
    for i, k in enumerate((5, *architecture.aggregated)):
        steps = ["T"] if f"T{k}" in architecture else []
        at = 2.1 + 0.28 * i
        axes.plot([1.9, at, at], [5.3 - k, 5.3 - k, -0.5], color=GREY, lw=1.2, zorder=0)
        _arrow(axes, (at, -0.5), (3.3, -0.5), GREY)
        axes.text(at + 0.04, 5.08 - k, f"f{k}" + "".join(f" {s}" for s in steps), fontsize=7, color=_tint(steps))
    axes.text(8.0, 5.12, "picture", ha="center", va="bottom", fontsize=9)
    return figure


def _box(axes: Axes, x: float, y: float, width: float, text: str, colour: str, live: bool, height: float = 0.78) -> None:
    patch = Rectangle(
        (x, y), width, height, facecolor=colour if live else "white", alpha=0.22 if live else 1, edgecolor=colour
    )
    axes.add_patch(patch)
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=6.5 if "\n" in text else 8)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    axes.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color=colour, lw=1.2, shrinkA=0, shrinkB=0)
    )


def _tint(steps: Sequence[str]) -> str:
    return ORANGE if any(s.startswith(("t", "T")) for s in steps) else "#444444"


def summary(costs: Mapping[str, str]) -> str:
    """Names and values in two columns."""
    width = max(len(name) for name in costs)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in costs.items())
