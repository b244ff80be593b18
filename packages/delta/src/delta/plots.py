"""Pictures; matplotlib is imported when one is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from claimkit.figures import figure, save

COLOURS = {
    "scratch": "#999999",
    "frozen": "#cc79a7",
    "l2": "#000000",
    "l2sp": "#0072b2",
    "fm": "#e69f00",
    "delta": "#c1272d",
}
NAMES = {"l2": "L2", "l2sp": "L2-SP", "fm": "FM (no attention)", "delta": "DELTA", "frozen": "frozen extractor"}


def alpha_curves(curves: Mapping[str, Mapping[str, Mapping[float, np.ndarray]]], path: Path) -> None:
    """Test accuracy against the regulariser's weight, one panel a task; methods without a grid are level lines.

    Args:
        curves: Task, method, weight to an array ``(seeds, 2)`` of validation and test accuracy.
        path: The picture.
    """
    canvas, axes = figure(1, len(curves), (5.2, 3.8), squeeze=False)
    for axis, (task, methods) in zip(axes[0], curves.items(), strict=True):
        for method, curve in methods.items():
            alphas = sorted(curve)
            test = [100 * curve[a][:, 1] for a in alphas]
            mean = np.array([t.mean() for t in test])
            error = np.array([2 * t.std(ddof=1) / np.sqrt(len(t)) if len(t) > 1 else 0.0 for t in test])
            colour, label = COLOURS[method], NAMES.get(method, method)
            if len(alphas) == 1:
                axis.axhline(mean[0], color=colour, lw=1.5, ls="--", label=label)
                axis.axhspan(mean[0] - error[0], mean[0] + error[0], color=colour, alpha=0.08, lw=0)
            else:
                axis.errorbar(alphas, mean, yerr=error, color=colour, marker="o", ms=4, capsize=3, label=label)
        axis.set(xscale="log", xlabel="weight alpha", ylabel="test accuracy, %, ± 2 s.e.", title=task)
        axis.legend(fontsize=7)
    save(canvas, path)


def channels(
    pictures: Sequence[np.ndarray], maps: Sequence[Sequence[np.ndarray]], titles: Sequence[str], path: Path
) -> None:
    """Photographs in rows, and beside each its feature maps in columns.

    Args:
        pictures: RGB ``(height, width, 3)`` in 0..255.
        maps: For each picture, its feature maps ``(height, width)``.
        titles: Of the columns of maps.
        path: The picture.
    """
    canvas, axes = figure(len(pictures), 1 + len(titles), (1.7, 1.9), dpi=72, squeeze=False)
    scale = [max(float(np.abs(row[c]).max()) for row in maps) or 1.0 for c in range(len(titles))]
    for row, (picture, own) in enumerate(zip(pictures, maps, strict=True)):
        axes[row][0].imshow(picture)
        for c, channel in enumerate(own):
            axes[row][1 + c].imshow(channel, cmap="RdBu_r", vmin=-scale[c], vmax=scale[c])
    for axis, title in zip(axes[0], ["", *titles], strict=True):
        axis.set_title(title, fontsize=8)
    for axis in axes.flat:
        axis.set_axis_off()
    save(canvas, path)
