"""Figures that no window shows, and their files; matplotlib is imported when the first is made."""

from typing import TYPE_CHECKING, Any

from claimkit.files import AnyPath, atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (5.2, 3.6), dpi: int = 120, **subplots: Any
) -> tuple["Figure", Any]:
    """A figure, and what its ``subplots(rows, columns, **subplots)`` gives: one axes, or an array of them.

    Args:
        rows: Of axes.
        columns: Of axes.
        size: Width and height of each axes with its labels, in inches.
        dpi: Pixels an inch of the file.
        subplots: As matplotlib's, for example ``squeeze=False`` for an array of shape (rows, columns) in every case.
    """
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained", dpi=dpi)
    return canvas, canvas.subplots(rows, columns, **subplots)


def save(canvas: "Figure", path: AnyPath) -> None:
    """Write a figure, whole or not at all; the suffix says the format."""
    with atomic_path(path) as temporary:
        canvas.savefig(temporary)
