"""Minimum action paths: known barriers from every kind of guess, in any dimension, with any noise."""

import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import closed_forms, systems
from quasipotential.claims.escapes.rare import allen_cahn
from quasipotential.claims.solvers.ladder import varying
from quasipotential.paths.action import minimum_action_path
from quasipotential.paths.characteristics import Characteristics
from quasipotential.paths.guesses import string_path
from quasipotential.paths.relax import geometric_action

MAIER_STEIN = systems.maier_stein(10.0)


def langevin(p):
    return np.stack([p[..., 1], p[..., 0] - p[..., 0] ** 3 - p[..., 1]], -1)


@pytest.mark.parametrize(
    "guess",
    [
        [[-1, 0], [0, 0]],
        [[-1, 0], [-0.5, 0.3], [0, 0]],
        [[-1, 0], [-0.5, -0.4], [0, 0]],
        [[-1, 0], [-0.7, 0.2], [-0.4, 0.25], [-0.1, 0.1], [0, 0]],
    ],
)
def test_every_guess_of_maier_stein_leads_off_the_axis(guess):
    got = qp.minimum_action_path(MAIER_STEIN.drift, guess)
    assert got.converged
    assert abs(got.action - 0.3400414) < 1e-6 + got.error
    assert got.error < 1e-4
    assert (np.diff(got.history) < 0).all()
    steps = np.linalg.norm(np.diff(got.points, axis=0), axis=1)
    assert steps.std() < 1e-3 * steps.mean()


def test_a_guess_on_the_axis_is_used_as_given_and_stays_there():
    straight = [[-1, 0], [-0.5, 0], [0, 0]]
    assert qp.minimum_action_path(MAIER_STEIN.drift, straight).action == pytest.approx(0.5, abs=1e-6)


def test_a_stiff_gradient_system_in_ten_dimensions_costs_twice_its_climb():
    drift, ends, exact = allen_cahn(10)
    got = qp.minimum_action_path(drift, ends)
    assert got.converged
    assert abs(got.action / exact - 1) < 1e-4
    assert abs(got.action - exact) < got.error
    assert qp.geometric_action(string_path(drift, ends), drift) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("friction", [1.0, 0.3])
def test_singular_noise_has_the_barrier_of_twice_the_energy(friction):
    drift = lambda p: np.stack([p[..., 1], p[..., 0] - p[..., 0] ** 3 - friction * p[..., 1]], -1)  # noqa: E731
    got = qp.minimum_action_path(drift, [[-1, 0], [0, 0]], diffusion=np.diag([0.0, 1.0]))
    assert got.converged
    assert got.action == pytest.approx(0.5 * friction, rel=2e-5)
    assert abs(got.action - 0.5 * friction) < got.error
    assert "singular" in got.reason


def test_singular_noise_may_vary():
    rub = lambda p: 1 + 0.5 * np.sin(2 * p[..., 0])  # noqa: E731
    drift = lambda p: np.stack([p[..., 1], p[..., 0] - p[..., 0] ** 3 - rub(p) * p[..., 1]], -1)  # noqa: E731
    noise = lambda p: np.diag([0.0, 1.0]) * rub(p)[..., None, None]  # noqa: E731
    got = qp.minimum_action_path(drift, [[-1, 0], [-0.3, 0.4]], diffusion=noise)  # D = friction: U is twice the energy
    assert got.action == pytest.approx(0.4**2 + 0.5 * (0.3**2 - 1) ** 2, rel=1e-5)


def test_noise_that_reaches_a_coordinate_through_two_others_has_the_action_of_its_closed_form():
    chain = np.array([[0, 1, 0], [0, 0, 1], [-1, -2, -2.0]])
    noise, end = np.diag([0, 0, 1.0]), np.array([0.5, 0.3, -0.2])
    got = qp.minimum_action_path(lambda p: p @ chain.T, [np.zeros(3), end], diffusion=noise)
    q = qp.local.lyapunov_covariance(chain, noise)
    assert got.action == pytest.approx(0.5 * end @ np.linalg.solve(q, end), rel=1e-7)
    with pytest.raises(InputError, match="does not reach every direction"):
        qp.minimum_action_path(lambda p: -p, [np.zeros(3), end], diffusion=noise)
    with pytest.raises(InputError, match="must start at a stable equilibrium"):
        qp.minimum_action_path(lambda p: p @ chain.T, [end, np.zeros(3)], diffusion=noise)


