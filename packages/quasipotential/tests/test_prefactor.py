"""Transition rates: exact for gradients, unchanged by coordinates, and the exact mean exit time as the noise falls."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import closed_forms
from quasipotential.claims.escapes.rare import allen_cahn
from quasipotential.fields import difference

WELL, SADDLE, OTHER = np.array([-1.0, 0.0]), np.array([0.0, -0.4]), np.array([1.0, 0.0])


def bent_wells(rotation, diffusion=None):
    """U = (x^2 - 1)^2 / 2 + 0.7 (y - 0.4 (x^2 - 1))^2, any D, and a drift with a part along its level lines."""
    bend = lambda x: x[..., 1] - 0.4 * (x[..., 0] ** 2 - 1)  # noqa: E731
    return closed_forms.manufactured(
        lambda x: 0.5 * (x[..., 0] ** 2 - 1) ** 2 + 0.7 * bend(x) ** 2,
        lambda x: np.stack([2 * x[..., 0] * (x[..., 0] ** 2 - 1) - 1.12 * x[..., 0] * bend(x), 1.4 * bend(x)], -1),
        diffusion or (lambda x: np.broadcast_to(np.eye(2), (*x.shape[:-1], 2, 2))),
        rotation,
    )


def uneven(x):
    p, q, one = x[..., 0], x[..., 1], np.ones(x.shape[:-1])
    rows = [[1 + 0.4 * np.sin(p + q), 0.2 * one], [0.2 * one, 1 - 0.4 * np.cos(p) * q]]
    return np.stack([np.stack(row, -1) for row in rows], -1)


def exact_correction(form):
    """``int (div l + 1/2 div D . grad U) dt`` along ``x' = b + D grad U``, backwards from the saddle."""
    ahead = lambda x: form.drift(x) + np.einsum("...ij,...j", form.diffusion(x), form.gradient(x))  # noqa: E731

    def rate(x):
        spread = np.einsum("nijj,ni->n", difference(form.diffusion, x, 1e-5), form.gradient(x))
        bend = np.einsum("nij,nij->n", form.diffusion(x), difference(form.gradient, x, 1e-5))
        return np.trace(difference(form.drift, x, 1e-5), axis1=1, axis2=2) + 0.5 * bend + spread

    values, vectors = np.linalg.eig(difference(ahead, SADDLE[None], 1e-6)[0])
    away = vectors[:, values.real.argmin()].real
    back = lambda _, y: np.append(-ahead(y[None, :2])[0], rate(y[None, :2])[0])  # noqa: E731
    begin = np.append(SADDLE - 1e-4 * np.sign(away[0]) * away, 0.0)
    return solve_ivp(back, (0, 60), begin, rtol=1e-9, atol=1e-11).y[2, -1]


FORMS = {
    "node": bent_wells(lambda x: 0.5 + 0.6 * x[..., 0]),
    "focus": bent_wells(lambda x: 0.8 + 0 * x[..., 0]),
    "varying noise": bent_wells(lambda x: 0.5 + 0.3 * x[..., 0], uneven),
}


@pytest.mark.parametrize("name", FORMS)
def test_along_a_known_quasipotential_the_correction_is_known(name):
    form = FORMS[name]
    diffusion = form.diffusion if name == "varying noise" else None
    path = qp.minimum_action_path(form.drift, [WELL, SADDLE], diffusion=diffusion)
    got = qp.transition_rate(form.drift, path, diffusion=diffusion)
    exact = exact_correction(form)
    assert abs(got.correction - exact) <= got.prefactor_error < 0.005
    hessians = difference(form.gradient, np.stack([WELL, SADDLE]), 1e-5)
    growth = np.linalg.eigvals(difference(form.drift, SADDLE[None], 1e-5)[0]).real.max()
    known = growth / (2 * math.pi) * math.sqrt(-np.linalg.det(hessians[0]) / np.linalg.det(hessians[1])) * math.exp(-exact)
    assert got.prefactor == pytest.approx(known, rel=0.005)
    assert got.barrier == pytest.approx(0.5, abs=1e-6)


def test_a_gradient_drift_has_the_rate_of_eyring_and_kramers():
    drift, ends, exact = allen_cahn(10, 0.1)
    path = qp.minimum_action_path(drift, ends)
    got = qp.transition_rate(drift, path)
    spectra = [np.linalg.eigvalsh(difference(drift, end[None], 1e-5)[0]) for end in ends]
    known = spectra[1].max() / (2 * math.pi) * math.sqrt(np.prod(-spectra[0]) / np.prod(np.abs(spectra[1])))
    assert got.prefactor == pytest.approx(known, rel=2e-4)  # forward differences in ten dimensions
    assert got.correction == 0
    assert got.rate(0.2) == pytest.approx(known * math.exp(-exact / 0.2), rel=got.relative_error(0.2) + 2e-4)
    assert got.mean_exit_time(0.2) == 0.5 / got.rate(0.2)
    assert got.relative_error(0.2) > got.prefactor_error


