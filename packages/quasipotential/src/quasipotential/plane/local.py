"""The quasi-potential near an attractor: a polynomial that satisfies the Hamilton-Jacobi equation order by order.

Put ``U = U_2 + U_3 + ... + U_m`` into ``1/2 <grad U, D grad U> + <b, grad U> = 0`` around an equilibrium with
Jacobian J.
Degree two is the Lyapunov equation ``J Q + Q J^T = -D``, ``U_2 = 1/2 x^T Q^{-1} x``; each further degree k is one
linear system
for the k + 1 coefficients of U_k, always solvable because ``D Q^{-1} + J = -Q J^T Q^{-1}`` has its spectrum on one
side.
A polynomial in two variables is a square array ``c[i, j]``, the coefficient of ``x**i * y**j``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial as poly

from claimkit.errors import InputError


def lyapunov_covariance(jacobian: np.ndarray, diffusion: np.ndarray) -> np.ndarray:
    r"""Covariance :math:`Q = \lim \mathrm{Cov}(X)/\epsilon` of the linearised process, ``J Q + Q J^T = -D``.

    Args:
        jacobian: of the drift, ``(d, d)``, all eigenvalues with negative real part.
        diffusion: ``(d, d)``, symmetric positive definite.

    Raises:
        InputError: for a Jacobian that is not stable: the process has no covariance in the long run then.
    """
    growth = np.linalg.eigvals(np.asarray(jacobian, float)).real.max()
    if not growth < 0:
        raise InputError(
            f"The linearised process does not settle: an eigenvalue of its Jacobian has real part {growth:.3g}."
        )
    return _lyapunov(jacobian, diffusion)


def _lyapunov(jacobian, diffusion):
    """The same for any Jacobian: what a poor fit gives is for the residual to judge."""
    from scipy.linalg import solve_continuous_lyapunov

    q = solve_continuous_lyapunov(np.asarray(jacobian, float), -np.asarray(diffusion, float))
    return 0.5 * (q + q.T)


def _multiply(a, b, degree):
    product = np.zeros((degree + 1, degree + 1))
    for i, j in np.argwhere(a):
        product[i:, j:] += a[i, j] * b[: degree + 1 - i, : degree + 1 - j]
    i, j = np.indices(product.shape)
    product[i + j > degree] = 0.0
    return product


def _gradient(c):
    size = c.shape[0]
    dx, dy = np.zeros_like(c), np.zeros_like(c)
    dx[:-1] = c[1:] * np.arange(1, size)[:, None]
    dy[:, :-1] = c[:, 1:] * np.arange(1, size)[None, :]
    return dx, dy


def _hamiltonian(u, drift, diffusion, degree):
    ux, uy = _gradient(u)
    times = lambda a, b: _multiply(a, b, degree)  # noqa: E731
    d11, d12, d22 = diffusion
    return (
        0.5 * times(d11, times(ux, ux))
        + times(d12, times(ux, uy))
        + 0.5 * times(d22, times(uy, uy))
        + times(drift[0], ux)
        + times(drift[1], uy)
    )


@dataclass(frozen=True)
class LocalPotential:
    """The polynomial around one attractor.

    Attributes:
        center: the equilibrium, ``(2,)``.
        scale: length that the coefficients are scaled by: the polynomial is one of ``(x - center) / scale``.
        coefficients: ``(m + 1, m + 1)``.
    """

    center: np.ndarray
    scale: float
    coefficients: np.ndarray

    @property
    def degree(self) -> int:
        """Highest degree m."""
        return self.coefficients.shape[0] - 1

    @property
    def middle(self) -> np.ndarray:
        """What the nearest image on periodic axes is measured from, ``(2,)``."""
        return self.center

    @property
    def outline(self) -> np.ndarray:
        """What to draw of the attractor: its one point, ``(1, 2)``."""
        return self.center[None]

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The point of the attractor nearest to points ``(..., 2)``."""
        return np.broadcast_to(self.center, np.shape(points))

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at points ``(..., 2)``."""
        z = (points - self.center) / self.scale
        return poly.polyval2d(z[..., 0], z[..., 1], self.coefficients)

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """Gradient at points ``(..., 2)``."""
        z = (points - self.center) / self.scale
        parts = [poly.polyval2d(z[..., 0], z[..., 1], c) for c in _gradient(self.coefficients)]
        return np.stack(parts, -1) / self.scale


def expand(center: np.ndarray, scale: float, drift: list[np.ndarray], diffusion: list[np.ndarray]) -> LocalPotential:
    """The polynomial from those of the drift and the diffusion.

    Args:
        center: the equilibrium, where the drift polynomials vanish.
        scale: length unit of the polynomials' variables (``z = (x - center) / scale``).
        drift: two arrays ``(m + 1, m + 1)``, in units of length over time, of ``z``.
        diffusion: three arrays for D11, D12, D22.

    Returns:
        The quasi-potential to degree m.
    """
    size = drift[0].shape[0]
    degree = size - 1
    # in z the drift is b / scale and the diffusion D / scale**2; U itself does not change
    drift = [c / scale for c in drift]
    for c in drift:
        c[0, 0] = 0.0
    diffusion = [c / scale**2 for c in diffusion]
    jacobian = np.array([[c[1, 0], c[0, 1]] for c in drift])
    d0 = np.array([[diffusion[0][0, 0], diffusion[1][0, 0]], [diffusion[1][0, 0], diffusion[2][0, 0]]])
    q = np.linalg.inv(_lyapunov(jacobian, d0))
    u = np.zeros((size, size))
    u[2, 0], u[1, 1], u[0, 2] = 0.5 * q[0, 0], q[0, 1], 0.5 * q[1, 1]
    flow = d0 @ q + jacobian
    linear = [np.zeros((size, size)) for _ in range(2)]
    for c, row in zip(linear, flow, strict=True):
        c[1, 0], c[0, 1] = row
    for k in range(3, degree + 1):
        rest = _hamiltonian(u, drift, diffusion, degree)
        powers = [(i, k - i) for i in range(k + 1)]
        matrix = np.zeros((k + 1, k + 1))
        for column, (i, j) in enumerate(powers):
            one = np.zeros((size, size))
            one[i, j] = 1.0
            ux, uy = _gradient(one)
            image = _multiply(linear[0], ux, degree) + _multiply(linear[1], uy, degree)
            matrix[:, column] = [image[p] for p in powers]
        solution = np.linalg.solve(matrix, [-rest[p] for p in powers])
        for p, value in zip(powers, solution, strict=True):
            u[p] = value
    return LocalPotential(center, scale, u)


def fit_polynomials(
    points: np.ndarray, values: np.ndarray, center: np.ndarray, scale: float, degree: int
) -> list[np.ndarray]:
    """Least-squares polynomials of total degree ``degree`` through samples.

    Which weigh more the nearer they are to the center.

    Args:
        points: ``(n, 2)``.
        values: ``(n, components)``.
        center: where the variables are zero.
        scale: what they are divided by.
        degree: total degree.

    Returns:
        One coefficient array ``(degree + 1, degree + 1)`` per component.
    """
    z = (points - center) / scale
    powers = [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]
    matrix = np.stack([z[:, 0] ** i * z[:, 1] ** j for i, j in powers], -1)
    weight = 1 / (0.02 + np.sum(z * z, axis=1))[:, None]
    solution, *_ = np.linalg.lstsq(weight * matrix, weight * values, rcond=None)
    result = []
    for column in solution.T:
        c = np.zeros((degree + 1, degree + 1))
        for p, value in zip(powers, column, strict=True):
            c[p] = value
        result.append(c)
    return result
