"""SGD on a mesh: the tables of its drift and of the covariance of one sample's gradient."""

from collections.abc import Callable

import numpy as np

from claimkit.errors import InputError

from ..plane.mesh import Mesh, make_mesh
from ..rates.exits import Problem

_POINTS_AT_ONCE = 1 << 15


def gradient_covariance(gradients: np.ndarray) -> np.ndarray:
    """Covariance ``C = E[g g^T] - E[g] E[g]^T`` over samples: ``(..., n, d)`` to ``(..., d, d)``."""
    centred = gradients - gradients.mean(-2, keepdims=True)
    return np.einsum("...ni,...nj->...ij", centred, centred) / gradients.shape[-2]


def sgd_problem(
    gradients: Callable[[np.ndarray], np.ndarray], domain, mesh: int | tuple[int, int] = 257, floor: float = 0.0
) -> Problem:
    """Drift and diffusion of SGD on the half-grid of a mesh.

    Args:
        gradients: function of parameters ``(m, 2)`` returning every sample's gradient ``(m, n, 2)``; see
            ``torch_gradients`` and
            ``plane_gradients`` for torch models.
        domain: ``((xmin, xmax), (ymin, ymax))``.
        mesh: points per side, or (nx, ny).
        floor: added to the diagonal of C, where the samples' gradients span fewer than two directions.

    Returns:
        A problem whose tables ``drift`` and ``diffusion`` go into ``solve`` and ``find_wells`` as they are.

    Raises:
        InputError: when the samples' gradients vanish together, at an interpolating minimum: C is zero there, escape times
            are powers of the step instead of exponentials (``closed_forms.loss_dependent``), and a floor would invent noise.
    """
    grid = make_mesh(domain, mesh)

    def field(points):
        flat = points.reshape(-1, 2)
        table = np.empty((len(flat), 6))
        for start in range(0, len(flat), _POINTS_AT_ONCE):
            part = slice(start, start + _POINTS_AT_ONCE)
            g = np.asarray(gradients(flat[part]), float)
            if g.ndim != 3 or g.shape[0] != len(flat[part]) or g.shape[2] != 2:
                raise InputError(
                    f"The gradients must have shape (points, samples, 2); they have {g.shape} for {len(flat[part])} points."
                )
            table[part, :2] = -g.mean(1)
            table[part, 2:] = (gradient_covariance(g) + floor * np.eye(2)).reshape(-1, 4)
        return table.reshape(*points.shape[:-1], 6)

    nx, ny = (2 * n - 1 for n in grid.shape)
    points = Mesh(grid.domain, (nx, ny)).points
    table = field(points)
    spread = table[..., 2] + table[..., 5] - 2 * floor
    if spread.min() < 1e-9 * spread.max():
        x, y = points[np.unravel_index(spread.argmin(), spread.shape)]
        raise InputError(
            f"The gradients of all samples agree at ({x:.6g}, {y:.6g}): an interpolating minimum, where SGD has no noise; "
            "the Gaussian theory does not hold there (escape times are powers, see closed_forms.loss_dependent)."
        )
    return Problem(grid, np.ascontiguousarray(table[..., :2]), np.ascontiguousarray(table[..., 2:]))


class NoisyRegression:
    """One neuron, two parameters, two minima of equal loss: the example in which SGD's noise alone decides.

    The prediction for the input (s, c), s and c in {-1, 1}, is ``softplus(s x) + c y``; all targets have the mean
    ``target``, but the
    labels of the inputs with s = 1 scatter by ``noise[0]`` and those with s = -1 by ``noise[1]``. The squared loss
    is the same at
    (x, y) and (-x, y): both wells are equally deep and equally wide. Where x > 0 the neuron follows the first half
    of the
    inputs and meets their label noise.

    Attributes:
        target: mean of the labels; above about 2 there are two wells.
        noise: scatter of the labels.
    """

    target: float = 3.0
    noise: tuple[float, float] = (4.0, 2.5)

    @property
    def samples(self) -> np.ndarray:
        """The eight samples ``(8, 3)``: s, c and the label."""
        signs = np.array([(s, c, z) for s in (1, -1) for c in (1, -1) for z in (1, -1)], float)
        scatter = np.where(signs[:, 0] > 0, self.noise[0], self.noise[1])
        return np.stack([signs[:, 0], signs[:, 1], self.target + scatter * signs[:, 2]], -1)

    def gradients(self, theta: np.ndarray) -> np.ndarray:
        """Gradients of all samples, ``(m, 2)`` to ``(m, 8, 2)``."""
        return self.gradient(theta, np.broadcast_to(np.arange(8), (len(theta), 8)))

    def gradient(self, theta: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Gradients of chosen samples, ``(m, 2)`` and ``(m, b)`` to ``(m, b, 2)``."""
        s, c, label = np.moveaxis(self.samples[index], -1, 0)
        z = s * theta[:, :1]
        e = np.exp(-np.abs(z))
        residual = np.maximum(z, 0) + np.log1p(e) + c * theta[:, 1:] - label
        slope = np.where(z > 0, 1.0, e) / (1 + e)
        return np.stack([residual * s * slope, residual * c], -1)

    def loss(self, theta: np.ndarray) -> np.ndarray:
        """Mean squared loss ``1/2 E r^2`` at ``(..., 2)``."""
        s, c, label = self.samples.T
        residual = np.logaddexp(0, s * theta[..., :1]) + c * theta[..., 1:] - label
        return 0.5 * np.mean(residual**2, -1)

    def wells(self) -> np.ndarray:
        """The two minima ``(2, 2)``, left first."""
        from scipy.optimize import brentq

        slope = lambda x: float(self.gradients(np.array([[x, 0.0]])).mean(1)[0, 0])  # noqa: E731
        x = float(brentq(slope, 0.5, 4 * self.target, xtol=1e-13))  # pyright: ignore[reportArgumentType]
        return np.array([[-x, 0.0], [x, 0.0]])
