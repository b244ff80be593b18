"""Systems with a name: the published test problems, two wells of equal depth, and Maier and Stein's."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from claimkit.errors import InputError

from .plane.cycles.find import find_cycle


@dataclass(frozen=True)
class System:
    """A drift with noise, in the plane or in space, and what is known of it.

    Attributes:
        name: how the command line calls it.
        drift: function of points ``(..., 2)``, in space ``(..., 3)``.
        attractors: stable equilibria, ``(m, d)``.
        domain: where to solve, two pairs of numbers or three.
        diffusion: None for the identity, a matrix or a function.
        saddles: saddles between basins, ``(k, d)``.
        exact: U with respect to the first attractor where known.
        exact_gradient: its gradient.
        potential: f where the drift is ``-grad f``.
        cycles: a point near each limit cycle, ``(c, 2)``, the unstable ones between basins included.
        periodic: whether x and y are angles, of which the domain is one period.
    """

    name: str
    drift: Callable[[np.ndarray], np.ndarray]
    attractors: np.ndarray
    domain: Any
    diffusion: Callable | np.ndarray | None = None
    saddles: np.ndarray | None = None
    exact: Callable | None = None
    exact_gradient: Callable | None = None
    potential: Callable | None = None
    cycles: np.ndarray | None = None
    periodic: tuple[bool, bool] = (False, False)

    def sets(self) -> tuple[list, list]:
        """What attracts and what lies between: points, and the limit cycles near ``cycles``, stable and unstable ones."""
        found = [find_cycle(self.drift, near) for near in (() if self.cycles is None else self.cycles)]
        saddles = [] if self.saddles is None else list(self.saddles)
        return [*self.attractors, *(c for c in found if c.stable)], [*saddles, *(c for c in found if not c.stable)]


def _pack(x, y):
    return np.stack(np.broadcast_arrays(x, y), -1)


def linear(rotation: float = 10.0) -> System:
    """``b = (-2x - r y, 2 r x - y)``, ``U = 2 x^2 + y^2`` (field l of olim2D)."""
    return System(
        "linear",
        lambda p: _pack(-2 * p[..., 0] - rotation * p[..., 1], 2 * rotation * p[..., 0] - p[..., 1]),
        np.array([[0.0, 0.0]]),
        ((-1, 1), (-1, 1)),
        exact=lambda p: 2 * p[..., 0] ** 2 + p[..., 1] ** 2,
        exact_gradient=lambda p: _pack(4 * p[..., 0], 2 * p[..., 1]),
    )


def rotating_well(rotation: float = 10.0) -> System:
    """One well of ``U = x^4 - 2 x^2 + y^2 + 1`` with a strong rotation (field d of olim2D)."""

    def drift(p):
        x, y = p[..., 0], p[..., 1]
        pull = 2 * x * (x * x - 1)
        return _pack(-pull - rotation * y, -y + rotation * pull)

    return System(
        "rotating-well",
        drift,
        np.array([[-1.0, 0.0]]),
        ((-2, 0), (-1, 1)),
        saddles=np.array([[0.0, 0.0]]),
        exact=lambda p: (p[..., 0] ** 2 - 1) ** 2 + p[..., 1] ** 2,
        exact_gradient=lambda p: _pack(4 * p[..., 0] * (p[..., 0] ** 2 - 1), 2 * p[..., 1]),
    )


def limit_cycle(rotation: float = 4.0) -> System:
    """A stable point inside an unstable limit cycle, ``U = r^2 (1 - r^2 / 2)`` (field y of olim2D)."""

    def drift(p):
        x, y = p[..., 0], p[..., 1]
        inward = 1 - x * x - y * y
        return _pack(rotation * y - x * inward, -rotation * x - y * inward)

    def exact(p):
        r2 = np.sum(p * p, -1)
        return np.where(r2 <= 1, r2 * (1 - 0.5 * r2), 0.5)

    return System(
        "limit-cycle",
        drift,
        np.array([[0.0, 0.0]]),
        ((-1, 1), (-1, 1)),
        exact=exact,
        exact_gradient=lambda p: 2 * p * np.maximum(1 - np.sum(p * p, -1), 0)[..., None],
    )


def cubic(strength: float = 2.0, rotation: float = 1.0) -> System:
    """``U = 2 x^2 + a x^3 / 2 + y^2`` with a rotation (key 5 of the efficient jet marcher)."""

    def drift(p):
        x, y = p[..., 0], p[..., 1]
        pull = 2 * x + 0.75 * strength * x * x
        return _pack(-pull - rotation * y, rotation * pull - y)

    return System(
        "cubic",
        drift,
        np.array([[0.0, 0.0]]),
        ((-1, 1), (-1, 1)),
        exact=lambda p: 2 * p[..., 0] ** 2 + 0.5 * strength * p[..., 0] ** 3 + p[..., 1] ** 2,
        exact_gradient=lambda p: _pack(4 * p[..., 0] + 1.5 * strength * p[..., 0] ** 2, 2 * p[..., 1]),
    )


def maier_stein(beta: float = 10.0) -> System:
    """``b = (x - x^3 - beta x y^2, -(1 + x^2) y)``; for beta = 1 a gradient, U(saddle) = 1/2.

    Above 4 the path leaves the axis.
    """

    def drift(p):
        x, y = p[..., 0], p[..., 1]
        return _pack(x - x**3 - beta * x * y * y, -(1 + x * x) * y)

    def exact(p):
        x, y = p[..., 0], p[..., 1]
        return 0.5 * x**4 - x * x + y * y * (1 + x * x) + 0.5

    return System(
        "maier-stein",
        drift,
        np.array([[-1.0, 0.0], [1.0, 0.0]]),
        ((-1.8, 0.2), (-0.8, 0.8)),
        saddles=np.array([[0.0, 0.0]]),
        exact=exact if beta == 1 else None,
    )


def two_wells(asymmetry: float = 0.5, angle: float = 0.0) -> System:
    """Two wells of equal loss and unequal noise.

    ``f = (x^2 - 1)^2 / 4 + y^2 / 2``, ``D = diag(1 + a tanh 4x, 1)`` turned by ``angle``.

    With a > 0 the noise is larger at x > 0: SGD leaves that well sooner and prefers the other one.
    """
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def diffusion(p):
        d = np.zeros((*p.shape, 2))
        d[..., 0, 0] = 1 + asymmetry * np.tanh(4 * p[..., 0])
        d[..., 1, 1] = 1.0
        return turn @ d @ turn.T

    return System(
        "two-wells",
        lambda p: _pack(p[..., 0] - p[..., 0] ** 3, -p[..., 1]),
        np.array([[-1.0, 0.0], [1.0, 0.0]]),
        ((-1.8, 1.8), (-1.2, 1.2)),
        diffusion=diffusion,
        saddles=np.array([[0.0, 0.0]]),
        potential=lambda p: 0.25 * (p[..., 0] ** 2 - 1) ** 2 + 0.5 * p[..., 1] ** 2,
    )


def hopf(rotation: float = 1.0) -> System:
    """Beyond a Hopf bifurcation: the unit circle attracts, ``U = (r^2 - 1)^2 / 2``."""

    def drift(p):
        x, y = p[..., 0], p[..., 1]
        pull = 1 - x * x - y * y
        return _pack(rotation * y + x * pull, -rotation * x + y * pull)

    return System(
        "hopf",
        drift,
        np.empty((0, 2)),
        ((-2, 2), (-2, 2)),
        exact=lambda p: 0.5 * (np.sum(p * p, -1) - 1) ** 2,
        exact_gradient=lambda p: 2 * p * (np.sum(p * p, -1) - 1)[..., None],
        cycles=np.array([[1.0, 0.0]]),
    )


def van_der_pol(damping: float = 1.0) -> System:
    """``b = (y, m (1 - x^2) y - x)``: one limit cycle around an unstable zero."""
    return System(
        "van-der-pol",
        lambda p: _pack(p[..., 1], damping * (1 - p[..., 0] ** 2) * p[..., 1] - p[..., 0]),
        np.empty((0, 2)),
        ((-3, 3), (-4, 4)),
        cycles=np.array([[2.0, 0.0]]),
    )


def rings() -> System:
    """A point and the circle r = 2 attract, the unit circle parts them; U depends on r alone.

    ``r' = -r (1 - r^2) (4 - r^2) / 4``, U = 11/24 on the unit circle seen from the point and 9/8 seen from the circle.
    """

    def drift(p):
        x, y = p[..., 0], p[..., 1]
        square = x * x + y * y
        pull = -0.25 * (1 - square) * (4 - square)
        return _pack(2 * y + x * pull, -2 * x + y * pull)

    return System(
        "rings", drift, np.array([[0.0, 0.0]]), ((-2.6, 2.6), (-2.6, 2.6)), cycles=np.array([[1.0, 0.0], [2.0, 0.0]])
    )


BUILT_IN: dict[str, Callable[[], System]] = {
    "linear": linear,
    "rotating-well": rotating_well,
    "limit-cycle": limit_cycle,
    "cubic": cubic,
    "maier-stein": maier_stein,
    "two-wells": two_wells,
    "hopf": hopf,
    "van-der-pol": van_der_pol,
    "rings": rings,
}
"""Names the command line knows."""

OPTIONAL = ("diffusion", "saddles", "exact", "cycles", "periodic")
"""What a file of a system may define beside drift, attractors and domain."""


def load_system(name: str, plane: bool = False) -> System:
    """A built-in system by its name, or the one that a small Python file defines.

    The file sets ``drift`` (function of points ``(..., 2)``, or ``(..., 3)`` where ``domain`` has three pairs), ``domain``
    and ``attractors``, and may set what :data:`OPTIONAL` names (``cycles`` is a point near each limit cycle, and needs no
    ``attractors``); or it sets ``system`` to a ``System``.

    Raises:
        InputError: an unknown name, a file in which something is missing or misspelled, or one in space for ``plane``.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]()
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"There is no system {name!r}: give one of {', '.join(BUILT_IN)}, or a Python file that exists.")
    spec = importlib.util.spec_from_file_location("quasipotential_user_system", path)
    assert spec is not None and spec.loader is not None  # of a name that ends in .py
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path} fails when it is run ({type(error).__name__}: {error}).") from error
    if isinstance(getattr(module, "system", None), System):
        system = module.system
    else:
        for needed in ("drift", "domain") if hasattr(module, "cycles") else ("drift", "attractors", "domain"):
            if not hasattr(module, needed):
                raise InputError(f"{path} does not define {needed!r}; it must define drift, attractors and domain.")
        for name in sorted(vars(module).keys() - OPTIONAL):
            if meant := get_close_matches(name.lower(), [n for n in OPTIONAL if not hasattr(module, n)], 1, 0.85):
                raise InputError(f"{path} defines {name!r}, which nothing reads; write {meant[0]}, or give it another name.")
        given = {name: getattr(module, name, None) for name in OPTIONAL if name != "periodic"}
        points: Any = getattr(module, "attractors", ())
        axes = getattr(module, "periodic", (False, False))
        system = System(path.stem, module.drift, points, module.domain, **given, periodic=axes)
    return _checked(system, path, plane)


def _checked(system: System, path: Path, plane: bool) -> System:
    """The system with its points as arrays, in the plane or in space."""
    dimension = len(system.domain) if np.ndim(system.domain) else 0
    if dimension not in (2, 3) or any(np.shape(pair) != (2,) for pair in system.domain):
        raise InputError(f"{path}: domain must be two pairs of numbers, or three in space; it is {system.domain}.")
    if dimension == 3 and plane:
        raise InputError(f"{path} has three coordinates; in space there are the verbs solve and path.")
    if dimension == 3 and (system.cycles is not None or np.any(system.periodic)):
        raise InputError(f"{path} has cycles or periodic axes, and three coordinates; these are for the plane alone.")
    found: dict[str, np.ndarray] = {}
    for name in ("attractors", "saddles", "cycles"):
        if (points := getattr(system, name)) is None:
            continue
        try:
            found[name] = np.atleast_2d(np.asarray(points, float) if len(points) else np.empty((0, dimension)))
        except (TypeError, ValueError):
            found[name] = np.empty((0, 0))
        if found[name].shape[1:] != (dimension,):
            raise InputError(f"{path}: {name} must be points of {dimension} coordinates, as domain has; they are {points}.")
    return replace(system, **found)
