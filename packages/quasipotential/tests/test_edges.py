"""What a user may type beside the usual: each is refused in a sentence, or comes out right, and never wrong in silence."""

import math

import numpy as np
import pytest
import torch

import quasipotential as qp
from claimkit.errors import InputError

BOX = ((-1.0, 1.0), (-1.0, 1.0))
WELLS = ((-1.6, 1.6), (-1.0, 1.0))
DISC = lambda p: np.linalg.norm(p, axis=-1) - 0.5  # noqa: E731


def double_well(p):
    return np.stack([p[..., 0] - p[..., 0] ** 3, -p[..., 1]], -1)


def bent(p):
    """Maier and Stein's drift, beta = 10: no gradient."""
    x, y = p[..., 0], p[..., 1]
    return np.stack([x - x**3 - 10 * x * y**2, -(1 + x**2) * y], -1)


def bent_jacobian(p):
    x, y = p[..., 0], p[..., 1]
    rows = [[1 - 3 * x**2 - 10 * y**2, -20 * x * y], [-2 * x * y, -(1 + x**2)]]
    return np.stack([np.stack(row, -1) for row in rows], -2)


@pytest.fixture(scope="module")
def well():
    return qp.tabulate(lambda p: -p, BOX, 65)


@pytest.fixture(scope="module")
def solved():
    return qp.solve(lambda p: -p, (0, 0), BOX, 33, stop="never")


@pytest.mark.parametrize("noise", [0.0, -0.1, math.nan, math.inf])
def test_noise_is_positive_everywhere(well, solved, noise):
    levels = qp.Wells(np.zeros((2, 2)), np.ones((2, 2)), np.array([0.5, 0.4]), (), np.zeros((2, 2, 2)))
    starts = np.zeros((1, 2))
    for ask in (
        lambda: qp.mean_exit_time(well, DISC, noise, (0, 0)),
        lambda: qp.stationary_density(well, noise),
        lambda: qp.simulate_exits(well, (0, 0), DISC, noise, paths=2),
        lambda: qp.simulate_occupancy(well, starts, lambda p: (p[..., 0] > 0).astype(int), noise, duration=1.0),
        lambda: qp.split_exits(solved, (0, 0), DISC, noise),
        lambda: qp.simulate_exits_torch(lambda x: -x, (0, 0), lambda x: x.norm(dim=-1) - 0.5, noise, paths=2),
        lambda: levels.masses(noise),
        lambda: qp.trees.log_stationary(np.array([[0.0, 1.0], [1.0, 0.0]]), noise),
    ):
        with pytest.raises(InputError, match="noise must be a positive number"):
            ask()


@pytest.mark.parametrize(
    ("region", "says"),
    [
        (lambda p: DISC(p) < 0, "truth values"),
        (lambda p: -DISC(p), "outside of the region|does not hold the attractor"),
        (lambda p: np.where(p[..., 0] > 0.7, np.nan, DISC(p)), r"not finite at \("),
        (lambda p: p[0] ** 2 + p[1] ** 2 - 0.25, r"write p\[\.\.\., 0\]|must return shape"),
        (lambda p: DISC(p)[..., None], "must return shape"),
    ],
)
def test_a_region_is_a_number_a_point_negative_around_the_attractor(well, solved, region, says):
    for ask in (
        lambda: solved.barrier(region),
        lambda: qp.mean_exit_time(well, region, 0.2, (0, 0)),
        lambda: qp.simulate_exits(well, (0, 0), region, 0.2, paths=2),
        lambda: qp.split_exits(solved, (0, 0), region, 0.02),
    ):
        with pytest.raises(InputError, match=says):
            ask()


