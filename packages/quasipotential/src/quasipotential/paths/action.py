"""Minimum action paths by the geometric minimum action method (gMAM).

It (Heymann and Vanden-Eijnden 2008) works in any dimension without a mesh: a chain of points between two given ends is
moved to the path of least geometric action ``int |b|_A |phi'|_A - <b, A phi'> ds``, ``A = D^{-1}``.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from claimkit.errors import InputError

from ..fields import DENSE_DIMENSION, difference, evaluate
from ..marching.mesh import named
from .guesses import gradient_guess, guesses, polyline
from .hamilton import Hamiltonian, steer
from .products import Products, jacobian_products, refuse_wrong
from .relax import Forces, apply, discrete_action, geometric_action, relax, spaced
from .turns import missing_turns, wind

FLOOR = 1e-6
"""Share of D's largest eigenvalue below which D counts as singular, and which is added where a guess is to be followed."""


@dataclass(frozen=True)
class ActionPath:
    """A path and its geometric action.

    Attributes:
        points: ``(n, d)``, equally spaced, but denser towards a focus at the start.
        action: the geometric action along the cubic spline through the points.
        error: estimated from what the action changed when the number of points was doubled, and doubled before, and from
            the turns around a focus at the start (see ``turns``); infinite where ``images`` was given.
        converged: whether the discrete action is at its minimum.
        reason: one sentence that says so, or why not.
        iterations: Newton steps taken, on all levels; for a singular D the steps in time.
        history: the discrete action after each step on the last level; it never rises.
        candidates: the actions that the first guesses came to, on the coarsest level, lowest first.
    """

    points: np.ndarray
    action: float
    error: float
    converged: bool
    reason: str
    iterations: int
    history: tuple[float, ...]
    candidates: tuple[float, ...]


def _regular(diffusion, points, dimension):
    """D with a share 1e-6 of its largest trace added where it is singular; None stays, and whether that was needed."""
    if diffusion is None:
        return None, False
    if not callable(diffusion):
        matrix = np.asarray(diffusion, float)
        if matrix.shape != (dimension, dimension):
            raise InputError(f"The diffusion must be ({dimension}, {dimension}); it has shape {matrix.shape}.")
        lowest, highest = np.linalg.eigvalsh(matrix)[[0, -1]]
        if np.abs(matrix - matrix.T).max() > 1e-9 * highest or not highest > 0 or lowest < -1e-9 * highest:
            raise InputError(f"The diffusion must be symmetric positive semidefinite; it is {matrix.tolist()}.")
        flat = lowest < FLOOR * highest
        return matrix + (FLOOR * highest * np.eye(dimension) if flat else 0.0), bool(flat)
    spread = lambda x: evaluate(diffusion, x, (dimension, dimension), "diffusion")  # noqa: E731
    table = spread(points)
    spectrum = np.linalg.eigvalsh(np.where(np.isfinite(table), table, 0.0))
    size = float(spectrum.max())
    uneven = np.abs(table - np.swapaxes(table, 1, 2)).max()
    if not (uneven <= 1e-9 * size and size > 0 and spectrum.min() >= -1e-9 * size):
        worst = points[int(np.argmin(spectrum[:, 0]))].tolist()
        raise InputError(f"The diffusion must be finite and symmetric positive semidefinite; look at {worst}.")
    if spectrum.min() >= FLOOR * size:
        return spread, False
    return lambda x: spread(x) + FLOOR * size * np.eye(dimension), True


