"""Q1: the closed forms solve the Hamilton-Jacobi equation.

Discrete SGD on a quadratic has the covariance they predict.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from quasipotential.closed_forms import (
    ClosedForm,
    discrete_covariance,
    loss_dependent,
    manufactured,
    quadratic,
    separable,
    stationary_covariance,
)


@dataclass(frozen=True)
class Sizes(Settings):
    """Random points for the residuals, chains for the covariance."""

    points: int = 2000
    chains: int = 20_000
    steps: int = 400


def random_spd(rng: np.random.Generator, d: int) -> np.ndarray:
    """A symmetric positive definite matrix with condition number up to about 30."""
    q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    return q @ np.diag(np.exp(rng.uniform(-1.7, 1.7, d))) @ q.T


def forms(rng: np.random.Generator) -> dict[str, tuple[ClosedForm, int]]:
    """One closed form of each kind with its dimension."""
    f = lambda x: 1 + np.sum(x**4, -1) / 4 + np.sum(x**2, -1)  # noqa: E731
    return {
        "quadratic, d = 5": (quadratic(random_spd(rng, 5), random_spd(rng, 5)), 5),
        "one-dimensional": (separable([lambda y: y + y**3], [lambda y: 1 + 0.5 * np.sin(y)], [0.0]), 1),
        "separable, d = 3": (
            separable(
                [np.sinh, lambda y: y**3 - y, lambda y: 2 * y],
                [lambda y: 1 + 0.5 * np.sin(y), lambda y: 1 + 0.5 * np.tanh(4 * y), lambda y: np.exp(0.3 * y)],
                [0.0, -1.0, 0.0],
            ),
            3,
        ),
        "noise a function of the loss, d = 4": (loss_dependent(f, lambda x: x**3 + 2 * x, lambda s: s, np.zeros(4)), 4),
        "manufactured": (manufactured_example(), 2),
    }


def manufactured_example() -> ClosedForm:
    """``U = x^2 + y^2 / 2 + (x^2 + y^2)^2 / 8`` with a varying full diffusion and rotation."""

    def diffusion(p):
        x, y = p[..., 0], p[..., 1]
        d = np.empty((*p.shape, 2))
        d[..., 0, 0] = 1 + 0.3 * np.sin(x + y)
        d[..., 1, 1] = 1 + 0.3 * np.cos(x - y)
        d[..., 0, 1] = d[..., 1, 0] = 0.2 * np.sin(y)
        return d

    def value(p):
        return p[..., 0] ** 2 + 0.5 * p[..., 1] ** 2 + 0.125 * np.sum(p * p, -1) ** 2

    def gradient(p):
        return np.stack([2 * p[..., 0], p[..., 1]], -1) + 0.5 * np.sum(p * p, -1)[..., None] * p

    return manufactured(value, gradient, diffusion, lambda p: 1 + 0.3 * p[..., 0])


def measure(s: Sizes, job: Job) -> Values:
    """Residuals, whether the gradients belong to the values, and the covariance of simulated discrete SGD."""
    rng = np.random.default_rng(job.seed)
    residuals, slopes = {}, {}
    for name, (form, d) in forms(rng).items():
        points = rng.uniform(-1, 1, (s.points, d))
        p = form.gradient(points)
        scale = 1 + np.einsum("ni,nij,nj->n", p, np.broadcast_to(form.diffusion(points), (s.points, d, d)), p)
        residuals[name] = float(np.abs(form.residual(points) / scale).max())
        step = 1e-5 * rng.standard_normal(points.shape)
        slopes[name] = float(np.abs(form.value(points + step) - form.value(points - step) - 2 * np.sum(p * step, -1)).max())
    a, d = random_spd(rng, 3) / 3, random_spd(rng, 3)
    eta, batch = 0.1, 4
    root = np.linalg.cholesky(d / batch)
    x = np.zeros((s.chains, 3))
    steps = max(s.steps, int(6 / (eta * np.linalg.eigvalsh(a).min())))
    for _ in range(steps):
        x = x - eta * (x @ a + rng.standard_normal(x.shape) @ root.T)
    truth = discrete_covariance(a, d, eta, batch)
    products = x[:, :, None] * x[:, None, :]
    z = np.abs(products.mean(0) - truth) / (products.std(0) / np.sqrt(s.chains))
    etas = (0.04, 0.02, 0.01, 0.005)
    limit = stationary_covariance(a, d)
    gaps = [float(np.abs(discrete_covariance(a, d, e) / e - limit).max()) for e in etas]
    return {
        "residual": residuals,
        "value_minus_gradient": slopes,
        "largest_z": float(z.max()),
        "etas": list(etas),
        "gaps": gaps,
    }


def judge(values: Sequence[Values]) -> Verdict:
    """Residuals to rounding, covariance within 4.5 standard errors, first order in the step."""
    residual = max(max(v["residual"].values()) for v in values)
    slope = max(max(v["value_minus_gradient"].values()) for v in values)
    z = max(v["largest_z"] for v in values)
    order = float(np.mean([np.polyfit(np.log(v["etas"]), np.log(v["gaps"]), 1)[0] for v in values]))
    good = residual <= 1e-10 and slope <= 1e-8 and z <= 4.5 and 0.9 <= order <= 1.1
    reason = (
        f"The largest residual is {residual:.0e}; the covariance of simulated SGD is off by at most {z:.1f} standard "
        "errors, and its "
        f"distance from the limit of small steps has order {order:.2f}."
    )
    return Verdict("reproduced" if good else "not reproduced", reason, Estimate("residual", residual))


EXPERIMENTS = [
    Experiment(
        Claim(
            id="Q1",
            title="Closed forms for one minimum",
            paper="1901.06054",
            where="abstract",
            statement="For a convex loss with one minimum the quasi-potential is known in closed form and solves a "
            "Hamilton-Jacobi equation "
            "in which the noise covariance appears.",
            criterion="Five closed forms have a relative Hamilton-Jacobi residual of at most 1e-10 at random "
            "points, their gradients belong "
            "to their values, the covariance of simulated discrete SGD agrees with the discrete Lyapunov equation "
            "within 4.5 standard "
            "errors, and tends to the continuous one with order 1 in the step.",
            tolerance="Residuals are pure rounding; 4.5 standard errors over nine entries and the seeds is a false "
            "alarm in about one run in "
            "ten thousand.",
        ),
        {"smoke": Sizes(200, 2000, 100, seeds=1), "small": Sizes(seeds=3), "full": Sizes(seeds=10)},
        measure,
        judge,
    )
]
