"""Pictures of the claims; matplotlib is imported when one is drawn."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from claimkit.files import atomic_path

COLOURS = {"projection": "#c1272d", "AdaIN": "#0072b2", "WCT": "#009e73", "OT": "#e69f00", "EFDM": "#984ea3"}


def figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (4.2, 3.4)) -> tuple[Any, Any]:
    """A figure that no window shows, and its axes as a list."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained", dpi=120)
    return canvas, list(np.ravel(canvas.subplots(rows, columns)))


def save(canvas: Any, path: Path) -> None:
    """Write the picture, atomically."""
    with atomic_path(path) as temporary:
        canvas.savefig(temporary)


def colour(name: str) -> str:
    """The colour of a transform."""
    return next((c for key, c in COLOURS.items() if name.startswith(key)), "#555555")


def bars(panels: Mapping[str, Mapping[str, Sequence[float]]], path: Path, title: str) -> None:
    """One panel a quantity: medians of several names with the range of the middle half."""
    canvas, axes = figure(1, len(panels), (3.4, 3.0))
    for axis, (label, values) in zip(axes, panels.items(), strict=True):
        for i, (name, v) in enumerate(values.items()):
            low, middle, high = np.quantile(v, [0.25, 0.5, 0.75])
            axis.bar(i, middle, yerr=[[middle - low], [high - middle]], color=colour(name), capsize=3)
            axis.text(i, high, f" {middle:.3g}", ha="center", va="bottom", fontsize=7)
        axis.set_xticks(range(len(values)), list(values), rotation=30, ha="right", fontsize=8)
        axis.set_title(label, fontsize=9)
        axis.margins(y=0.15)
    canvas.suptitle(textwrap.fill(f"{title}; medians, middle half", 50 * len(panels)), fontsize=9)
    save(canvas, path)


def sheet(rows: Mapping[str, Sequence[Tensor]], columns: Sequence[str], path: Path, title: str) -> None:
    """Named rows of pictures (3, H, W) in named columns."""
    canvas, axes = figure(len(rows), len(columns), (1.7, 1.7))
    for i, (name, row) in enumerate(rows.items()):
        for j, picture in enumerate(row):
            axis = axes[i * len(columns) + j]
            axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).cpu().numpy())
            axis.set(xticks=[], yticks=[])
            if i == 0:
                axis.set_title(columns[j], fontsize=8)
        axes[i * len(columns)].set_ylabel(name, fontsize=8)
    canvas.suptitle(title, fontsize=9)
    save(canvas, path)


def fronts(
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    path: Path,
    title: str,
    across: str = "content loss (relative)",
    up: str = "style distance: ",
) -> None:
    """Style distance against content loss, ``curves[metric][transform] = (content, style)``, one panel a metric."""
    canvas, axes = figure(1, len(curves))
    for axis, (metric, lines) in zip(axes, curves.items(), strict=True):
        for name, (content, style) in lines.items():
            axis.plot(content, style, "o-", ms=4, color=colour(name), label=name)
        axis.set(xlabel=across, ylabel=f"{up}{metric}")
    axes[0].legend(fontsize=8)
    canvas.suptitle(title, fontsize=9)
    save(canvas, path)