def minimum_action_path(
    drift: Callable,
    path: np.ndarray,
    *,
    diffusion: Callable | np.ndarray | None = None,
    jacobian: Callable | Products | None = None,
    images: int | None = None,
    accuracy: float = 1e-4,
    tolerance: float = 1e-8,
    iterations: int = 500,
) -> ActionPath:
    """Path of least geometric action between two fixed ends, in any dimension.

    Newton's method lowers the discrete action of a chain of points (see ``relax``), first on 50 points, then on twice as
    many, until the estimated error is less than ``accuracy``. From two ends alone several chains are tried - straight, bent
    to both sides, the escape path of the drift's linearisation, or for a gradient drift the string method's path - and the
    lowest is kept; a guess of three points or more is
    used as given. Where D is singular the path between two ends is found by Hamilton's equations (see ``hamilton``), which
    need no inverse; for a longer guess a share 1e-6 of D's largest eigenvalue is added to it.

    Args:
        drift: function of points ``(n, d)`` (numpy; see ``torch_field`` and ``jax_field`` for these).
        path: the two ends ``(2, d)``, or a first guess ``(m, d)``; its ends stay.
        diffusion: None, a symmetric positive semidefinite matrix ``(d, d)``, or a function returning ``(n, d, d)``.
        jacobian: derivative of the drift ``(n, d, d)``, ``[i, j] = d b_i / d x_j``; central differences by default, see
            ``autograd_jacobian`` for torch functions (a jax function ``vmap(jacfwd(f))`` serves as it is). Or its products
            alone, the pair ``(x, v) -> J v`` and ``(x, p) -> J^T p`` (a tangent model and its adjoint): then no matrix
            ``(d, d)`` is formed, and turns around a focus at the start are not looked for. Above 300 dimensions that is the
            default, with ``jacobian_products(drift)``; it is slow where the drift's rates differ by thousands.
        images: points of the chain, at least 5; by default as many as ``accuracy`` wants, at most 800.
        accuracy: relative error of the action at which the points suffice.
        tolerance: relative decrease that Newton's method must still promise for a further step.
        iterations: at most this many steps on each level.

    Raises:
        InputError: for a guess, a drift, a diffusion or a Jacobian that cannot be used, a Jacobian that is not the
            drift's among them. A chain that did not converge is returned with
            ``converged`` false, and a RuntimeWarning says why.
    """
    given = np.asarray(path, float)
    if given.ndim != 2 or len(given) < 2 or not np.isfinite(given).all():
        raise InputError(f"The path must be two finite points or more, (m, d); it has shape {given.shape}.")
    if images is not None and (images < 5 or images != int(images)):
        raise InputError(f"A path needs at least 5 images, a whole number; {images} were asked for.")
    if not (accuracy >= 0 and tolerance >= 0):
        raise InputError(f"accuracy and tolerance must not be negative; they are {accuracy} and {tolerance}.")
    count, d = 50 if images is None else int(images), given.shape[1]
    if not np.linalg.norm(np.diff(given, axis=0), axis=1).sum() > 0:
        raise InputError("Both ends of the path are the same point; its action is zero.")
    field = lambda x: evaluate(drift, x, (d,), "drift")  # noqa: E731
    first = polyline(given, count)
    scale = float(np.linalg.norm(np.diff(first, axis=0), axis=1).sum())
    products = jacobian if isinstance(jacobian, tuple) else None
    if jacobian is None and d > DENSE_DIMENSION:
        products = jacobian_products(drift, scale)
    derivative: Any = jacobian if callable(jacobian) else lambda x: difference(field, x, 1e-6 * scale)
    spread: Any
    spread, singular = _regular(diffusion, first, d)
    if products and (singular or callable(spread)):
        raise InputError("Products of the Jacobian serve for a constant D in every direction only; give jacobian whole.")
    forces = Forces(field, derivative, spread, scale, products)
    if not (finite := np.isfinite(field(first)).all(-1)).all():
        place = named(first[~finite][0])
        raise InputError(f"The drift is not finite on the first guess, at {place}; give a guess on which it is.")
    if jacobian is not None:
        refuse_wrong(products or (lambda x, v: apply(derivative(x), v), None), field, first[1:-1], scale)
    if singular and len(given) == 2:
        return _steered(field, derivative, diffusion, given, scale)
    starts, coarse = [first], tolerance if images else max(tolerance, 0.01 * accuracy)
    if len(given) == 2 and products:
        starts = guesses(field, None, None, given, count)
    elif len(given) == 2:
        here = np.eye(d) if spread is None else np.asarray(spread(given[:1]))[0] if callable(spread) else spread
        starts = gradient_guess(field, derivative, first) if spread is None else []
        if not starts or not _is_climb(field, starts[0]):
            starts += guesses(field, derivative, here, given, count)
    starts = [x for x in starts if discrete_action(spaced(x), forces) < np.inf]
    if not starts:
        raise InputError("D is not positive definite on any first guess; give a guess on which it is.")
    chains = [relax(x, forces, coarse, iterations if len(starts) == 1 else min(iterations, 60)) for x in starts]
    chains.sort(key=lambda chain: chain[1][-1])
    candidates = tuple(chain[1][-1] for chain in chains)
    steps = sum(len(chain[1]) - 1 for chain in chains)
    x, history, state = chains[0]
    if state == "iterations" and len(starts) > 1:
        x, history, state = relax(x, forces, coarse, iterations)
        steps += len(history) - 1
    action, change, error = geometric_action(x, field, spread), np.inf, np.inf
    while images is None and len(x) < 800 and (error > accuracy * action or len(x) < 100):
        x, history, state = relax(spaced(x, 2 * len(x)), forces, tolerance, iterations)
        steps += len(history) - 1
        finer = geometric_action(x, field, spread)
        before, change, action = change, abs(finer - action), finer
        error = change / (min(max(before / max(change, 1e-300), 2.0), 9.0) - 1) if np.isfinite(before) else change / 3
    if images is None and not products:
        x, gained, more = wind(x, forces, accuracy * action, tolerance, iterations)
        action, steps, error = action - gained, steps + more, error + gained / 3
    if not products:
        error += missing_turns(x, forces)
    reason = {
        "converged": "the action is at its minimum",
        "iterations": f"{iterations} steps did not suffice; allow more, or give a better first guess",
        "stalled": "no step lowers the action though its slope does not vanish; the path may lead over another equilibrium: "
        "compute it in two parts",
    }[state]
    if products and state != "converged":
        reason += "; where the drift's rates differ by thousands, give jacobian whole"
    if singular:
        reason += f"; D is singular, a share {FLOOR:.0e} of its largest eigenvalue was added"
    if state != "converged":
        warnings.warn(f"The minimum action path did not converge: {reason}.", RuntimeWarning, stacklevel=2)
    return ActionPath(x, action, error, state == "converged", reason, steps, tuple(history), candidates)