def test_a_region_elsewhere_has_no_barrier(solved):
    with pytest.raises(InputError, match="does not hold the attractor"):
        solved.barrier(lambda p: np.linalg.norm(p - 0.6, axis=-1) - 0.2)
    with pytest.raises(InputError, match="does not hold the attractor"):
        solved.barrier(solved.mesh.points[..., 0] > 0.3)
    with pytest.raises(InputError, match="not reached"):  # it holds the attractor, and no point of the mesh
        qp.solve(lambda p: 0.03 - p, (0.03, 0.03), BOX, 33, stop="never").barrier(
            lambda p: np.linalg.norm(p - 0.03, axis=-1) - 0.02
        )
    with pytest.raises(InputError, match="shape of values"):
        solved.barrier(np.ones((3, 3), bool))


def test_a_time_is_read_inside(well):
    assert qp.mean_exit_time(well, DISC, 0.2, (0.2, 0.1)) > 0
    for point in ((0.6, 0.0), (5, 5), (0, 0, 0)):
        with pytest.raises(InputError, match="lies outside of the region or the mesh"):
            qp.mean_exit_time(well, DISC, 0.2, point)
        with pytest.raises(InputError, match="lies outside of the region or the mesh"):
            qp.simulate_exits(well, point, DISC, 0.2, paths=2)


def test_paths_that_never_left_have_no_finite_mean(well):
    stopped = qp.simulate_exits(well, (0, 0), DISC, 0.02, paths=20, longest=1.0)
    assert stopped.censored == 20
    assert stopped.mean == stopped.standard_error == math.inf
    some = qp.simulate_exits(well, (0, 0), DISC, 0.2, paths=200, longest=1.0, seed=1)
    assert 0 < some.censored < 200
    assert some.standard_error == pytest.approx(some.mean / math.sqrt(200 - some.censored))
    one = qp.simulate_exits(well, (0, 0), DISC, 0.2, paths=1)
    assert one.standard_error == one.mean == one.times[0]
    assert qp.sgd.SgdExits(np.array([5, 5]), np.array([False, False])).mean == math.inf


def test_steps_too_long_are_refused_or_named(well):
    """On ``b = -x`` Euler's method grows from steps of 2 on and its stationary variance is too large by a share h / 2."""
    from quasipotential.rates.exits import longest_step

    assert longest_step(well, np.zeros(2)) == pytest.approx(2.0)
    turning = qp.tabulate(lambda p: -p + 3 * np.stack([p[..., 1], -p[..., 0]], -1), BOX, 65)
    assert longest_step(turning, np.zeros(2)) == pytest.approx(0.2)
    assert longest_step(qp.tabulate(double_well, BOX, 65), np.zeros(2)) == math.inf
    with pytest.raises(InputError, match="Euler's method is unstable"):
        qp.simulate_exits(well, (0, 0), DISC, 0.2, paths=2, step=2.5)
    with pytest.raises(InputError, match="Euler's method is unstable"):
        qp.simulate_occupancy(turning, (0, 0), lambda p: (p[..., 0] > 0).astype(int), 0.1, duration=10.0, step=0.25)
    with pytest.warns(RuntimeWarning, match="may shorten the mean exit time by"):
        coarse = qp.simulate_exits(turning, (0, 0), DISC, 0.06, paths=500, step=0.05, seed=1)
    fine = qp.simulate_exits(turning, (0, 0), DISC, 0.06, paths=500, step=0.002, seed=1)
    assert coarse.mean < 0.7 * fine.mean


def test_paths_in_torch_start_inside_and_stay_finite():
    disc = lambda x: x.norm(dim=-1) - 0.5  # noqa: E731
    with pytest.raises(InputError, match="lies outside of the region"):
        qp.simulate_exits_torch(lambda x: -x, (5, 5), disc, 0.1, paths=5)
    with pytest.raises(InputError, match="no longer finite"):
        qp.simulate_exits_torch(lambda x: x * float("nan"), (0, 0), disc, 0.1, paths=5, longest=1.0)
    assert qp.simulate_exits_torch(lambda x: -x, (0, 0), disc, 0.01, paths=5, longest=1.0).mean == math.inf