@pytest.mark.parametrize("name", list(varying()))
def test_noise_that_varies_and_turns_has_the_action_of_its_closed_form(name):
    form, start, _ = varying()[name]
    end = np.array([0.6, -0.5])
    got = qp.minimum_action_path(form.drift, [start, end], diffusion=form.diffusion)
    assert abs(got.action / float(form.value(end)) - 1) < 5e-4


def test_guesses_on_which_the_noise_is_not_defined_are_left_out():
    noise = lambda p: np.eye(2) * np.where(np.abs(p[..., :1, None]) < 1.2, 1.0, -1.0) * np.ones((*p.shape[:-1], 1, 1))  # noqa: E731
    turn = lambda p: -p - 3 * np.stack([-p[..., 1], p[..., 0]], -1)  # noqa: E731
    got = qp.minimum_action_path(turn, [[0, 0], [0, 1.2]], diffusion=noise)
    assert got.action == pytest.approx(1.44, rel=1e-3)


def test_constant_noise_that_is_not_diagonal():
    a, d = np.array([[2.0, 0.5], [-0.3, 1.0]]), np.array([[1.5, 0.6], [0.6, 0.7]])
    q = qp.local.lyapunov_covariance(-a, d)
    end = np.array([0.7, -0.4])
    got = qp.minimum_action_path(lambda x: -x @ a.T, [np.zeros(2), end], diffusion=d)
    assert got.action == pytest.approx(0.5 * end @ np.linalg.solve(q, end), rel=1e-4)


@pytest.mark.parametrize(
    ("system", "ends"),
    [(systems.cubic(rotation=3.0), [[0, 0], [0.5, 0.5]]), (systems.rotating_well(3.0), [[-1, 0], [0, 0]])],
    ids=lambda value: getattr(value, "name", ""),
)
def test_around_a_focus_the_path_makes_its_turns(system, ends):
    got = qp.minimum_action_path(system.drift, ends)
    exact = float(system.exact(np.array(ends[1])))
    assert got.action == pytest.approx(exact, rel=1e-3)
    assert abs(got.action - exact) <= got.error


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: qp.minimum_action_path(langevin, [[-1, 0], [0, 0]], images=2), "at least 5 images"),
        (lambda: qp.minimum_action_path(langevin, [[0, 0]]), "two finite points"),
        (lambda: qp.minimum_action_path(langevin, [[0, 0], [0, 0]]), "same point"),
        (lambda: qp.minimum_action_path(langevin, [[-1, 0], [0, 0]], diffusion=np.diag([-1.0, 1])), "semidefinite"),
        (lambda: qp.minimum_action_path(langevin, [[-1, 0], [0, 0]], diffusion=np.eye(3)), r"must be \(2, 2\)"),
        (lambda: qp.minimum_action_path(lambda p: p[..., 0], [[-1, 0], [0, 0]]), "must return shape"),
        (lambda: string_path(lambda p: p @ np.array([[-1, 9.0], [-9, -1]]), [[1, 0], [0, 1]], iterations=20), "still moves"),
    ],
)
def test_what_cannot_be_used_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_an_unfinished_path_says_so():
    with pytest.warns(RuntimeWarning, match="did not converge: 1 steps did not suffice"):
        got = qp.minimum_action_path(MAIER_STEIN.drift, [[-1, 0], [-0.5, 0.3], [0, 0]], images=40, iterations=1)
    assert not got.converged


