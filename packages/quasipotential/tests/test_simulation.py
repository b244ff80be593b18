"""Statistical tests: n, seed and tolerance in standard errors are stated in each."""

import numpy as np
import pytest
from scipy import stats

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import systems
from quasipotential.closed_forms import stationary_density_1d
from quasipotential.rates.random import normals
from quasipotential.sgd import NoisyRegression, gradient_covariance, run_sgd, sgd_exits, sgd_problem

A = np.diag([2.0, 0.5])


def region(p):
    return 0.5 * np.einsum("...i,ij,...j", p, A, p) - 1


def ball(radius):
    return lambda p: np.linalg.norm(p, axis=-1) - radius


def test_normal_numbers_are_normal():
    x = normals(1, 2, 1_000_000)
    assert stats.kstest(x, "norm").pvalue > 1e-4
    assert (np.abs(x) > 3.6541528853610088).mean() == pytest.approx(
        2 * stats.norm.sf(3.6541528853610088), abs=4 * np.sqrt(2.6e-4 / 1e6)
    )
    assert abs(np.corrcoef(x, normals(1, 3, 1_000_000))[0, 1]) < 4e-3


def test_exit_times_agree_with_the_elliptic_equation():
    problem = qp.tabulate(lambda p: -p @ A, ((-1.15, 1.15), (-2.25, 2.25)), 193, np.diag([1.8, 0.2]))
    exits = qp.simulate_exits(problem, (0, 0), region, 0.5, paths=4000, step=0.002, seed=5)
    exact = qp.mean_exit_time(problem, region, 0.5, (0, 0))
    assert abs(exits.mean - exact) < 4 * exits.standard_error
    assert exits.censored == 0


TURNED = 0.6


def turned_problem():
    """The problem above with noise ``diag(1.8, 0.2)`` and everything turned by an angle: D has off-diagonal entries."""
    turn = np.array([[np.cos(TURNED), -np.sin(TURNED)], [np.sin(TURNED), np.cos(TURNED)]])
    d = turn @ np.diag([1.8, 0.2]) @ turn.T
    box = ((-2.3, 2.3), (-2.3, 2.3))
    return qp.tabulate(lambda p: -p @ (turn @ A @ turn.T), box, 193, d), lambda p: region(p @ turn)


def test_exit_times_do_not_depend_on_the_axes():
    straight = qp.tabulate(lambda p: -p @ A, ((-1.15, 1.15), (-2.25, 2.25)), 193, np.diag([1.8, 0.2]))
    exact = qp.mean_exit_time(straight, region, 0.5, (0, 0))
    problem, turned = turned_problem()
    assert qp.mean_exit_time(problem, turned, 0.5, (0, 0)) == pytest.approx(exact, rel=0.01)
    exits = qp.simulate_exits(problem, (0, 0), turned, 0.5, paths=4000, step=0.002, seed=6)
    assert abs(exits.mean - exact) < 4 * exits.standard_error


def test_paths_are_reproducible_and_can_be_continued():
    problem = qp.tabulate(lambda p: -p, ((-1, 1), (-1, 1)), 33)
    disc = ball(0.5)
    whole = qp.simulate_exits(problem, (0, 0), disc, 0.5, paths=40, seed=1)
    part = qp.simulate_exits(problem, (0, 0), disc, 0.5, paths=20, seed=1, first=20)
    np.testing.assert_array_equal(whole.times[20:], part.times)
    stopped = qp.simulate_exits(problem, (0, 0), disc, 0.01, paths=10, seed=1, longest=1.0)
    assert stopped.censored > 0


def test_mean_exit_time_of_brownian_motion_from_a_disc_is_second_order():
    disc = ball(0.8)
    errors = []
    for n in (33, 65, 129):
        problem = qp.tabulate(lambda p: 0 * p, ((-1, 1), (-1, 1)), n)
        errors.append(abs(qp.mean_exit_time(problem, disc, 0.5, (0, 0)) - 0.64))
    assert errors[-1] < 1e-3


