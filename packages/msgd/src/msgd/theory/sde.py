"""M-SGD and its stochastic differential equation on one Brownian path (arXiv 1906.07405, convergence of M-SGD).

With Gaussian weights, M-SGD is the Euler-Maruyama scheme of step eta for

    dX = -grad L(X) dt + sqrt(eta) G(X) S dB,    S S' = Cov(V),    B an n-dimensional Brownian motion,

coupled by ``sqrt(eta) V_k = S (B_{(k+1) eta} - B_{k eta})``. As the intensity is sqrt(eta), the strong order is one; with an
intensity that does not shrink it is one half. Other weights converge weakly only.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from claimkit.errors import InputError
from msgd.noise import GaussianCov, GaussianFisher, Noise

Losses = Callable[[Float[Tensor, "paths d"]], Float[Tensor, "paths n"]]
"""Losses of all n samples at one point a path."""


def weighted_gradient(losses: Losses, x: Float[Tensor, "paths d"], weight: Float[Tensor, "paths n"]) -> Tensor:
    """G(x) W for every path, one backward pass for all; G is not formed."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad((weight * losses(x)).sum(), x)[0]


@dataclass(frozen=True)
class CoupledPaths:
    """End and largest distance of M-SGD (``discrete``) and its SDE (``continuous``) on common Brownian paths."""

    discrete: Float[Tensor, "paths d"]
    continuous: Float[Tensor, "paths d"]
    distance: Float[Tensor, " paths"]
    """max over the steps of |x_k - X_{k eta}|."""

    @property
    def strong_error(self) -> float:
        """(E max_k |x_k - X_{k eta}|^2)^(1/2)."""
        return float(self.distance.square().mean().sqrt())


def coupled_paths(
    losses: Losses,
    start: Float[Tensor, " d"],
    noise: GaussianFisher | GaussianCov,
    eta: float,
    steps: int,
    paths: int,
    generator: Generator,
    substeps: int = 32,
    intensity: float | None = None,
) -> CoupledPaths:
    """Run M-SGD and, on the same Brownian paths, Euler-Maruyama with ``substeps`` steps for each of its steps.

    Args:
        losses: The n losses at every path's point.
        start: Common starting point, shape ``(d,)``; its precision is used throughout.
        noise: Gaussian law of the weights: S = std/n, centred or not.
        eta: Learning rate; M-SGD's step k stands for time k eta.
        steps: Number of M-SGD steps.
        paths: Number of paths.
        generator: Source of the Brownian increments.
        substeps: Refinement of the reference.
        intensity: Replaces sqrt(eta): the control in which the noise does not shrink with the step.

    Raises:
        InputError: Sizes below one.
    """
    if min(steps, paths, substeps) < 1 or eta <= 0:
        raise InputError(f"eta = {eta}, steps = {steps}, paths = {paths}, substeps = {substeps}: all must be positive")
    n = noise.n
    scale = (eta**0.5 if intensity is None else intensity) * noise.std / n
    x = fine = start.expand(paths, -1).clone()
    distance = torch.zeros(paths, dtype=start.dtype, device=start.device)
    h = eta / substeps
    for _ in range(steps):
        db = torch.randn(substeps, paths, n, generator=generator, dtype=start.dtype, device=start.device) * h**0.5
        if isinstance(noise, GaussianCov):
            db = db - db.mean(2, keepdim=True)
        for increment in db:
            fine = fine - weighted_gradient(losses, fine, h / n + scale * increment)
        x = x - weighted_gradient(losses, x, eta / n + scale * db.sum(0))
        distance = torch.maximum(distance, (x - fine).norm(dim=1))
    return CoupledPaths(x.detach(), fine.detach(), distance.detach())


def run_paths(
    losses: Losses, start: Float[Tensor, " d"], noise: Noise, eta: float, steps: int, paths: int, generator: Generator
) -> Float[Tensor, "paths d"]:
    """Independent runs of M-SGD with any noise class: where they end."""
    x = start.expand(paths, -1).clone()
    for _ in range(steps):
        x = x - eta * weighted_gradient(losses, x, noise.dense(paths, generator).to(start))
    return x.detach()