@pytest.mark.parametrize("varies", [False, True])
def test_rates_do_not_depend_on_the_coordinates(varies):
    drift, ends, _ = allen_cahn(3, 0.1)
    plain = qp.transition_rate(drift, qp.minimum_action_path(drift, ends))
    turn = np.array([[1.0, 0.4, 0.0], [-0.2, 1.3, 0.3], [0.1, 0.0, 0.7]])
    back = np.linalg.inv(turn)
    sheared = lambda y: drift(y @ back.T) @ turn.T  # noqa: E731
    noise = (lambda y: np.broadcast_to(turn @ turn.T, (*y.shape[:-1], 3, 3))) if varies else turn @ turn.T
    path = qp.minimum_action_path(sheared, ends @ turn.T, diffusion=noise)
    got = qp.transition_rate(sheared, path, diffusion=noise)
    assert abs(got.correction) <= got.prefactor_error < 0.01
    assert got.prefactor == pytest.approx(plain.prefactor, rel=0.005)
    assert got.growth == pytest.approx(plain.growth, rel=1e-6)


def test_mean_exit_times_of_a_field_that_is_no_gradient():
    form = FORMS["varying noise"]
    path = qp.minimum_action_path(form.drift, [WELL, SADDLE], diffusion=form.diffusion)
    got = qp.transition_rate(form.drift, path, diffusion=form.diffusion)
    problem = qp.tabulate(form.drift, ((-1.7, 1.4), (-1.5, 1.4)), 449, form.diffusion)
    arrived = lambda p: 0.3 - np.linalg.norm(p - OTHER, axis=-1)  # noqa: E731
    ratios = [float(qp.mean_exit_time(problem, arrived, 0.5 / k, WELL)) * got.rate(0.5 / k) for k in (8, 15)]
    assert ratios[0] == pytest.approx(1.0117, abs=0.006)  # what is left falls like eps
    assert ratios[1] == pytest.approx(1, abs=0.01)
    assert abs(ratios[1] - 1) < abs(ratios[0] - 1)


def skewed(a, mu):
    """Maier and Stein's field with another ratio of its rates at the saddle."""
    return lambda p: np.stack(
        [p[..., 0] - p[..., 0] ** 3 - a * p[..., 0] * p[..., 1] ** 2, -mu * (1 + p[..., 0] ** 2) * p[..., 1]], -1
    )


def flat_saddle(p):
    return np.stack([p[..., 0] ** 3 * (1 - p[..., 0] ** 2), -p[..., 1]], -1)


def found(drift, ends, **options):
    return qp.transition_rate(drift, qp.minimum_action_path(drift, ends, **options), **options)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: found(skewed(2, 0.5), [[-1, 0], [0, 0]]), "arrives along the basin's boundary"),
        (lambda: found(skewed(2, 1), [[-1, 0], [-0.5, 0.1]]), "does not vanish"),
        (lambda: found(lambda p: np.stack([-p[..., 0], -p[..., 1]], -1), [[0, 0], [0.5, 0]]), "does not vanish"),
        (lambda: found(flat_saddle, [[-1, 0], [0, 0]]), "degenerate"),
        (lambda: found(allen_cahn(3)[0], allen_cahn(3)[1]), "over another equilibrium"),
        (lambda: found(lambda p: -p * (1 - p) * (2 - p), [[0.0, 0.0], [1.0, 1.0]]), "one unstable direction"),
        (
            lambda: found(lambda p: np.stack([p[..., 1], p[..., 0] - p[..., 0] ** 3 - p[..., 1]], -1), [[-1, 0], [0, 0]],
                          diffusion=np.diag([0.0, 1.0])),
            "singular on the path",
        ),
    ],
)  # fmt: skip
def test_where_the_formula_does_not_hold_it_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


@pytest.mark.filterwarnings("ignore:The minimum action path did not converge")
def test_an_unfinished_path_has_no_rate():
    drift = skewed(10, 1)
    path = qp.minimum_action_path(drift, [[-1, 0], [-0.5, 0.3], [0, 0]], images=40, iterations=1)
    with pytest.raises(InputError, match="did not converge"):
        qp.transition_rate(drift, path)


def test_a_path_of_another_system_or_no_noise_is_refused():
    drift = skewed(1, 1)
    path = qp.minimum_action_path(drift, [[-1, 0], [0, 0]])
    got = qp.transition_rate(drift, path)
    for call in (
        lambda: qp.transition_rate(lambda p: 2 * drift(p), path),
        lambda: qp.transition_rate(drift, path, diffusion=np.diag([2.0, 1.0])),
    ):
        with pytest.raises(InputError, match=r"another drift or noise: its action is 0\.5"):
            call()
    for noise in (0.0, -0.1, math.nan, 1e-4):
        with pytest.raises(InputError, match="eps must be positive"):
            got.mean_exit_time(noise)