def test_stationary_density_marginal_is_the_one_dimensional_formula():
    system = systems.two_wells()
    problem = qp.tabulate(system.drift, system.domain, 129, system.diffusion)
    density = qp.stationary_density(problem, 0.2)
    x = problem.mesh.points[0, :, 0]
    marginal = density.sum(0) * problem.mesh.spacing[1]
    exact = stationary_density_1d(lambda y: y**3 - y, lambda y: 1 + 0.5 * np.tanh(4 * y), 0.2, x)
    np.testing.assert_allclose(marginal, exact, atol=0.01 * exact.max())


def test_occupancy_agrees_with_the_stationary_density():
    system = systems.two_wells()
    problem = qp.tabulate(system.drift, ((-2.5, 2.5), (-2.5, 2.5)), 97, system.diffusion)
    shares = qp.simulate_occupancy(
        problem,
        np.repeat(system.attractors, 200, 0),
        lambda p: (p[..., 0] > 0).astype(int),
        0.4,
        duration=100,
        burn=50,
        step=0.01,
        seed=2,
    )[:, 0]
    x = np.linspace(-2.5, 2.5, 2001)
    exact = stationary_density_1d(lambda y: y**3 - y, lambda y: 1 + 0.5 * np.tanh(4 * y), 0.4, x)
    left = np.trapezoid(exact[:1001], x[:1001])
    assert abs(shares.mean() - left) < 4 * shares.std(ddof=1) / 20 + 0.003


def test_exit_slope_removes_the_prefactor():
    noise = np.array([0.3, 0.2, 0.1])
    assert qp.exit_slope(noise, 3 * noise**0.5 * np.exp(1.2 / noise), 1.0) == pytest.approx(1.2)


def test_gradient_covariance_is_that_of_the_samples():
    g = np.random.default_rng(0).standard_normal((3, 50, 2))
    np.testing.assert_allclose(gradient_covariance(g)[1], np.cov(g[1].T, bias=True), atol=1e-12)


def test_the_regression_has_two_wells_of_equal_loss_and_unequal_noise():
    model = NoisyRegression()
    wells = model.wells()
    assert model.loss(wells)[0] == pytest.approx(model.loss(wells)[1], abs=1e-14)
    h = 1e-6
    slope = (model.loss(np.array([1.3 + h, 0.4])) - model.loss(np.array([1.3 - h, 0.4]))) / (2 * h)
    assert model.gradients(np.array([[1.3, 0.4]])).mean(1)[0, 0] == pytest.approx(float(slope), rel=1e-8)
    covariance = gradient_covariance(model.gradients(wells))
    assert covariance[1, 0, 0] > 2 * covariance[0, 0, 0]
    problem = sgd_problem(model.gradients, ((-6, 6), (-4, 4)), 33)
    np.testing.assert_allclose(problem.drift[32, 32], 0, atol=1e-12)


def test_sgd_on_a_quadratic_has_the_discrete_lyapunov_covariance():
    points = np.random.default_rng(1).standard_normal((20, 2)) * [1.0, 0.3]
    points -= points.mean(0)
    end, _ = run_sgd(lambda t, i: t[:, None, :] - points[i], 20, np.zeros((20_000, 2)), step=0.1, batch=2, steps=150, seed=3)
    exact = qp.closed_forms.discrete_covariance(np.eye(2), np.cov(points.T, bias=True), 0.1, 2)
    assert np.abs(end.var(0) - np.diag(exact)).max() < 4.5 * np.sqrt(2 / 20_000) * np.diag(exact).max()


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_momentum_has_its_covariance_in_closed_form(momentum):
    a, d, eta, b = 1.7, 0.6, 0.2, 3
    exact = eta * d / (b * a) * (1 + momentum) / ((1 - momentum) * (2 * (1 + momentum) - eta * a))
    got = qp.closed_forms.discrete_covariance(np.array([[a]]), np.array([[d]]), eta, b, momentum)
    assert float(got[0, 0]) == pytest.approx(exact, rel=1e-12)
    points = np.random.default_rng(1).standard_normal((20, 2)) * [1.0, 0.3]
    points -= points.mean(0)
    hessian = np.diag([1.7, 0.4])
    end, _ = run_sgd(
        lambda t, i: t @ hessian - points[i].mean(1), 20, np.zeros((8000, 2)), step=eta, batch=b, steps=200, seed=4,
        momentum=momentum,
    )  # fmt: skip
    exact = np.diag(qp.closed_forms.discrete_covariance(hessian, np.cov(points.T, bias=True), eta, b, momentum))
    assert np.abs(end.var(0) / exact - 1).max() < 4.5 * np.sqrt(2 / 8000)


