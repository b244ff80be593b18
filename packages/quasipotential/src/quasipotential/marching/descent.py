"""Minimum action paths: steepest descent of a solved quasi-potential."""

import numpy as np

from claimkit.errors import InputError

from .mesh import named


def descend(solution, point) -> np.ndarray:
    """Minimum action path from the attractor to a point, by following ``-(D grad U + b)`` back, ``(n, d)``.

    Beside an attractor the gradient is that of the expansion around it. From an equilibrium such as a saddle, where the
    direction vanishes, the path begins at the lowest of the points three spacings around. From a limit cycle it begins a
    quarter of a spacing beside it, because the whole way has no beginning; on periodic axes it is continuous, and may
    leave the domain.

    Args:
        solution: a ``Solution`` or ``Solution3D``.
        point: target ``(d,)`` inside the region that was reached.

    Raises:
        InputError: when the point is outside, or the march did not reach it.
    """
    target = np.asarray(point, float)
    step = float(solution.mesh.spacing.min())
    value = solution(target)
    if not np.isfinite(value):
        raise InputError(f"The point {named(target)} was not reached by the solve; enlarge the domain or the level.")
    starts = solution.starts

    def nearest(x):
        """From the nearest attractor to a point."""
        images = [(solution.mesh.image(x, local.middle), local) for _, local in starts]
        return min((image - local.nearest(image) for image, local in images), key=np.linalg.norm)

    def gradient(x):
        for offset, local in starts:
            near = solution.mesh.image(x, local.middle)
            away = np.linalg.norm(near - local.nearest(near))
            if away < 0.25 * local.scale and local(near) + offset <= solution(x) * (1 + 1e-3) + 1e-12:
                return local.gradient(near)
        return solution.gradient_at(x)

    def direction(x):
        flow = solution.diffusion_at(x) @ gradient(x) + solution.drift_at(x)
        return -flow, float(np.linalg.norm(flow))

    closes = not any(hasattr(local, "cycle") for _, local in starts)
    path = [target]
    here = target
    speed = float(np.linalg.norm(solution.drift_at(target)))
    sparse = solution.mesh.points[(slice(None, None, 8),) * len(target)]
    if speed < 1e-3 * np.abs(solution.drift_at(sparse)).mean() and np.linalg.norm(nearest(target)) > 3 * step:
        around = target + 3.0 * float(solution.mesh.spacing.max()) * _directions(len(target))
        inside = np.array([solution.mesh.contains(p) for p in around])
        heights = np.full(len(around), np.inf)
        heights[inside] = solution(around[inside])
        here = around[int(np.nanargmin(heights))]
        path.append(here)
    longest = int(12 * np.sum(solution.mesh.shape))
    for _ in range(longest):
        away = float(np.linalg.norm(nearest(here)))
        if away < (0.5 if closes else 0.25) * step:
            break
        size = min(0.5 * step, 0.25 * away)
        total = np.zeros(len(target))
        x = here
        for weight, advance in ((1, 0.5), (2, 0.5), (2, 1.0), (1, 0.0)):
            flow, norm = direction(x)
            if not norm > 0:
                break
            total += weight * flow / norm
            x = here + advance * size * flow / norm
            if not solution.mesh.contains(x):
                x = here
        here = here + size * total / 6
        if not (np.isfinite(here).all() and solution.mesh.contains(here)):
            raise InputError(f"The path to {named(target)} left the region that was reached; enlarge the domain.")
        path.append(here)
    else:
        raise InputError(
            f"The path to {named(target)} did not come back to the attractor in {longest} steps; refine the mesh."
        )
    return np.array([*path, here - nearest(here)] if closes else path)[::-1]


def _directions(dimension):
    """Unit vectors ``(n, d)``, evenly over the circle or the sphere."""
    if dimension == 2:
        angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
        return np.stack([np.cos(angles), np.sin(angles)], -1)
    k = np.arange(400) + 0.5
    height, angle = 1 - k / 200, np.pi * (1 + np.sqrt(5)) * k
    ring = np.sqrt(1 - height**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), height], -1)