def _steered(field, derivative, diffusion, ends, scale):
    """The path for a singular D, by Hamilton's equations."""
    noise = diffusion if callable(diffusion) else np.asarray(diffusion, float)
    x, action, error, found, steps = steer(Hamiltonian(field, derivative, noise, scale), ends)
    if not found:
        raise InputError(
            "D is singular, and the path does not stretch to its end (there may be another equilibrium on the way, or none "
            "that leads there): compute it in parts, or give a first guess of three points or more."
        )
    reason = "Hamilton's equations hold; D is singular and was not inverted"
    return ActionPath(spaced(x, 400), action, error, True, reason, steps, (action,), (action,))


def _is_climb(field, path):
    """Whether a path costs no more than twice the climb ``-int <b, dx>``: for a gradient drift none is cheaper."""
    middle, chord = 0.5 * (path[1:] + path[:-1]), np.diff(path, axis=0)
    climb = -float(np.sum(field(middle) * chord))
    return geometric_action(path, field) < 2 * climb * 1.05


def autograd_jacobian(function: Callable) -> Callable:
    """Jacobian ``(n, d, d)`` of a torch function of one point ``(d,)``, by reverse mode.

    For ``minimum_action_path``.
    """
    import torch

    batched = torch.func.vmap(torch.func.jacrev(function))
    return lambda x: batched(torch.as_tensor(np.asarray(x))).detach().numpy()
