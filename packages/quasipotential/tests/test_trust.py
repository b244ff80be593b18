"""Nothing impossible and nothing silent: regions past the mesh, error estimates, noise that the mesh cannot resolve."""

import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import closed_forms, systems
from quasipotential.claims.solvers.ladder import varying
from quasipotential.claims.solvers.trust import fresh

BOX = ((-1, 1), (-1, 1))


def box_region(x, y):
    return lambda p: np.maximum(np.abs(p[..., 0]) - x, np.abs(p[..., 1]) - y)


def test_a_region_that_the_mesh_cuts_has_no_barrier():
    solution = qp.solve(lambda p: -p * np.array([1, 0.1]), (0, 0), BOX, 65, stop="never")
    with pytest.raises(InputError, match=r"past the mesh at \(0, -?1\), where U is 0\.1\d*: its barrier lies between"):
        solution.barrier(box_region(0.8, 1.5))
    inside = solution.barrier(box_region(0.8, 0.9))
    assert abs(inside.value - 0.081) <= inside.error + 1e-12
    assert inside.error < 1e-3
    # cut by the edge, but only where U lies above the barrier
    assert solution.barrier(box_region(1.5, 0.5)).value == pytest.approx(0.025, rel=1e-3)


def test_values_above_the_lowest_of_the_edge_are_not_trusted():
    solution = qp.solve(lambda p: -p * np.array([1, 0.1]), (0, 0), BOX, 65, stop="never")
    exact = solution.mesh.points[..., 0] ** 2 + 0.1 * solution.mesh.points[..., 1] ** 2
    assert solution.edge_level == pytest.approx(0.1, rel=1e-3)
    np.testing.assert_array_equal(solution.trusted, solution.values <= solution.edge_level)
    assert (exact[~solution.trusted] > 0.099).all()
    stopped = qp.solve(lambda p: -p, (0, 0), BOX, 65)
    assert stopped.trusted.sum() == np.isfinite(stopped.values).sum()


def fields():
    well, shift = systems.rotating_well(), np.array([0.0137, -0.0191])
    for system in (systems.linear(1.0), systems.linear(10.0), systems.limit_cycle(4.0), systems.cubic(rotation=10.0), well):
        yield system.name, system.drift, system.attractors[0], system.domain, None, system.exact
    yield (
        "moved",
        lambda p: well.drift(p - shift),
        well.attractors[0] + shift,
        well.domain,
        None,
        lambda p: well.exact(p - shift),
    )
    for name, (form, start, domain) in varying().items():
        yield name, form.drift, start, domain, form.diffusion, form.value


@pytest.mark.parametrize("case", list(fields()), ids=lambda case: case[0])
@pytest.mark.parametrize("method", ["jet", "olim"])
def test_the_error_estimate_covers_the_true_error(case, method):
    _, drift, start, domain, diffusion, exact = case
    solution = qp.solve(drift, start, domain, 97, diffusion=diffusion, method=method)
    true = np.abs(solution.values - exact(solution.mesh.points))
    known = np.isfinite(solution.values)
    assert np.mean(true[known] <= solution.error[known] + 1e-12) >= 0.95
    assert np.isnan(solution.error[~known]).all()


@pytest.mark.parametrize("name", list(fresh()))
def test_the_fields_of_the_coverage_claim_are_solved_by_what_they_say(name):
    (drift, diffusion, value), start, domain = fresh()[name]
    x = np.random.default_rng(0).uniform(*np.array(domain).T, (50, 2))
    h = 1e-5
    p = np.stack([value(x + h * e) - value(x - h * e) for e in np.eye(2)], -1) / (2 * h)
    d = np.eye(2) if diffusion is None else diffusion(x)
    residual = 0.5 * np.einsum("...i,...ij,...j", p, np.broadcast_to(d, (*x.shape, 2)), p) + np.sum(drift(x) * p, -1)
    np.testing.assert_allclose(residual, 0, atol=1e-7 * np.abs(drift(x)).max() * np.abs(p).max())
    assert np.abs(drift(np.array(start))).max() < 1e-12