def test_occupancy_wants_starts_labels_and_looks(well):
    side = lambda p: (p[..., 0] > 0).astype(int)  # noqa: E731
    assert qp.simulate_occupancy(well, (0, 0), side, 0.1, duration=50.0).shape == (1, 2)
    for starts, label, more, says in (
        ([[5, 0]], side, {}, "outside of the domain"),
        ([[np.nan, 0]], side, {}, "outside of the domain"),
        ([[0, 0]], lambda p: np.where(p[..., 0] > 0, 1, -1), {}, "counted from 0"),
        ([[0, 0]], lambda p: p[..., 0], {}, "counted from 0"),
        ([[0, 0]], side, {"duration": 0.01}, "Nothing is looked at"),
        ([[0, 0]], side, {"burn": -1.0}, "Nothing is looked at"),
    ):
        with pytest.raises(InputError, match=says):
            qp.simulate_occupancy(well, starts, label, 0.1, **{"duration": 5.0, **more})


@pytest.mark.parametrize(
    ("noises", "times"),
    [([0.1], [5]), ([0.1, 0.1], [5, 6]), ([0.1, -0.2], [5, 6]), ([0.1, 0.2], [np.inf, 6]), ([0.1, 0.2, 0.3], [5, 6])],
)
def test_a_slope_wants_two_noises(noises, times):
    with pytest.raises(InputError, match="two different noises"):
        qp.exit_slope(noises, times)


def test_a_result_is_never_spread_over_components():
    with pytest.raises(InputError, match="must return shape"):
        qp.minimum_action_path(lambda p: p[..., :1], np.array([[-1, 0], [0, 0.0]]))
    with pytest.raises(InputError, match="must return shape"):
        qp.solve(lambda p: -p[..., :1], (0, 0), BOX, 17)
    constant = qp.tabulate(lambda p: (1.0, -2.0), BOX, 9)
    assert (constant.drift == [1.0, -2.0]).all()


def test_a_jacobian_is_that_of_the_drift():
    ends = np.array([[-1, 0], [0, 0.0]])
    assert qp.minimum_action_path(bent, ends, jacobian=bent_jacobian).action == pytest.approx(0.34004142, abs=1e-7)
    products = (
        lambda x, v: np.einsum("nij,nj->ni", bent_jacobian(x), v),
        lambda x, p: np.einsum("nij,ni->nj", bent_jacobian(x), p),
    )
    assert qp.minimum_action_path(bent, ends, jacobian=products).action == pytest.approx(0.34004, abs=1e-4)
    for wrong in (
        lambda p: -bent_jacobian(p),
        lambda p: np.swapaxes(bent_jacobian(p), -1, -2),
        lambda p: bent_jacobian(p)[..., 0],
        (products[0], products[0]),
        (products[1], products[1]),
    ):
        with pytest.raises(InputError, match="not that of the drift"):
            qp.minimum_action_path(bent, np.array([[-1, 0], [-0.5, 0.3], [0, 0.0]]), jacobian=wrong)


def test_the_action_of_a_path_wants_a_path_and_a_matrix():
    line = np.linspace([-1.0, 0.0], [0.0, 0.0], 50)
    assert qp.geometric_action(np.repeat(line, 2, 0), double_well) == pytest.approx(0.5)
    assert qp.geometric_action(line, double_well, 2 * np.eye(2)) == pytest.approx(0.25)
    for bad in (np.linspace([-1, 0], [np.nan, 0.0], 9), np.zeros((3, 2)), np.zeros(4)):
        with pytest.raises(InputError, match="two different points"):
            qp.geometric_action(bad, double_well)
    for bad in (2.0, np.array([1.0, 2.0]), np.diag([0, 1.0]), np.array([[1, 0.5], [0, 1]]), np.eye(3)):
        with pytest.raises(InputError, match="symmetric positive definite matrix"):
            qp.geometric_action(line, double_well, bad)  # pyright: ignore[reportArgumentType]
    path = qp.minimum_action_path(double_well, line[[0, -1]])
    with pytest.raises(InputError, match=r"must be a matrix \(2, 2\)"):
        qp.transition_rate(double_well, path, diffusion=2.0)  # pyright: ignore[reportArgumentType]


