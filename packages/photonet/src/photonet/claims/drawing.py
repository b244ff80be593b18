"""Pictures of the claims; matplotlib is imported when one is drawn."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from claimkit.figures import figure, save
from claimkit.style.images import to_uint8


def sheet(rows: Sequence[Mapping[str, Tensor]], path: Path, title: str, side: float = 1.9) -> None:
    """A contact sheet: a row of named pictures (3, H, W) a pair, the names above the first row."""
    canvas, axes = figure(len(rows), len(rows[0]), (side, side), squeeze=False)
    for i, (line, row) in enumerate(zip(axes, rows, strict=True)):
        for axis, (name, picture) in zip(line, row.items(), strict=True):
            axis.imshow(to_uint8(picture), interpolation="lanczos")
            axis.set_axis_off()
            if i == 0:
                axis.set_title(textwrap.fill(name, 18), fontsize=8)
    _entitle(canvas, title, len(rows[0]) * side)
    save(canvas, path)


def bars(panels: Mapping[str, Mapping[str, Sequence[float]]], path: Path, title: str) -> None:
    """One panel a quantity: medians of several names with the middle half of the values."""
    widest = max(len(v) for v in panels.values())
    size = (max(3.2, 0.55 * widest), 3.2)
    canvas, axes = figure(1, len(panels), size, squeeze=False)
    for axis, (label, values) in zip(axes[0], panels.items(), strict=True):
        for i, v in enumerate(values.values()):
            low, middle, high = np.quantile(v, [0.25, 0.5, 0.75])
            axis.bar(i, middle, yerr=[[middle - low], [high - middle]], capsize=3, color=f"C{i}")
            axis.text(i, high, f"{middle:.3g}", ha="center", va="bottom", fontsize=7)
        axis.set_xticks(range(len(values)), [textwrap.fill(n, 16) for n in values], rotation=40, ha="right", fontsize=7)
        axis.set_title(label, fontsize=9)
        axis.margins(y=0.15)
    _entitle(canvas, f"{title}; medians, middle half", size[0] * len(panels))
    save(canvas, path)


def stacks(bars_by_group: Mapping[str, Mapping[str, Mapping[str, float]]], path: Path, title: str, unit: str) -> None:
    """One panel a group: a stacked bar a name, of its parts."""
    canvas, axes = figure(1, len(bars_by_group), (3.6, 3.4), squeeze=False)
    for axis, (group, rows) in zip(axes[0], bars_by_group.items(), strict=True):
        parts = list(dict.fromkeys(p for row in rows.values() for p in row))
        below = np.zeros(len(rows))
        for k, part in enumerate(parts):
            heights = np.array([row.get(part, 0.0) for row in rows.values()])
            axis.bar(range(len(rows)), heights, bottom=below, label=part, color=f"C{k}")
            below += heights
        axis.set_xticks(range(len(rows)), [textwrap.fill(n, 16) for n in rows], rotation=40, ha="right", fontsize=7)
        axis.set(title=group, ylabel=unit)
    axes[0][0].legend(fontsize=7)
    _entitle(canvas, title, 3.6 * len(bars_by_group))
    save(canvas, path)


def _entitle(canvas: Any, title: str, inches: float) -> None:
    canvas.suptitle(textwrap.fill(title, max(30, round(13 * inches))), fontsize=9)
