"""Pictures; matplotlib is imported when one is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from claimkit.figures import figure, save
from msgd.train.training import LogRow

COLOURS = {"gd": "#000000", "sgd": "#c1272d"}
OTHERS = ("#0072b2", "#56b4e9", "#009e73", "#66a61e", "#e69f00", "#b8860b", "#984ea3", "#cc79a7")


def colours(names: Sequence[str]) -> dict[str, str]:
    """Black for GD, red for SGD, one colour each for the others."""
    others = iter(OTHERS * (1 + len(names) // len(OTHERS)))
    return {name: COLOURS.get(name) or next(others) for name in names}


def demo(steps: np.ndarray, curves: Mapping[str, np.ndarray], path: Path) -> None:
    """Test error against steps, and at the end; ``curves[name]`` has shape ``(len(steps), replicas)``."""
    canvas, (left, right) = figure(1, 2)
    paint = colours(list(curves))
    for name, errors in curves.items():
        thick = name in COLOURS
        left.plot(steps, errors.mean(1), color=paint[name], lw=2.5 if thick else 1.2, label=name, zorder=3 if thick else 2)
    left.set(
        xscale="log",
        yscale="log",
        xlabel="step",
        ylabel="test error",
        title="Same data, same start: noise changes the solution",
    )
    left.legend(fontsize=7)
    names = list(curves)
    base = curves["gd"][-1]
    for i, name in enumerate(names):
        difference = curves[name][-1] - base
        error = 2 * difference.std(ddof=1) / np.sqrt(len(difference)) if name != "gd" else 0
        right.barh(i, difference.mean(), xerr=error, color=paint[name], alpha=0.85)
    right.set_yticks(range(len(names)), names, fontsize=8)
    right.invert_yaxis()
    right.axvline(0, color="black", lw=0.8)
    right.set(xlabel="test error minus that of GD (paired, ± 2 s.e.)", title="Every noise class at SGD's level")
    save(canvas, path)


def compare(curves: Mapping[str, Sequence[Sequence[LogRow]]], path: Path) -> None:
    """Test accuracy and training loss against steps, mean over seeds."""
    canvas, axes = figure(1, 2)
    paint = colours(list(curves))
    for axis, key, title in zip(axes, ("test_accuracy", "train_loss"), ("test accuracy", "training loss"), strict=True):
        for name, runs in curves.items():
            values = np.array([[getattr(row, key) for row in log] for log in runs])
            axis.plot([row.step for row in runs[0]], values.mean(0), color=paint[name], label=name)
        axis.set(xlabel="step", ylabel=title)
    axes[1].set_yscale("log")
    axes[0].legend(fontsize=7)
    save(canvas, path)


def differences(values: Mapping[str, Sequence[float]], path: Path, xlabel: str, title: str) -> None:
    """Paired differences by class with ± 2 standard errors."""
    canvas, axis = figure(size=(6.4, 3.6))
    paint = colours(list(values))
    for i, (name, v) in enumerate(values.items()):
        mean, error = float(np.mean(v)), 2 * float(np.std(v, ddof=1)) / np.sqrt(len(v))
        axis.errorbar(mean, i, xerr=error, fmt="o", color=paint[name], capsize=4)
    axis.set_yticks(range(len(values)), list(values))
    axis.invert_yaxis()
    axis.axvline(0, color="black", lw=0.8)
    axis.set_xlabel(xlabel)
    axis.set_title(title, pad=14)
    save(canvas, path)


def orders(series: Mapping[str, tuple[Sequence[float], Sequence[float], float]], path: Path, title: str) -> None:
    """Errors against step size in logarithms, with the fitted slope of each; name -> (steps, errors, slope)."""
    canvas, axis = figure(size=(5.6, 3.8))
    for (name, (x, y, slope)), colour in zip(series.items(), OTHERS, strict=False):
        axis.loglog(x, y, "o", color=colour, label=f"{name}: slope {slope:.2f}")
        middle = np.exp(np.log(np.asarray(y)).mean() - slope * np.log(np.asarray(x)).mean())
        axis.loglog(x, middle * np.asarray(x) ** slope, "-", color=colour, lw=1)
    axis.set(xlabel="learning rate", ylabel="error", title=title)
    axis.legend(fontsize=8)
    save(canvas, path)