def test_a_varying_diffusion_is_symmetric_and_not_negative():
    ends = np.array([[-1, 0], [0, 0.0]])
    for bad in (
        lambda p: np.broadcast_to(-np.eye(2), (len(p), 2, 2)),
        lambda p: np.broadcast_to(np.array([[1, 0.5], [0, 1]]), (len(p), 2, 2)),
        lambda p: np.full((len(p), 2, 2), np.nan),
    ):
        with pytest.raises(InputError, match="symmetric positive semidefinite"):
            qp.minimum_action_path(double_well, ends, diffusion=bad)
    assert qp.minimum_action_path(double_well, ends, diffusion=lambda p: 2 * np.eye(2)).action == pytest.approx(0.25)


def test_the_string_method_refuses_what_is_no_gradient():
    assert qp.string_path(double_well, np.array([[-1, 0], [0, 0.0]])).shape == (100, 2)
    with pytest.raises(InputError, match="is no gradient"):
        qp.string_path(bent, np.array([[-1, 0], [0, 0.0]]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"mesh": 33.5}, "whole number"),
        ({"mesh": (33, 33, 33)}, "whole number"),
        ({"domain": (-1, 1)}, "pairs of numbers"),
        ({"offsets": [np.nan]}, "all finite"),
        ({"level": -1.0}, "is not a number above"),
        ({"level": np.nan}, "is not a number above"),
        ({"diffusion": 2.0}, "not a number or a vector"),
        ({"diffusion": np.array([1.0, 2.0])}, "not a number or a vector"),
        ({"diffusion": np.eye(3)}, r"shape \(2, 2\)"),
        ({"drift": lambda p: 0 * p}, "Jacobian at .* is singular"),
        ({"drift": lambda p: (-p).astype(int)}, "Jacobian at .* is singular"),
    ],
)
def test_solve_says_what_it_cannot_take(options, says):
    given = {"drift": lambda p: -p, "attractor": (0, 0), "domain": BOX, "mesh": 17, "stop": "never", **options}
    with pytest.raises(InputError, match=says):
        qp.solve(**given)


def test_solve_in_space_says_what_it_cannot_take():
    for options, says in (
        ({"mesh": 17.5}, "whole number"),
        ({"domain": BOX}, "3 pairs of numbers"),
        ({"level": 0.0}, "is not a number above"),
    ):
        with pytest.raises(InputError, match=says):
            qp.solve_3d(**{"drift": lambda p: -p, "attractor": (0, 0, 0), "domain": ((-1, 1),) * 3, "mesh": 17, **options})


def test_zeros_on_a_line_are_not_counted_as_none():
    for drift in (lambda p: np.stack([p[..., 0], 0 * p[..., 1]], -1), lambda p: 0 * p):
        with pytest.raises(InputError, match="along a line or on an area"):
            qp.find_equilibria(drift, BOX, 33)


def test_zeros_that_the_linear_part_does_not_tell_are_called_degenerate():
    box = ((-1.0, 1.1), (-1.0, 1.1))
    for drift in (lambda p: np.stack([p[..., 1], -p[..., 0]], -1), lambda p: -(p**3), lambda p: p**3):
        assert [e.kind for e in qp.find_equilibria(drift, box, 33)] == ["degenerate"]
    kinds = [
        e.kind for e in qp.find_equilibria(lambda p: np.stack([p[..., 1], -np.sin(p[..., 0])], -1), ((-4, 4), (-1, 1.1)), 65)
    ]
    assert kinds == ["saddle", "saddle", "degenerate"]


