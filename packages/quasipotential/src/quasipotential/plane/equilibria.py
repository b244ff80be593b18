"""Zeros of a planar drift, found from its table on the half-grid: attractors, saddles, sources."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError

from ..fields import difference, evaluate
from ..marching.mesh import named
from .mesh import make_mesh


@dataclass(frozen=True)
class Equilibrium:
    """A zero of the drift.

    Attributes:
        point: ``(2,)``.
        kind: ``"attractor"``, ``"saddle"`` or ``"source"``, by the real parts of the eigenvalues; ``"degenerate"`` where one
            of them is zero, as at a centre, so that the linear part does not tell.
        eigenvalues: of the drift's Jacobian, ``(2,)``.
    """

    point: np.ndarray
    kind: str
    eigenvalues: np.ndarray


def find_equilibria(
    drift: Callable[[np.ndarray], np.ndarray], domain, mesh: int | tuple[int, int] = 257
) -> list[Equilibrium]:
    """All zeros of a drift in a domain: Newton's method from every half-grid cell in which both components change sign.

    Two zeros within one cell (half a spacing) may count as none or one, and so may one where a component only touches zero.

    Args:
        drift: function of points ``(..., 2)``.
        domain: ``((xmin, xmax), (ymin, ymax))``.
        mesh: points per side, or ``(nx, ny)``.

    Returns:
        Attractors first, then saddles, sources and degenerate ones, each from left to right.

    Raises:
        InputError: where the drift vanishes along a line or on an area.

    >>> [(e.kind, e.point.round(6).tolist()) for e in find_equilibria(lambda p: p - p**3, ((-0.5, 1.6), (-0.5, 0.4)), 33)]
    [('saddle', [1.0, 0.0]), ('source', [0.0, 0.0])]
    """
    grid = make_mesh(domain, mesh)
    table = grid.tabulate(drift, 2, "drift")
    corners = np.stack([table[:-1, :-1], table[:-1, 1:], table[1:, :-1], table[1:, 1:]])
    cells = ((corners.min(0) <= 0) & (corners.max(0) >= 0)).all(-1)
    rows, columns = np.nonzero(cells)
    half = 0.5 * grid.spacing
    x = grid.corner + half * (np.stack([columns, rows], -1) + 0.5)
    scale = float(np.abs(half).max())
    field = lambda p: evaluate(drift, p, (2,), "drift")  # noqa: E731
    begin, size, regular = x, np.linalg.norm(table, axis=-1).max(), np.zeros(len(x), bool)
    for _ in range(30):
        jac = difference(field, x, 1e-4 * scale)
        regular = np.abs(np.linalg.det(jac)) > 1e-12 * (size / scale) ** 2
        move = np.zeros_like(x)
        move[~regular] = -(np.linalg.pinv(jac[~regular], rcond=1e-6) @ field(x)[~regular][..., None])[..., 0]
        move[regular] = np.linalg.solve(jac[regular], -field(x)[regular][..., None])[..., 0]
        x = x + np.clip(move, -half, half)
    lost = ~regular & (np.linalg.norm(field(x), axis=-1) < 1e-9 * size)
    if not size > 0 or lost.sum() > 2:
        place = named(x[lost][0] if lost.any() else grid.corner)
        raise InputError(f"The drift vanishes along a line or on an area through {place}: its zeros cannot be counted.")
    good = (np.linalg.norm(field(x), axis=-1) < 1e-9 * size) & (np.abs(x - begin) < 3 * half).all(-1)
    found: list[Equilibrium] = []
    for point in x[good]:
        if not grid.contains(point) or any((np.abs(point - e.point) < 0.1 * half).all() for e in found):
            continue
        values = np.linalg.eigvals(difference(field, point[None], 1e-4 * scale)[0])
        growing = int((values.real > 0).sum()) if np.abs(values.real).min() > 1e-7 * size / scale else 3
        found.append(Equilibrium(np.where(np.abs(point) < 1e-12 * size, 0.0, point), KINDS[growing], values))
    return sorted(found, key=lambda e: (KINDS.index(e.kind), *e.point))


KINDS = ("attractor", "saddle", "source", "degenerate")