def test_closed_forms_in_three_dimensions():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((3, 3))
    a, d = root @ root.T + np.eye(3), np.diag([1.0, 0.3, 2.0])
    form = closed_forms.quadratic(a, d)
    end = np.array([0.4, -0.2, 0.3])
    got = qp.minimum_action_path(form.drift, [np.zeros(3), end], diffusion=d)
    assert got.action == pytest.approx(float(form.value(end)), rel=2e-4)


@pytest.mark.parametrize(
    ("system", "ends", "within"),
    [
        (systems.rotating_well(3.0), [[-1, 0], [0, 0]], 1e-5),
        (systems.rotating_well(10.0), [[-1, 0], [0, 0]], 5e-4),
        (systems.rotating_well(30.0), [[-1, 0], [0, 0]], 0.05),
        (systems.cubic(rotation=10.0), [[0, 0], [0.5, 0.5]], 2e-4),
    ],
    ids=["3", "10", "30", "cubic 10"],
)
def test_the_turns_around_a_focus_are_made_and_what_is_still_missing_is_in_the_error(system, ends, within):
    got = qp.minimum_action_path(system.drift, ends)
    exact = float(system.exact(np.array(ends[1])))
    assert 0 < got.action / exact - 1 < within
    assert got.action - exact <= got.error
    assert got.action == pytest.approx(qp.geometric_action(got.points, system.drift), rel=1e-12)
    assert (np.linalg.norm(np.diff(got.points, axis=0), axis=1) > 0).all()


def well(p):
    return np.stack([p[..., 0] - p[..., 0] ** 3, -p[..., 1]], -1)


def half(p):
    """The same drift, which ends at x = -0.3."""
    return np.where(p[..., :1] > -0.3, np.nan, well(p))


def half_noise(p):
    """D, indefinite from x = -0.5 on."""
    return np.where(p[..., :1, None] > -0.5, np.diag([1.0, -1.0]), np.eye(2))


@pytest.mark.parametrize(
    ("drift", "diffusion", "sentence"),
    [
        (well, np.array([[1.0, 2.0], [2.0, 1.0]]), r"not symmetric positive definite at \(-0\.9.*: it is \[\[1\.0, 2\.0\]"),
        (well, np.array([[1.0, 0.5], [0.0, 1.0]]), r"not symmetric positive definite at"),
        (well, np.full((2, 2), np.nan), r"not symmetric positive definite at"),
        (lambda p: np.full_like(p, np.nan), None, r"The drift is not finite at \(-0\.9.*: it is \[nan, nan\]; next to the"),
    ],
)
def test_fields_that_are_none_next_to_the_attractor_are_refused_with_the_place(drift, diffusion, sentence):
    """An indefinite D gave a U below zero without a word."""
    with pytest.raises(InputError, match=sentence):
        Characteristics(drift, (-1.0, 0.0), diffusion)


@pytest.mark.parametrize(("drift", "diffusion"), [(half, None), (well, half_noise)])
def test_characteristics_end_where_a_field_does_and_say_so(drift, diffusion):
    """A shot beyond the end was undecided after 20 to 40 seconds; one before it finds the value of the whole field."""
    shots, calls = Characteristics(drift, (-1.0, 0.0), diffusion), []
    if diffusion is None:
        assert shots.shoot((-0.7, 0.1)).value == pytest.approx(0.14005, rel=1e-9)  # (x^2 - 1)^2 / 2 + y^2
    shots._drift = lambda x, plain=shots._drift: calls.append(1) or plain(x)
    with pytest.raises(InputError, match=r"comes near \(-0\.1, 0\.1\)\. The (drift|diffusion) is not .* at \("):
        shots.shoot((-0.1, 0.1))
    assert len(calls) < 2e4  # 9 * 1600 of them for the fan that the guess is from


def test_a_drift_that_is_not_finite_is_named_with_the_place_by_every_path():
    ends = np.array([[-1.0, 0.0], [1.0, 0.0]])
    for call in (minimum_action_path, string_path, lambda b, path: geometric_action(np.linspace(*path, 30), b)):
        with pytest.raises(InputError, match=r"The drift is not finite .*\(-0\.2\d+, 0\)"):
            call(half, ends)
