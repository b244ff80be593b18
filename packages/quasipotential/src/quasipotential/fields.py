"""A user's drift, diffusion and region, in any dimension: how they are called, checked and differentiated."""

import math
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from claimkit.errors import InputError

Field = Callable[[np.ndarray], np.ndarray]
"""A function of points ``(..., 2)``; a drift returns ``(..., 2)``, a diffusion ``(..., 2, 2)``."""

DENSE_DIMENSION = 300
"""Up to this dimension a path is solved with whole Jacobians, from there with their products."""

CURVATURE_DIMENSION = 6
"""Up to this dimension the second derivatives of the drift are taken too (two Jacobians a dimension and step)."""


def evaluate(field: Callable, points: np.ndarray, tail: tuple[int, ...], name: str) -> np.ndarray:
    """Call a user's field on points ``(..., 2)``, as numpy arrays or, where it wants them, as torch or jax arrays.

    A constant result is spread over all points.

    Raises:
        InputError: when the result has the wrong shape.
    """
    return _spread(_call(field, _flat(points), name).astype(np.float64, copy=False), points, tail, name)


def evaluate_region(region: Callable, points: np.ndarray) -> np.ndarray:
    """A region's function at points ``(..., d)``: one number a point, negative inside.

    Raises:
        InputError: for truth values, which have no zero to be crossed, for what is not finite, and for another shape.
    """
    result = _call(region, _flat(points), "region's function")
    if result.dtype == bool:
        raise InputError(
            "The region's function returns truth values; it must return numbers, negative inside, positive outside and zero "
            "on the boundary, such as np.linalg.norm(p, axis=-1) - 1."
        )
    signed = np.array(_spread(result, points, (), "region's function"))
    bad = np.argwhere(~np.isfinite(signed))
    if len(bad):
        place = ", ".join(f"{x:.6g}" for x in points[tuple(bad[0])])
        raise InputError(f"The region's function is not finite at ({place}); outside it must be a positive number.")
    return signed


def _flat(points):
    """Points ``(n, d)``, one more than given where n = d, so that axes cannot be mistaken."""
    flat = points.reshape(-1, points.shape[-1])
    return np.concatenate([flat, flat[:1]]) if len(flat) == flat.shape[1] else flat


def _call(field, flat, name):
    """What a user's function returns for points ``(n, d)``, as a numpy array."""
    library, torch = backend(field), sys.modules.get("torch")
    flat = flat.view()
    flat.flags.writeable = False  # the mesh is the caller's
    try:
        if library == "torch":
            result: Any = field(torch.tensor(flat))  # pyright: ignore[reportOptionalMemberAccess]
        elif library == "jax":
            import jax  # pyright: ignore[reportMissingImports]

            with jax.enable_x64(True):
                result = np.asarray(field(jax.numpy.asarray(flat)))
        else:
            result = field(flat)
        if torch is not None and isinstance(result, torch.Tensor):
            result = result.detach().cpu().numpy()
        result = np.asarray(result)
        return result if result.dtype == bool else result.astype(np.float64)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        if "read-only" in what:
            raise InputError(f"The {name} writes into the points that it is given; begin it with p = p.copy().") from error
        if not isinstance(error, (ValueError, TypeError, IndexError)):
            line = traceback.extract_tb(error.__traceback__)[1:2]  # of the function itself
            place = "".join(f" in line {at.lineno} of {Path(at.filename).name}" for at in line)
            raise InputError(f"The {name} fails{place} ({what}).") from error
        raise InputError(
            f"The {name} failed on points of shape {flat.shape} ({what}); it must take points "
            "(..., d): write p[..., 0] and p[..., 1], not x, y = p, and stack the parts with np.stack([...], -1)."
        ) from error


def _spread(result, points, tail, name):
    """A result ``(n, *tail)``, or a constant ``tail``, at points ``(..., d)``."""
    n, d = points.size // points.shape[-1], points.shape[-1]
    called = n + (n == d)
    if result.shape not in ((called, *tail), tail):
        each = "" if tail else ", one number a point"
        raise InputError(
            f"The {name} must return shape {(called, *tail)} for points {(called, d)}{each}; it returned {result.shape}."
        )
    return np.broadcast_to(result, (called, *tail))[:n].reshape(*points.shape[:-1], *tail)


def refuse_outside(region: Callable, point: np.ndarray, mesh: Any = None) -> None:
    """Refuse a start ``(d,)`` that lies outside of a mesh, or where a region's function is not negative."""
    on_mesh = mesh is None or (len(point) == len(mesh.shape) and mesh.contains(point))
    if not on_mesh or not float(evaluate_region(region, point[None])[0]) < 0:
        place = ", ".join(f"{x:.6g}" for x in point)
        where = "the region" if mesh is None else "the region or the mesh"
        raise InputError(
            f"The start ({place}) lies outside of {where}; start inside, where the region's function is negative."
        )


def refuse_not_positive(**numbers: float) -> None:
    """Refuse numbers that are not positive and finite, by their names."""
    for name, number in numbers.items():
        if np.ndim(number) or not (0 < number < math.inf):
            raise InputError(f"{name} must be a positive number; it is {number}.")


def torch_field(function: Callable) -> Callable:
    """Mark a function that wants float64 torch tensors ``(..., d)`` instead of numpy arrays; returns the function."""
    vars(function)["__library__"] = "torch"
    return function


def jax_field(function: Callable) -> Callable:
    """Mark a function that wants jax arrays ``(..., d)``; returns the function.

    It is called in double precision, whatever jax is set to. jax 0.8 or later must be installed.
    """
    vars(function)["__library__"] = "jax"
    return function


def backend(field: Callable) -> str:
    """Whose arrays a function wants: ``"torch"`` (a torch module too), ``"jax"`` or ``"numpy"``."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(field, torch.nn.Module):
        return "torch"
    return getattr(field, "__library__", "numpy")


def difference(function: Callable, x: np.ndarray, step: float) -> np.ndarray:
    """Derivatives at points ``(n, d)``, the direction last: central to dimension ``CURVATURE_DIMENSION``, then forward."""
    parts, d = [], x.shape[-1]
    here = function(x) if d > CURVATURE_DIMENSION else None
    for k in range(d):
        shift = np.zeros(d)
        shift[k] = step
        if here is None:
            parts.append((function(x + shift) - function(x - shift)) / (2 * step))
        else:
            parts.append((function(x + shift) - here) / step)
    return np.stack(parts, -1)
