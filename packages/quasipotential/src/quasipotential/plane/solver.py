"""``solve``: the quasi-potential of a planar drift with noise, on a mesh.

For ``dX = b(X) dt + sqrt(eps) sigma(X) dW`` with ``D = sigma sigma^T`` and an attractor x0 of b, the quasi-potential is

    U(x) = inf over T > 0 and paths from x0 to x of  1/2 int_0^T <phi' - b, D^{-1} (phi' - b)> dt,

the viscosity solution of ``1/2 <grad U, D grad U> + <b, grad U> = 0``. For b = -grad f and D = I it is ``2 (f - f(x0))``
(Hu, Zhu, Xiong and Huan, arXiv 1901.06054, with the factor 1/2 in the action and sqrt(eps) at the noise).
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from claimkit.errors import InputError

from ..fields import Field, evaluate
from ..marching.front import ACCEPTED_COUNT, SINGLES, STOPPED, STOPS
from .cycles.orbit import LimitCycle
from .cycles.start import find_tube_start
from .cycles.tube import Tube
from .kernels.sweep import sweep
from .kernels.trial import DEFERRED, LONE_BASES, SOLVES, TRIANGLES, WIDE_SEARCHES
from .mesh import Mesh, make_mesh
from .noise import check_cells, tabulate_diffusion
from .solution import Solution
from .start import TooCoarseError, find_start, start_within


def solve(
    drift: Field | np.ndarray,
    attractor,
    domain: tuple[tuple[float, float], tuple[float, float]],
    mesh: int | tuple[int, int] = 257,
    *,
    diffusion: Field | np.ndarray | None = None,
    method: str = "jet",
    radius: int | None = None,
    update: str = "hierarchical",
    start: str = "taylor",
    stop: str = "boundary",
    level: float = math.inf,
    offsets=None,
    periodic: tuple[bool, bool] = (False, False),
    progress: bool = False,
) -> Solution:
    """Quasi-potential with respect to one attractor or several.

    Args:
        drift: ``b``, a function of points ``(..., 2)`` returning ``(..., 2)`` (numpy; for torch see ``torch_field``), or
            a table on the half-grid ``(2 ny - 1, 2 nx - 1, 2)``.
        attractor: a stable equilibrium ``(x, y)``, a stable ``LimitCycle`` (see ``find_cycle``), or several of them: then
            the smallest of their potentials.
        domain: ``((xmin, xmax), (ymin, ymax))``.
        mesh: points per side, or ``(nx, ny)``.
        diffusion: ``D``, symmetric positive definite: None for the identity, one matrix ``(2, 2)``, a function
            returning ``(..., 2, 2)``, or a table ``(2 ny - 1, 2 nx - 1, 2, 2)`` or ``(..., 4)``, as ``sgd_problem`` and
            ``Solution`` hold it).
        method: ``"jet"`` (second order, values and gradients) or ``"olim"`` (ordered line integrals, values).
        radius: reach of an update in mesh points, 1 to 60; by default 16 for jets and the published guideline for OLIM.
            A rotation that outweighs the gradient part r times wants about 1.5 r.
        update: which triangles a new point tries: ``"hierarchical"``, the one with the best single base so far, or
            ``"all"``: up to three times slower, with smaller largest errors for OLIM.
        start: ``"taylor"`` or ``"linear"``, see ``start.find_start``. Where the mesh is too coarse around an attractor the
            first solves a box of a quarter of the size there, if need be again in that, and starts from its values; where
            the mesh does not see that box's level lines either, it is refined to ``2 n - 1`` points a side, at most twice
            (the solution's ``mesh`` says so).
        stop: ``"boundary"`` ends at the first point next to the edge of the mesh, where paths could leave;
            ``"never"`` fills it.
        level: values above it are not computed.
        offsets: value at each attractor, zero by default; at most what the other attractors give there.
        periodic: whether x and y are angles, of which the domain is one whole period: then both of its ends are the same
            points. Updates reach at most half way round.
        progress: show a progress bar.

    Returns:
        The values, the gradient and everything needed to use them.

    Raises:
        InputError: one sentence that names the place, for a drift or diffusion that is not finite, a D that is not
            symmetric positive definite or too anisotropic for the mesh, an attractor that is no stable equilibrium, or a
            mesh too coarse around it.
    """
    options = Options(method, radius, update, start, stop, level, progress)
    grid = make_mesh(domain, mesh, periodic)
    attractors = as_sets(attractor, "attractors")
    offsets = np.zeros(len(attractors)) if offsets is None else np.asarray(offsets, float)
    if offsets.shape != (len(attractors),) or not np.isfinite(offsets).all():
        raise InputError(f"Give as many offsets as attractors, {len(attractors)}, all finite; they are {offsets.tolist()}.")
    if not level > offsets.min():
        raise InputError(f"The level is not a number above the attractor's value {offsets.min():g}, but {level}.")
    finest = 4 * max(grid.shape) if start == "taylor" and _functions(drift, diffusion) else 0
    while True:
        try:
            return _solve(drift, diffusion, attractors, offsets, grid, options)
        except TooCoarseError:
            if 2 * max(grid.shape) > finest:
                raise
            grid = replace(grid, shape=(2 * grid.shape[0] - 1, 2 * grid.shape[1] - 1))


def as_sets(given: Any, name: str) -> list[np.ndarray | LimitCycle]:
    """One point or limit cycle, or several, as a list.

    Raises:
        InputError: for what is neither.
    """
    if isinstance(given, LimitCycle):
        return [given]
    if isinstance(given, list | tuple) and any(isinstance(one, LimitCycle) for one in given):
        return [one for part in given for one in as_sets(part, name)]
    points = np.atleast_2d(np.asarray(given, float))
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise InputError(
            f"Give {name} (m, 2), limit cycles from find_cycle, or a list of both; the shape is {points.shape}."
        )
    return list(points)


@dataclass(frozen=True)
class Options:
    """How ``solve`` works; the fields are its arguments."""

    method: str = "jet"
    radius: int | None = None
    update: str = "hierarchical"
    start: str = "taylor"
    stop: str = "boundary"
    level: float = math.inf
    progress: bool = False

    def __post_init__(self):
        """Refuse what is none of the choices."""
        if self.method not in ("jet", "olim"):
            raise InputError(f"The method must be 'jet' or 'olim'; it is {self.method!r}.")
        if self.update not in ("hierarchical", "all"):
            raise InputError(f"The update must be 'hierarchical' or 'all'; it is {self.update!r}.")
        if self.start not in ("taylor", "linear"):
            raise InputError(f"The start must be 'taylor' or 'linear'; it is {self.start!r}.")
        if self.stop not in ("boundary", "never"):
            raise InputError(f"stop must be 'boundary' or 'never'; it is {self.stop!r}.")
        if self.radius is not None and (not 1 <= self.radius <= 60 or self.radius != int(self.radius)):
            raise InputError(f"The update radius must be 1 to 60 mesh points, an integer; it is {self.radius}.")


def _functions(drift: Any, diffusion: Any) -> bool:
    """Whether the fields can be evaluated between the points of a mesh."""
    return callable(drift) and (diffusion is None or callable(diffusion) or np.ndim(diffusion) == 2)


def solve_again(solution: Solution, mesh: Mesh, options: Options) -> Solution:
    """The same problem from its tables on the same mesh or every second point of it, started alike."""
    step = (solution.mesh.shape[0] - 1) // (mesh.shape[0] - 1)
    d = solution.diffusion if solution.diffusion.ndim == 2 else solution.diffusion[::step, ::step]
    attractors = [x.cycle if isinstance(x, Tube) else p for x, p in zip(solution.local, solution.attractors, strict=True)]
    return _solve(solution.drift[::step, ::step], d, attractors, solution.offsets, mesh, options, solution)


def _solve(
    drift: Any, diffusion: Any, attractors, offsets, grid: Mesh, options: Options, known: Solution | None = None
) -> Solution:
    began = time.perf_counter()
    b = grid.tabulate(drift, 2, "drift")
    d = tabulate_diffusion(grid, diffusion)
    check_cells(grid, d, options.method)
    radius = options.radius or (16 if options.method == "jet" else guideline_radius(max(grid.shape)))
    radius = min([radius, *((n - 9) // 2 for n, around in zip(grid.shape, grid.periodic, strict=True) if around)])
    tabulated = time.perf_counter()
    starts, start_error = [], 0.0
    for k, attractor in enumerate(attractors):
        cycle = attractor if isinstance(attractor, LimitCycle) else None
        point = np.asarray(attractor) if cycle is None else cycle.middle
        frame, shift = grid.cut(point)
        tables = grid.unroll(b, shift, grid.shape), d if d.ndim == 2 else grid.unroll(d, shift, grid.shape)
        if cycle is not None:
            begin = find_tube_start(frame, *tables, cycle, known.local[k] if known else _fields(drift, diffusion))
        else:
            try:
                begin = find_start(frame, *tables, point, options.start)
            except TooCoarseError:
                inner = known or _nested(drift, diffusion, point, grid, options)
                begin = inner and start_within(frame, inner, point, inner.settings["start_levels"][k] if known else None)
                if not (inner and begin):
                    raise
                start_error = 0.0 if known else max(start_error, _error_below(inner, begin.level))
        starts.append(replace(begin, columns=begin.columns + shift[0], rows=begin.rows + shift[1]))
    started = time.perf_counter()
    every = options.update == "all"
    values, gradient, state, seconds = sweep(
        grid, b, d, starts, offsets, options.method, radius, every, options.stop, options.level, options.progress
    )
    settings = {
        **asdict(options),
        "radius": radius,
        "accepted": int(state[ACCEPTED_COUNT]),
        "stopped": STOPS[state[STOPPED]],
        "single_updates": int(state[SINGLES]),
        "triangle_updates": int(state[TRIANGLES]),
        "triangle_solves": int(state[SOLVES]),
        "wide_searches": int(state[WIDE_SEARCHES]),
        "lone_bases": int(state[LONE_BASES]),
        "deferred": int(state[DEFERRED]),
        "start_levels": [s.level for s in starts],
        "start_error": start_error,
        "table_seconds": tabulated - began,
        "start_seconds": started - tabulated,
        "march_seconds": seconds,
        "total_seconds": time.perf_counter() - began,
    }
    local = tuple(begin.local for begin in starts)
    return Solution(grid, values, gradient, np.stack([x.center for x in local]), offsets, local, b, d, settings)


def _fields(drift: Any, diffusion: Any) -> tuple[Callable, Callable]:
    """Drift and diffusion as functions of points, for the expansion across a cycle."""
    if not _functions(drift, diffusion):
        raise InputError(
            "Around a limit cycle the fields are wanted between the points of the mesh: give functions, no tables."
        )
    if callable(diffusion):
        spread = lambda p: evaluate(diffusion, p, (2, 2), "diffusion")  # noqa: E731
    else:
        constant = np.eye(2) if diffusion is None else np.asarray(diffusion, float)
        spread = lambda p: constant  # noqa: E731
    return lambda p: evaluate(drift, p, (2,), "drift"), spread


def _nested(drift: Any, diffusion: Any, point: np.ndarray, grid: Mesh, options: Options) -> Solution | None:
    """A solve on as many points around one attractor, in a box of a quarter of the size; None where that cannot be."""
    if options.start == "linear" or not _functions(drift, diffusion):
        return None
    size = np.array([high - low for low, high in grid.domain])
    low, high = (np.array(ends) for ends in zip(*grid.domain, strict=True))
    low = np.where(grid.periodic, point - size / 8, np.maximum(low, point - size / 8))
    high = np.where(grid.periodic, point + size / 8, np.minimum(high, point + size / 8))
    if (high - low < 1e-4 * np.abs(point).max()).any():
        return None
    box = ((float(low[0]), float(high[0])), (float(low[1]), float(high[1])))
    return _solve(drift, diffusion, [point], np.zeros(1), Mesh(box, grid.shape), Options(options.method))


def _error_below(solution: Solution, level: float) -> float:
    """Largest estimated error of values up to a level; NaN where there is no estimate."""
    try:
        return float(np.nanmax(solution.error[solution.values <= level]))
    except InputError:
        return math.nan


def guideline_radius(points: int) -> int:
    """Update radius for OLIM on a mesh with that many points a side: 8, 10, 13, 16, 21, 26 for 129, 257, ..., 4097."""
    return round(float(np.interp(math.log2(max(points - 1, 2)), range(5, 14), (5, 6, 8, 10, 13, 16, 21, 26, 33))))
