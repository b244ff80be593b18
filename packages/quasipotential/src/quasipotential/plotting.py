"""Pictures; matplotlib is imported when one is drawn."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from claimkit.figures import figure, save

INK, ACCENT, SECOND, THIRD = "#222222", "#c1272d", "#0072b2", "#009e73"


def contours(axes: Any, solution: Any, values: np.ndarray | None = None, levels: int = 18, bar: str = "U") -> None:
    """Filled level lines of the quasi-potential, or of other values on its mesh."""
    heights = np.asarray(solution.values if values is None else values)
    points = solution.mesh.points
    top = float(np.nanmax(heights))
    filled = axes.contourf(
        points[..., 0], points[..., 1], heights, np.linspace(0, top, levels), cmap="viridis", extend="max"
    )
    axes.contour(points[..., 0], points[..., 1], heights, np.linspace(0, top, levels), colors="white", linewidths=0.3)
    axes.figure.colorbar(filled, ax=axes, label=bar, format="%.2g", shrink=0.9)
    for local in solution.local:
        axes.plot(*local.outline.T, "o" if len(local.outline) == 1 else "-", color="white", mec=INK, ms=7, lw=2)
    axes.set(xlabel="x", ylabel="y", xlim=solution.mesh.domain[0], ylim=solution.mesh.domain[1])
    axes.locator_params(nbins=6)


def plot_solution(
    solution: Any,
    path: str | Path | None = None,
    *,
    paths: Sequence[np.ndarray] = (),
    exact: Callable[[np.ndarray], np.ndarray] | None = None,
    title: str = "",
) -> Any:
    """The quasi-potential with the drift's direction and minimum action paths; with an exact solution also the error.

    Args:
        solution: a ``Solution``.
        path: where to write the picture; None returns the figure only.
        paths: minimum action paths ``(n, 2)``.
        exact: function of points.
        title: above the picture.

    Returns:
        The matplotlib figure.
    """
    canvas, axes = figure(1, 2 if exact else 1)
    left = axes[0] if exact else axes
    contours(left, solution)
    step = max(1, max(solution.mesh.shape) // 18)
    points = solution.mesh.points[step // 2 :: step, step // 2 :: step]
    arrows = solution.drift[::2, ::2][step // 2 :: step, step // 2 :: step]
    arrows = arrows / np.maximum(np.linalg.norm(arrows, axis=-1, keepdims=True), 1e-300)
    left.quiver(
        points[..., 0], points[..., 1], arrows[..., 0], arrows[..., 1], color="white", alpha=0.55, scale=32, width=0.0028
    )
    for one in paths:
        left.plot(one[:, 0], one[:, 1], color=ACCENT, lw=2.2)
        left.plot(*one[-1], "X", color=ACCENT, mec="white", ms=8)
    left.set_title(
        title or "quasi-potential, drift and escape path" if len(paths) else title or "quasi-potential and drift",
        fontsize=10,
    )
    if exact is not None:
        error = np.abs(solution.values - exact(solution.mesh.points)) / np.nanmax(solution.values)
        points = solution.mesh.points
        shown = axes[1].pcolormesh(
            points[..., 0], points[..., 1], np.log10(np.maximum(error, 1e-12)), cmap="magma", shading="auto", rasterized=True
        )
        canvas.colorbar(shown, ax=axes[1], label="log10 |error| / max U", shrink=0.9)
        axes[1].set(xlabel="x", ylabel="y", title=f"largest error {np.nanmax(error):.1e}, {solution.settings['method']}")
    if path is not None:
        save(canvas, path)
    return canvas


def plot_demo(
    wells: Any,
    escapes: Sequence[np.ndarray],
    loss: Callable,
    samples: np.ndarray,
    shares: dict[str, tuple[float, float]],
    path: str | Path,
) -> None:
    """Two wells of equal loss: the loss, the global quasi-potential with both escape paths.

    Where SGD spends its time.

    Args:
        wells: the solved wells.
        escapes: one path from each well to the saddle.
        loss: f of points.
        samples: parameters visited by SGD ``(n, 2)``.
        shares: name to the share of time in the left and the right well.
        path: the picture.
    """
    canvas, axes = figure(1, 3, (4.7, 3.9))
    first = wells.solutions[0]
    points = first.mesh.points
    f = loss(points)
    f = f - f.min()
    seen = axes[0].contourf(points[..., 0], points[..., 1], np.minimum(f, 1.5), 24, cmap="cividis", extend="max")
    canvas.colorbar(seen, ax=axes[0], label="loss above its minimum", format="%.2g", shrink=0.9)
    axes[0].plot(samples[:, 0], samples[:, 1], ".", color="white", ms=1.2, alpha=0.6)
    axes[0].plot(*wells.attractors.T, "o", color="white", mec=INK, ms=7)
    axes[0].set(
        xlabel="x",
        ylabel="y",
        title="Two minima of equal loss (dots: SGD)",
        xlim=first.mesh.domain[0],
        ylim=first.mesh.domain[1],
    )
    values = wells(points)
    contours(
        axes[1], first, np.minimum(values, 4 * max(np.nanmax(w) for w in wells.levels) + 1e-12), bar="global quasi-potential"
    )
    axes[1].plot(*wells.attractors.T, "o", color="white", mec=INK, ms=7)
    for escape, colour in zip(escapes, (SECOND, ACCENT), strict=True):
        axes[1].plot(escape[:, 0], escape[:, 1], color=colour, lw=2.4)
    axes[1].set_title("Seen by the noise they differ")
    names = list(shares)
    for k, name in enumerate(names):
        left, right = shares[name]
        axes[2].barh(k, left, color=SECOND)
        axes[2].barh(k, right, left=left, color=ACCENT)
        axes[2].text(0.02, k, f"{left:.1%}", va="center", color="white", fontsize=9)
    axes[2].set_yticks(range(len(names)), names, fontsize=8)
    axes[2].invert_yaxis()
    axes[2].set(xlim=(0, 1), xlabel="share of time: left well, right well", title="SGD leaves the noisier well")
    save(canvas, path)