def test_the_error_estimate_wants_an_odd_mesh():
    solution = qp.solve(lambda p: -p, (0, 0), BOX, 64)
    with pytest.raises(InputError, match="odd numbers, not 64 x 64"):
        _ = solution.error
    assert np.isnan(solution.barrier(box_region(0.5, 0.5)).error)


def langevin(p):
    return np.stack([p[..., 1], p[..., 0] - p[..., 0] ** 3 - p[..., 1]], -1)


@pytest.mark.parametrize(
    ("small", "method", "words"),
    [
        (1e-4, "jet", r"100 times as long as wide, and jet bears 5.*more points along x.*minimum_action_path"),
        (1e-2, "jet", "use method='olim'"),
        (1e-12, "olim", "olim bears 20"),
        (0.0, "jet", "positive definite.*minimum_action_path"),
    ],
)
def test_noise_too_anisotropic_for_the_mesh_is_refused(small, method, words):
    with pytest.raises(InputError, match=words):
        qp.solve(langevin, (-1, 0), ((-1.9, 0.6), (-1.25, 1.25)), 65, diffusion=np.diag([small, 1]), method=method)


def test_a_mesh_that_fits_the_noise_is_taken():
    drift = np.array([[-1.0, 1.0], [-2.0, -1.0]])
    noise = np.diag([0.04, 1.0])
    form = closed_forms.quadratic(np.eye(2), np.eye(2))
    assert form.residual(np.ones((1, 2)))[0] == 0
    q = np.linalg.inv(qp.local.lyapunov_covariance(drift, noise))
    solution = qp.solve(lambda p: p @ drift.T, (0, 0), BOX, (161, 33), diffusion=noise, stop="never", start="linear")
    exact = 0.5 * np.einsum("...i,ij,...j", solution.mesh.points, q, solution.mesh.points)
    error = np.abs(solution.values - exact)[solution.trusted]
    assert error.max() < 0.02 * solution.edge_level


def test_a_drift_that_unpacks_its_points_is_told_how_to_read_them():
    def unpacks(p):
        x, y = p
        return [x - x**3, -y]

    with pytest.raises(InputError, match=r"write p\[\.\.\., 0\]"):
        qp.solve(unpacks, (-1, 0), ((-2, 0.5), (-1, 1)), 33)
    with pytest.raises(InputError, match=r"write p\[\.\.\., 0\]"):
        qp.minimum_action_path(unpacks, [(-1, 0), (0, 0)])


def test_exits_start_inside_and_cost_is_known_before():
    solution = qp.solve(lambda p: -p, (0, 0), BOX, 33)
    disc = lambda p: np.linalg.norm(p, axis=-1) - 0.5  # noqa: E731
    for start in ((5, 5), (0.8, 0)):
        with pytest.raises(InputError, match="outside of the region or the mesh"):
            qp.simulate_exits(solution, start, disc, 0.1)
    with pytest.raises(InputError, match=r"of the order e\^25\d"):
        qp.simulate_exits(solution, (0, 0), disc, 0.001, paths=10)
    tables = qp.tabulate(lambda p: -p, BOX, 33)
    with pytest.raises(InputError, match="None of 10 paths left"):
        qp.simulate_exits(tables, (0, 0), disc, 0.001, paths=10, budget=1e5)
    with pytest.raises(InputError, match=r"of 200 paths took .* more than the budget"):
        qp.simulate_exits(tables, (0, 0), disc, 0.2, paths=200, budget=1e4)


@pytest.mark.parametrize(
    ("options", "words"), [({"radius": 4.5}, "an integer; it is 4.5"), ({"level": np.nan}, "level is not a number")]
)
def test_options_of_the_plane_that_mean_nothing_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        qp.solve(lambda p: -p, (0, 0), BOX, 33, **options)


def test_counts_of_numpy_are_counts():
    assert qp.solve(lambda p: -p, (0, 0), BOX, np.int64(17), radius=np.int64(4)).mesh.shape == (17, 17)