@pytest.mark.parametrize(
    ("costs", "says"),
    [
        ([[0, -1], [1, 0]], "numbers from 0"),
        ([[0, np.nan], [1, 0]], "numbers from 0"),
        (np.ones((2, 3)), "square table"),
        ([[0, np.inf], [np.inf, 0]], "No way leads"),
        ([[0, 1, np.inf], [1, 0, np.inf], [np.inf, np.inf, 0]], "No way leads"),
    ],
)
def test_costs_between_wells_are_a_graph(costs, says):
    for ask in (qp.trees.tree_levels, qp.trees.cycle_hierarchy, lambda v: qp.trees.log_stationary(v, 0.1)):
        with pytest.raises(InputError, match=says):
            ask(np.array(costs, float))


def test_a_well_that_is_left_for_good_keeps_no_mass():
    assert qp.trees.tree_levels(np.array([[0, 1.0], [np.inf, 0]])).tolist() == [np.inf, 1.0]


def test_sgd_says_when_it_diverged_or_was_not_given_numbers():
    pull = lambda theta, index: theta[:, None, :] - np.arange(20.0)[index][..., None] / 20  # noqa: E731
    with pytest.warns(RuntimeWarning, match="5 of 5 replicas of SGD diverged"):
        qp.sgd.run_sgd(pull, 20, np.zeros((5, 1)), step=3.0, batch=2, steps=2000)
    with pytest.raises(InputError, match="integers from 0"):
        qp.sgd.run_sgd(pull, 20, np.zeros((5, 1)), step=0.1, batch=2, steps=20, label=lambda t: np.full(len(t), -1))
    draws = np.random.default_rng(0).standard_normal((50, 2))
    with pytest.raises(InputError, match="not finite"):
        qp.sgd.sgd_problem(lambda m: (m[:, None] - draws) * np.nan, BOX, 17)
    with pytest.raises(InputError, match="must not be negative"):
        qp.sgd.sgd_problem(lambda m: m[:, None] - draws, BOX, 17, -5.0)


def test_region_and_drift_may_be_torch():
    disc = qp.torch_field(lambda x: torch.linalg.norm(x, dim=-1) - 0.5)
    solved = qp.solve(qp.torch_field(lambda x: -x), (0, 0), BOX, 33, stop="never")
    assert solved.barrier(disc).value == pytest.approx(0.25, abs=1e-3)


def test_closed_forms_want_a_long_run_and_positive_numbers():
    one, saddle = np.eye(2), np.diag([1.0, -0.5])
    assert qp.closed_forms.stationary_covariance(np.diag([2.0, 0.5]), one) == pytest.approx(np.diag([0.25, 1.0]))
    for ask in (
        lambda: qp.closed_forms.stationary_covariance(saddle, one),
        lambda: qp.local.lyapunov_covariance(-saddle, one),
        lambda: qp.local.lyapunov_covariance(np.array([[0.0, 1.0], [-1.0, 0.0]]), one),
    ):
        with pytest.raises(InputError, match="does not settle"):
            ask()
    for step, batch in ((0.1, 0), (0.1, -4), (-0.1, 4)):
        with pytest.raises(InputError, match="must be a positive number"):
            qp.closed_forms.discrete_covariance(one, one, step, batch)
    density = lambda noise, points: qp.closed_forms.stationary_density_1d(lambda x: x, np.ones_like, noise, points)  # noqa: E731
    x = np.linspace(-3.0, 3.0, 201)
    assert density(0.5, x)[100] == pytest.approx(1 / math.sqrt(2 * math.pi * 0.25), rel=1e-6)
    for noise in (0.0, -0.5, math.nan):
        with pytest.raises(InputError, match="noise must be a positive number"):
            density(noise, x)
    with pytest.raises(InputError, match="that increase"):
        density(0.5, x[::-1])