def test_epochs_draw_every_sample_once_and_leave_the_noise_that_their_correlations_leave():
    seen = []
    run_sgd(lambda t, i: (seen.append(i), t)[1], 7, np.zeros((3, 1)), step=0.1, batch=2, steps=6, epochs=True)
    for epoch in (np.concatenate(seen[:3], 1), np.concatenate(seen[3:], 1)):
        assert all(len(set(row)) == 6 for row in epoch)  # the seventh is a short batch
    points = np.random.default_rng(2).standard_normal(6)
    points -= points.mean()
    eta, b, m = 0.3, 2, 3
    end, _ = run_sgd(
        lambda t, i: t[:, None, :] - points[i][..., None], 6, np.zeros((20_000, 1)), step=eta, batch=b, steps=20 * m, seed=5,
        epochs=True,
    )  # fmt: skip
    weights = eta * (1 - eta) ** np.arange(m - 1, -1, -1)
    c = points.var()
    between = np.where(np.eye(m) > 0, (6 - b) / (b * 5) * c, -c / 5)  # covariance of the means of two batches of an epoch
    exact = weights @ between @ weights / (1 - (1 - eta) ** (2 * m))
    assert abs(end.var() / exact - 1) < 4.5 * np.sqrt(2 / 20_000)


def test_exits_of_sgd_are_the_first_ones_and_those_that_stay_are_counted_as_such():
    jump = lambda t, i: -(i[..., None] == 0).astype(float)  # noqa: E731 - leaves with chance 1/4 a step
    found = sgd_exits(jump, 4, np.zeros((4000, 1)), lambda t: t[:, 0] - 0.5, step=1.0, batch=1, most=6, seed=1)
    assert not found.left.all()
    assert (found.steps[~found.left] == 6).all()
    assert abs(found.mean - 4) < 4.5 * found.standard_error  # of all, though none took more than six
    assert found.standard_error == pytest.approx(found.mean / np.sqrt(found.left.sum()))
    momentum = sgd_exits(lambda t, i: -np.ones_like(t), 4, np.array([[0.0], [0.4]]), lambda t: t[:, 0] - 1, step=0.1,
                         batch=1, most=50, momentum=0.5)  # fmt: skip
    assert momentum.steps.tolist() == [6, 4]  # 0.1, 0.25, 0.425, 0.6125, 0.806, 1.003: and 0.4 more
    with pytest.raises(InputError, match="outside of the region"):
        sgd_exits(jump, 4, np.ones((2, 1)), lambda t: t[:, 0] - 0.5, step=1.0, batch=1, most=6)
    with pytest.raises(InputError, match="batch from 1"):
        run_sgd(jump, 4, np.zeros((2, 1)), step=1.0, batch=5, steps=1, epochs=True)


def test_momentum_of_one_and_a_step_that_is_no_number_are_refused():
    for momentum in (1.0, -0.1):
        with pytest.raises(InputError, match="momentum must lie in"):
            qp.closed_forms.discrete_covariance(np.eye(1), np.eye(1), 0.4, 5, momentum)
    with pytest.raises(InputError, match="step > 0"):
        run_sgd(lambda t, i: t, 5, np.zeros((2, 1)), step=np.nan, batch=1, steps=2)
