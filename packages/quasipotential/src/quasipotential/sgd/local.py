"""The quasi-potential of a network's SGD near a minimum, in the top subspace of its Hessian.

There ``U = 1/2 x^T Q^{-1} x`` with ``eps = eta / b``. One step of SGD is ``x' = (1 - eta A) x - eta g``, A the Hessian and
g of covariance C / b, so that the stationary covariance S = eps Q solves
``S = (1 - eta A) S (1 - eta A) + eta^2 C / b``, or, divided by eta^2 / b (Mandt, Hoffman and Blei 2017, arXiv 1704.04289,
for small steps; Liu, Ziyin and Ueda 2021, arXiv 2012.03636, for any),

    A Q + Q A - eta A Q A = C.

The eigenvectors of A decouple it: ``Q_ij = C_ij / (a_i + a_j - eta a_i a_j)``.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError

from .network import flat_losses


@dataclass(frozen=True)
class LocalSgd:
    """SGD near a minimum, in the space of k eigenvectors of the Hessian.

    Attributes:
        minimum: parameters ``(d,)``, in the order of ``named_parameters``; in the subspace the zero of the gradient.
        vectors: eigenvectors ``(d, k)``.
        curvatures: their eigenvalues ``(k,)``, largest first.
        lowest: the lowest eigenvalue of the whole Hessian, roughly: where it is negative this is a saddle, and SGD leaves
            in directions that are not among the k.
        noise: C in this space ``(k, k)``.
        covariance: Q ``(k, k)``; the stationary covariance of SGD is ``eta / b Q``.
    """

    minimum: np.ndarray
    vectors: np.ndarray
    curvatures: np.ndarray
    lowest: float
    noise: np.ndarray
    covariance: np.ndarray

    def __call__(self, parameters: np.ndarray) -> np.ndarray:
        """U at parameters ``(..., d)``, of their part in the subspace; ``exp(-U b / eta)`` is the stationary density."""
        x = (np.asarray(parameters, float) - self.minimum) @ self.vectors
        return 0.5 * np.einsum("...i,ij,...j", x, np.linalg.inv(self.covariance), x)


def local_quasipotential(
    model, criterion: Callable, inputs, targets, *, step: float, batch: int, rank: int = 10, chunk: int = 256
) -> LocalSgd:
    """The quasi-potential of SGD around a model's present parameters, in the top ``rank`` eigenvectors of the Hessian.

    Lanczos' method with Hessian-vector products; the covariance of single samples' gradients in that space by
    Jacobian-vector products: no matrix of samples by parameters or of parameters squared is formed.

    Args:
        model: a torch module, trained to a minimum; see ``flat_losses``.
        criterion: ``(outputs, targets)`` to one loss per sample ``(n,)``.
        inputs: all samples.
        targets: all samples.
        step: eta.
        batch: b, drawn with replacement.
        rank: dimension of the subspace, below that of the parameters.
        chunk: samples at once.

    Raises:
        InputError: where the step is not positive or diverges, a direction of the subspace is not curved upwards, no noise
            reaches one, the minimum is further away than SGD's own spread, or the noise is another one within that spread:
            as at a minimum that interpolates the samples, where it vanishes.
    """
    import torch
    from scipy.sparse.linalg import LinearOperator, eigsh

    here, losses = flat_losses(model, criterion, inputs, targets)
    d, count = len(here), len(targets)
    if not 0 < rank < d:
        raise InputError(f"rank must be from 1 to {d - 1}, below the number of parameters; it is {rank}.")
    if not (step > 0 and batch >= 1):
        raise InputError(f"The step must be positive and the batch at least 1; they are {step} and {batch}.")
    parts = [slice(i, i + chunk) for i in range(0, count, chunk)]
    tensor = lambda v: torch.as_tensor(np.ascontiguousarray(v)).to(here)  # noqa: E731

    def product(vector):
        tangent, total = tensor(vector.reshape(-1)), torch.zeros_like(here)
        for part in parts:
            gradient = torch.func.grad(lambda t, part=part: losses(t, part).sum())
            total += torch.func.jvp(gradient, (here,), (tangent,))[1].detach()
        return (total / count).cpu().double().numpy()

    def projected(at, basis):
        """Every sample's gradient in the subspace ``(n, k)``."""
        rows = []
        for part in parts:
            along = lambda v, part=part: torch.func.jvp(lambda t: losses(t, part), (tensor(at),), (v,))[1]  # noqa: E731
            rows.append(torch.func.vmap(along)(tensor(basis.T)).detach().T.cpu().double().numpy())
        return np.concatenate(rows)

    operator = LinearOperator((d, d), matvec=product, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    begin = np.random.default_rng(0).standard_normal(d)  # the type of tol is guessed from its default, an int
    curvatures, vectors = eigsh(operator, k=rank, which="LA", v0=begin, tol=1e-6)  # pyright: ignore[reportArgumentType]
    curvatures, vectors = curvatures[::-1], vectors[:, ::-1]
    least = eigsh(operator, k=1, which="SA", v0=begin, tol=1e-2, return_eigenvectors=False)  # pyright: ignore[reportArgumentType]
    lowest = float(least[0])
    if not curvatures[-1] > 1e-6 * curvatures[0]:
        raise InputError(
            f"Of the {rank} top curvatures the last is {curvatures[-1]:.3g} (the first {curvatures[0]:.3g}): there is no "
            "restoring force in its direction; ask for a smaller rank."
        )
    if step * curvatures[0] >= 2:
        raise InputError(f"The step {step:g} is too large: SGD diverges above {2 / curvatures[0]:.3g} here.")
    theta = here.cpu().double().numpy()
    gradients = projected(theta, vectors)
    noise = np.cov(gradients.T, bias=True).reshape(rank, rank)
    pairs = curvatures[:, None] + curvatures - step * curvatures[:, None] * curvatures
    spread = noise / pairs
    _refuse_interpolation(theta, vectors, spread * step / batch, noise, projected)
    ranks = np.linalg.eigvalsh(spread)
    if not ranks[0] > 1e-12 * ranks[-1]:
        raise InputError(
            "In a direction of the subspace the samples' gradients do not differ: no noise reaches it and U is infinite "
            "there; ask for a smaller rank, or give more samples."
        )
    offset = gradients.mean(0) / curvatures
    off = float(np.abs(offset / np.sqrt(step / batch * np.diag(spread))).max())
    if off > 1:
        raise InputError(
            f"The minimum is {off:.2g} standard deviations of SGD away from these parameters in the subspace: train on, "
            "with the whole gradient or a decaying step."
        )
    if lowest < -1e-3 * curvatures[0]:
        warnings.warn(
            f"The Hessian also has the curvature {lowest:.3g}: this is a saddle, which SGD leaves in directions outside "
            "of the subspace; what is computed holds until then.",
            RuntimeWarning,
            stacklevel=2,
        )
    return LocalSgd(theta - vectors @ offset, vectors, curvatures, lowest, noise, spread)


def _refuse_interpolation(theta, vectors, covariance, noise, projected):
    """Compare the noise here with that at four points as far away as SGD goes, and at least 1e-4 of the parameters' norm."""
    values, axes = np.linalg.eigh(covariance)
    draws, least = np.random.default_rng(1).standard_normal((4, len(values))), 1e-4 * np.linalg.norm(theta)
    away = draws * np.sqrt(np.maximum(values, 0)) @ axes.T
    near = np.linalg.norm(away, axis=1) < least
    away[near] = least * draws[near] / np.linalg.norm(draws[near], axis=1, keepdims=True)
    there = np.mean([projected(theta + vectors @ x, vectors).var(0).sum() for x in away])
    if not there <= 2 * np.trace(noise):
        raise InputError(
            f"The samples' gradients vary {there / max(np.trace(noise), 1e-300):.2g} times as much as far away as SGD goes: "
            "this minimum nearly interpolates the samples, noise vanishes there and the Gaussian theory does not hold "
            "(escape times are powers, see closed_forms.loss_dependent)."
        )
