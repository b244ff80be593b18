"""A user's drift and diffusion, in any dimension: how they are called, checked and differentiated."""

import sys
from collections.abc import Callable
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
    library, torch = backend(field), sys.modules.get("torch")
    flat = points.reshape(-1, points.shape[-1])
    if len(flat) == flat.shape[1]:  # one point more, so that axes cannot be mistaken
        flat = np.concatenate([flat, flat[:1]])
    try:
        if library == "torch":
            result: Any = field(torch.as_tensor(flat))  # pyright: ignore[reportOptionalMemberAccess]
        elif library == "jax":
            import jax  # pyright: ignore[reportMissingImports]

            with jax.enable_x64(True):
                result = np.asarray(field(jax.numpy.asarray(flat)))
        else:
            result = field(flat)
        if torch is not None and isinstance(result, torch.Tensor):
            result = result.detach().cpu().numpy()
        result = np.asarray(result, dtype=np.float64)
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"The {name} failed on points of shape {flat.shape} ({type(error).__name__}: {error}); it must take points "
            "(..., d): write p[..., 0] and p[..., 1], not x, y = p, and stack the parts with np.stack([...], -1)."
        ) from error
    try:
        return np.broadcast_to(result, (len(flat), *tail))[: points.size // points.shape[-1]].reshape(
            *points.shape[:-1], *tail
        )
    except ValueError:
        raise InputError(
            f"The {name} must return shape {(len(flat), *tail)} for points {flat.shape}; it returned {result.shape}."
        ) from None


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
