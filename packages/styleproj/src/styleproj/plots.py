"""Pictures of the claims; matplotlib is imported when one is drawn."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from claimkit.figures import figure, save

COLOURS = {"projection": "#c1272d", "AdaIN": "#0072b2", "WCT": "#009e73", "OT": "#e69f00", "EFDM": "#984ea3"}


def colour(name: str) -> str:
    """The colour of a transform."""
    return next((c for key, c in COLOURS.items() if name.startswith(key)), "#555555")


def bars(panels: Mapping[str, Mapping[str, Sequence[float]]], path: Path, title: str) -> None:
    """One panel a quantity: medians of several names with the range of the middle half."""
    canvas, axes = figure(1, len(panels), (3.4, 3.0), squeeze=False)
    for axis, (label, values) in zip(axes[0], panels.items(), strict=True):
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
    canvas, axes = figure(len(rows), len(columns), (1.7, 1.7), squeeze=False)
    for i, (name, row) in enumerate(rows.items()):
        for j, picture in enumerate(row):
            axis = axes[i, j]
            axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).cpu().numpy())
            axis.set(xticks=[], yticks=[])
            if i == 0:
                axis.set_title(columns[j], fontsize=8)
        axes[i, 0].set_ylabel(name, fontsize=8)
    canvas.suptitle(title, fontsize=9)
    save(canvas, path)


def fronts(
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    path: Path,
    title: str,
    across: str = "content loss (relative)",
    up: str = "style distance: ",
) -> None:
    """One quantity against another, by default style distance against content loss; one panel a metric.

    Args:
        curves: ``curves[metric][transform] = (content, style)``.
        path: Where.
        title: Over the panels.
        across: What runs from left to right.
        up: What runs upwards, before the metric's name.
    """
    canvas, axes = figure(1, len(curves), (4.2, 3.4), squeeze=False)
    for axis, (metric, lines) in zip(axes[0], curves.items(), strict=True):
        for name, (content, style) in lines.items():
            axis.plot(content, style, "o-", ms=4, color=colour(name), label=name)
        axis.set(xlabel=across, ylabel=f"{up}{metric}")
    axes[0, 0].legend(fontsize=8)
    canvas.suptitle(title, fontsize=9)
    save(canvas, path)
