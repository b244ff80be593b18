"""SGD as a small-noise system: its drift is minus the gradient, its diffusion the covariance of one sample's gradient.

A step of size eta on a batch of b samples has mean ``-eta grad f`` and covariance ``eta^2 C / b``: the noise is
``eps = eta / b`` and
``D = C(theta)`` (arXiv 1901.06054). ``sgd_problem`` tabulates both, ``run_sgd`` runs the algorithm itself for
comparison.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError

from .exits import Problem
from .mesh import Mesh, make_mesh
from .progress import progress_bar

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


def torch_gradients(losses: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """Per-sample gradients of a torch function ``losses(theta)``.

    ``(2,)`` to one loss per sample ``(n,)``, by forward mode.
    """
    import torch

    batched = torch.func.vmap(torch.func.jacfwd(losses))
    return lambda theta: batched(torch.as_tensor(np.asarray(theta))).detach().cpu().numpy()


def plane_gradients(
    model,
    criterion: Callable,
    inputs,
    targets,
    origin: dict,
    directions: tuple[dict, dict],
    *,
    chunk: int = 64,
    progress: bool = False,
) -> Callable[[np.ndarray], np.ndarray]:
    """Per-sample gradients of a torch module on the plane ``origin + x d_1 + y d_2`` of its parameters, in x and y.

    SGD moves the parameters by ``-eta g``; its part in the plane moves (x, y) by ``-eta G^{-1} (<d_1, g>, <d_2, g>)`` with
    the Gram matrix ``G_ij = <d_i, d_j>``, so that the directions may have any length and angle. Two Jacobian-vector products
    a point, vectorised over points: no matrix of samples by parameters is formed. In a model of more than two parameters SGD
    leaves the plane: what is computed there is the quasi-potential of SGD held to the plane.

    Args:
        model: a torch module.
        criterion: ``(outputs, targets)`` to one loss per sample ``(n,)``.
        inputs: all samples.
        targets: all samples.
        origin: parameters by name, as ``dict(model.named_parameters())``.
        directions: two of the same, not parallel.
        chunk: points at once.
        progress: show a progress bar on a terminal.

    Returns:
        A function of ``(m, 2)`` returning ``(m, n, 2)``.

    Raises:
        InputError: when the directions are parallel or zero.
    """
    import torch

    gram = np.array([[sum(float((a[k] * b[k]).sum()) for k in origin) for b in directions] for a in directions])
    if not np.linalg.det(gram) > 1e-12 * gram[0, 0] * gram[1, 1]:
        raise InputError("The two directions of the plane are parallel, or one is zero; give two that span a plane.")
    inverse = np.linalg.inv(gram)

    def losses(theta):
        parameters = {
            name: origin[name].detach() + theta[0] * directions[0][name] + theta[1] * directions[1][name] for name in origin
        }
        return criterion(torch.func.functional_call(model, parameters, (inputs,)), targets)

    first = next(iter(origin.values()))
    derivative = torch.func.vmap(torch.func.jacfwd(losses))

    def gradients(theta):
        theta = torch.as_tensor(np.asarray(theta), dtype=first.dtype, device=first.device)
        parts = []
        with torch.no_grad(), progress_bar(len(theta), progress, "pt") as advance:
            for part in theta.split(chunk):
                parts.append(derivative(part).cpu().double().numpy() @ inverse)
                advance(len(part))
        return np.concatenate(parts)

    return gradients


def run_sgd(
    gradient: Callable[[np.ndarray, np.ndarray], np.ndarray],
    samples: int,
    start: np.ndarray,
    *,
    step: float,
    batch: int,
    steps: int,
    seed: int = 0,
    label: Callable[[np.ndarray], np.ndarray] | None = None,
    burn: int = 0,
    every: int = 10,
) -> tuple[np.ndarray, np.ndarray]:
    """Replicas of mini-batch SGD, the algorithm itself.

    Batches of samples drawn with replacement, no differential equation.

    Args:
        gradient: ``(theta (R, d), index (R, b)) -> (R, b, d)``, the gradients of the drawn samples.
        samples: how many there are.
        start: ``(R, d)``.
        step: eta.
        batch: b.
        steps: how many.
        seed: any integer.
        label: function of parameters returning integers from 0; None for no occupancy.
        burn: steps before the first look.
        every: steps between two looks.

    Returns:
        The last parameters ``(R, d)`` and each replica's share of looks in each label ``(R, labels)`` (empty without
        a label).
    """
    rng = np.random.default_rng(seed)
    theta = np.array(start, float)
    counts = np.zeros((len(theta), 0))
    for k in range(1, steps + 1):
        index = rng.integers(0, samples, (len(theta), batch))
        theta = theta - step * gradient(theta, index).mean(1)
        if label is not None and k > burn and k % every == 0:
            which = np.asarray(label(theta))
            wider = int(which.max()) + 1 - counts.shape[1]
            if wider > 0:
                counts = np.pad(counts, ((0, 0), (0, wider)))
            counts[np.arange(len(theta)), which] += 1
    return theta, counts / np.maximum(counts.sum(1, keepdims=True), 1)


@dataclass(frozen=True)
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
