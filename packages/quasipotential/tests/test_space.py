"""The mesh in space against closed forms, its symmetries, its error, and what it refuses."""

import numba
import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential.claims.solvers.space import AXIS, double_well, quadratic, turned
from quasipotential.space.kernels import march, simplex

BOX = ((-1.0, 1.0),) * 3


def largest_error(solution, exact):
    return float(np.nanmax(np.abs(solution.values - exact(solution.mesh.points))) / np.nanmax(solution.values))


@pytest.fixture(scope="module")
def rotating():
    drift, exact, attractor, domain = quadratic(2.0)
    return qp.solve_3d(drift, attractor, domain, 33, radius=6), exact


def test_a_linear_field_with_rotation_is_as_exact_as_the_published_code(rotating):
    solution, exact = rotating
    assert largest_error(solution, exact) < 1.2544e-2
    assert np.mean(solution.error[np.isfinite(solution.values)] >= np.abs(solution.values - exact(solution.mesh.points))[
        np.isfinite(solution.values)
    ]) > 0.95  # fmt: skip
    drift, _, attractor, domain = quadratic(2.0)
    coarse = qp.solve_3d(drift, attractor, domain, 17, radius=4)
    assert np.log2(largest_error(coarse, exact) / largest_error(solution, exact)) > 0.6
    # one-point updates alone, or a skipped edge or triangle, are far off
    assert largest_error(qp.solve_3d(drift, attractor, domain, 17, radius=1), exact) > 2 * largest_error(coarse, exact)


def test_paths_and_barriers_of_a_linear_field(rotating):
    solution, exact = rotating
    barrier = solution.barrier(lambda p: np.linalg.norm(p, axis=-1) - 0.6)
    assert barrier.value == pytest.approx(0.5 * 0.36, abs=barrier.error)
    assert barrier.error < 0.03
    assert abs(barrier.place[2]) == pytest.approx(0.6, abs=0.05)
    drift = quadratic(2.0)[0]
    end = np.array([0.2, 0.3, -0.4])
    path = solution.path_to(end)
    np.testing.assert_array_equal(path[[0, -1]], [[0, 0, 0], end])
    assert qp.geometric_action(path, drift) == pytest.approx(float(exact(end)), rel=0.03)
    assert float(solution(end)) == pytest.approx(float(exact(end)), rel=0.03)
    assert solution.trusted.sum() < np.isfinite(solution.values).sum() or solution.edge_level == np.inf


def test_the_barrier_of_a_double_well_and_the_path_over_its_saddle():
    drift, exact, attractor, domain = double_well(0.0)
    solution = qp.solve_3d(drift, attractor, domain, 33, stop="never", level=1.3)
    barrier = solution.barrier(lambda p: p[..., 0])
    assert barrier.value == pytest.approx(1.0, abs=0.02)
    assert abs(barrier.value - 1) <= barrier.error
    np.testing.assert_allclose(barrier.place, 0, atol=0.08)
    path = solution.path_to((0, 0, 0))
    assert np.abs(path[:, 1:]).max() < 0.08
    assert qp.geometric_action(path, drift) == pytest.approx(1.0, rel=0.01)
    # before the saddle U is twice the energy, because the drift is a gradient; beyond it is 1, the way down being free
    assert largest_error(solution, lambda p: np.where(p[..., 0] < 0, exact(p), np.nan)) < 0.05
    beyond = (16, 16, 30)  # where segments across the saddle are undervalued, by a twentieth on this mesh
    assert abs(solution.values[beyond] - 1) <= min(solution.error[beyond], 0.1)


def test_a_mirror_of_the_field_mirrors_the_values():
    drift, _, _, domain = quadratic(2.0)
    one = qp.solve_3d(drift, (0, 0, 0), domain, 17)
    flip = np.array([-1.0, 1.0, 1.0])
    two = qp.solve_3d(lambda p: flip * drift(flip * p), (0, 0, 0), domain, 17)
    np.testing.assert_allclose(two.values[:, :, ::-1], one.values, rtol=1e-3, atol=2e-4)  # ties are broken in another order
    turn = qp.solve_3d(lambda p: np.roll(drift(np.roll(p, -1, -1)), 1, -1), (0, 0, 0), domain, 17)
    np.testing.assert_allclose(turn.values.transpose(2, 0, 1), one.values, rtol=1e-3, atol=2e-4)


def test_a_constant_noise_is_a_sheared_mesh():
    drift, exact, _, domain = quadratic(0.0)
    half = np.diag([1.0, 1.2, 0.8]) + 0.2 * np.ones((3, 3))
    inverse = np.linalg.inv(half)
    solution = qp.solve_3d(lambda p: drift(p @ inverse.T) @ half.T, (0, 0, 0), domain, 33, diffusion=half @ half.T)
    assert largest_error(solution, lambda p: exact(p @ inverse.T)) < 0.03


def uneven(p):
    """A full D that turns with the place."""
    x, y, z, one = *np.moveaxis(p, -1, 0), np.ones(p.shape[:-1])
    rows = [
        [1 + 0.4 * np.sin(x + y), 0.2 * one, 0.1 * z],
        [0.2 * one, 1 - 0.4 * np.cos(x) * y, 0.15 * x],
        [0.1 * z, 0.15 * x, 0.8 + 0.3 * np.sin(z)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def in_noise(gradient, diffusion, rotation=0.0):
    """The drift that has U whatever D is: ``-D grad U / 2 + rotation axis x grad U / 2``."""

    def drift(p):
        slope = 0.5 * gradient(p)
        return rotation * np.cross(AXIS, slope) - np.einsum("...ij,...j", diffusion(p), slope)

    return drift


WEIGHTS = np.array([2.0, 1.0, 0.5])


def test_a_full_noise_that_varies_has_the_potential_of_its_closed_form():
    exact = lambda p: np.sum(WEIGHTS * p * p, -1)  # noqa: E731
    drift = in_noise(lambda p: 2 * WEIGHTS * p, uneven, 2.0)
    errors = {}
    for n in (17, 33):
        solution = qp.solve_3d(drift, (0, 0, 0), BOX, n, diffusion=uneven)
        errors[n] = largest_error(solution, exact)
    assert errors[33] < 0.02  # as for D = I, where it is 0.013
    assert np.log2(errors[17] / errors[33]) > 0.6
    known = np.isfinite(solution.values)
    assert np.mean(solution.error[known] >= np.abs(solution.values - exact(solution.mesh.points))[known]) > 0.95
    barrier = solution.barrier(lambda p: np.linalg.norm(p, axis=-1) - 0.6)
    assert barrier.value == pytest.approx(0.5 * 0.36, abs=barrier.error)
    end = np.array([0.2, 0.3, -0.4])
    path = solution.path_to(end)
    assert qp.geometric_action(path, drift, uneven) == pytest.approx(float(exact(end)), rel=0.03)
    assert qp.geometric_action(path, drift) > 1.1 * float(exact(end))  # in another noise it costs something else


def test_noise_that_scales_the_drift_too_changes_nothing():
    scale = lambda p: 1 + 0.5 * np.sin(3 * p[..., 0])  # noqa: E731
    drift, _, _, _ = quadratic(2.0)
    one = qp.solve_3d(drift, (0, 0, 0), BOX, 17, stop="never")
    noise = lambda p: scale(p)[..., None, None] * np.eye(3)  # noqa: E731
    two = qp.solve_3d(lambda p: scale(p)[..., None] * drift(p), (0, 0, 0), BOX, 17, diffusion=noise, stop="never")
    np.testing.assert_allclose(two.values, one.values, rtol=2e-2, atol=1e-2)


def test_a_function_that_returns_one_matrix_is_that_matrix(monkeypatch):
    drift, matrix = quadratic(2.0)[0], np.diag([1.0, 1.2, 0.8]) + 0.1
    one = qp.solve_3d(drift, (0, 0, 0), BOX, 17, diffusion=matrix)
    two = qp.solve_3d(drift, (0, 0, 0), BOX, 17, diffusion=lambda p: matrix)
    np.testing.assert_array_equal(two.values, one.values)
    # through the table of A the values are the same to its rounding
    nudge = lambda p: matrix * (1 + 1e-9 * p[..., :1, None])  # noqa: E731
    np.testing.assert_allclose(qp.solve_3d(drift, (0, 0, 0), BOX, 17, diffusion=nudge).values, one.values, rtol=1e-4)
    monkeypatch.setattr("quasipotential.space.mesh._DOUBLES", 0)
    np.testing.assert_allclose(qp.solve_3d(drift, (0, 0, 0), BOX, 17, diffusion=nudge).values, one.values, rtol=1e-3)


def test_single_precision_of_the_drift_changes_nothing_that_matters(monkeypatch):
    drift, _, _, domain = quadratic(2.0)
    one = qp.solve_3d(drift, (0, 0, 0), domain, 17)
    monkeypatch.setattr("quasipotential.space.mesh._DOUBLES", 0)
    two = qp.solve_3d(drift, (0, 0, 0), domain, 17)
    np.testing.assert_allclose(two.values, one.values, atol=1e-5)


def test_an_unequal_mesh_off_the_attractor():
    move = np.array([0.013, -0.02, 0.03])
    drift, exact, _, _ = quadratic(2.0)
    box = ((-1, 1), (-1.1, 0.9), (-0.8, 1.2))
    solution = qp.solve_3d(lambda p: drift(p - move), move, box, (33, 29, 25))
    assert solution.values.shape == (25, 29, 33)
    assert largest_error(solution, lambda p: exact(p - move)) < 0.03


CUT = turned(lambda p: p * np.array([2.0, 0.2, 2.0]), 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"diffusion": np.diag([1.0, 1.0, 0.0])}, "symmetric positive definite.*minimum_action_path"),
        ({"diffusion": np.diag([1.0, 1.0, 1e-4])}, "too anisotropic"),
        ({"diffusion": np.eye(2)}, r"its shape is \(2, 2\)"),
        ({"diffusion": lambda p: np.eye(2)}, r"must return shape \(\d+, 3, 3\)"),
        ({"diffusion": lambda p: np.eye(3) * np.maximum(p[..., :1, None], 0)}, r"definite; at \(-1, -1, -1\)"),
        ({"diffusion": lambda p: np.eye(3) + np.triu(np.ones((3, 3)), 1) * p[..., :1, None]}, "symmetric.*at"),
        ({"diffusion": lambda p: np.eye(3) * np.where(p[..., :1, None] > 0.9, np.nan, 1)}, r"at \(0.9375"),
        ({"diffusion": lambda p: np.eye(3) - (1 - 1e-4) * np.diag([1, 0, 0]) * (p[..., :1, None] > 0.5)}, "anisotropic"),
        ({"diffusion": 1e-9 * np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]])}, "symmetric"),
        ({"attractor": (0.2, 0, 0)}, "not an equilibrium"),
        ({"attractor": (0.95, 0, 0)}, "three mesh points inside"),
        ({"attractor": (0.0, 0.0)}, "one point"),
        ({"drift": lambda p: p}, "not stable"),
        ({"drift": lambda p: p * np.array([-1.0, -1.0, 0.0])}, "singular"),
        ({"drift": lambda p: np.where(p > 0.5, np.nan, -p)}, "not finite at"),
        ({"drift": lambda p: -p * (1 + 300 * np.abs(p))}, "too coarse around the attractor"),
        ({"drift": np.zeros((33, 33, 33, 3))}, "no table"),
        ({"mesh": 8}, "at least 9"),
        ({"mesh": 2001}, "GiB"),
        ({"domain": ((-1, 1), (1, -1), (-1, 1))}, "min < max"),
        ({"stop": "later"}, "stop must be"),
        ({"radius": 0}, "radius"),
        ({"radius": 4.5}, "an integer"),
        ({"level": np.nan}, "level is not a number"),
    ],
)
def test_what_cannot_be_trusted_is_refused_in_a_sentence(change, message):
    given = {"drift": lambda p: -p, "attractor": (0, 0, 0), "domain": BOX, "mesh": 17, **change}
    with pytest.raises(InputError, match=message):
        qp.solve_3d(**given)


def test_regions_and_points_beyond_the_mesh_are_refused():
    solution = qp.solve_3d(CUT, (0, 0, 0), BOX, 17, stop="never")
    with pytest.raises(InputError, match="reaches past the mesh"):
        solution.barrier(lambda p: np.maximum(np.abs(p[..., 0]) - 0.8, np.abs(p[..., 1]) - 1.5))
    with pytest.raises(InputError, match="one number a point"):
        solution.barrier(lambda p: p)
    with pytest.raises(InputError, match="outside of the domain"):
        solution((0, 0, 1.5))
    low = qp.solve_3d(lambda p: -p, (0, 0, 0), BOX, 17, level=0.2)
    assert low.settings["stopped"] == "level"
    with pytest.raises(InputError, match="not reached"):
        low.barrier(lambda p: np.abs(p[..., 0]) - 0.9)
    with pytest.raises(InputError, match="not reached"):
        low.path_to((0.9, 0, 0))
    with pytest.raises(InputError, match="odd numbers"):
        _ = qp.solve_3d(lambda p: -p, (0, 0, 0), BOX, 16).error


def test_the_path_to_the_attractor_itself_has_no_length():
    solution = qp.solve_3d(lambda p: -p, (0, 0, 0), BOX, np.int64(17), stop="never")  # as np.arange gives them
    for end in ((0, 0, 0), (1e-5, 0, 0)):
        assert np.abs(solution.path_to(end)).max() <= 1e-5


def symmetric(rng, size):
    root = rng.standard_normal((3, 3))
    return (root @ root.T * size)[np.triu_indices(3)]


def test_updates_in_varying_noise_find_the_least_action_over_an_edge_and_a_triangle():
    rng = np.random.default_rng(5)
    b0, (db1, db2) = np.array([0.9, 1.6, 1.1]), 0.1 * rng.standard_normal((2, 3))
    a0, da1, da2 = np.array([2, 0.3, -0.2, 1.5, 0.4, 1]), symmetric(rng, 0.1), symmetric(rng, 0.1)
    w, e1, e2 = np.array([1.0, 2.0, 1.5]), np.array([1.0, 0.2, 0.0]), np.array([0.1, 1.0, 0.1])

    def cost(s, t, d1=0.0, d2=0.0):
        b, way, a = b0 + s * db1 + t * db2, w - s * e1 - t * e2, np.zeros((3, 3))
        a[np.triu_indices(3)] = a0 + s * da1 + t * da2
        a = a + np.triu(a, 1).T
        return d1 * s + d2 * t + np.sqrt(b @ a @ b * (way @ a @ way)) - b @ a @ way

    def slope(s, t):
        return [(cost(s + h, t + k) - cost(s - h, t - k)) / 2e-6 for h, k in ((1e-6, 0), (0, 1e-6))]

    d1, d2 = -np.array(slope(0.3, 0.4))  # U falls along the edges such that (0.3, 0.4) is the minimum
    triples = lambda *rows: tuple(tuple(row.tolist()) for row in rows)  # noqa: E731
    drifts, ways, metrics = triples(b0, db1, db2), triples(w, e1, e2), triples(a0, da1, da2)
    first = simplex.edge_slope(0.2, d1, drifts[:2], ways[:2], metrics[:2])
    ahead, behind = cost(0.2 + 1e-6, 0, d1), cost(0.2 - 1e-6, 0, d1)
    assert first == pytest.approx((cost(0.2, 0, d1), (ahead - behind) / 2e-6), abs=1e-7)
    found = simplex.triangle_update(0.3, 5.0, d1, d2, drifts, ways, metrics)
    assert found == pytest.approx(5 + cost(0.3, 0.4, d1, d2), abs=1e-9)
    assert found < 5 + min(cost(0.31, 0.4, d1, d2), cost(0.3, 0.39, d1, d2), cost(0.3, 0, d1, d2))


def test_a_metric_of_a_table_is_its_row_compiled_or_not():
    table = np.arange(12.0).reshape(2, 6)
    compiled = numba.njit(lambda table, place: march.metric(table, place)[2])
    assert march.metric(table, 1) == (6.0, 7.0, 8.0, 9.0, 10.0, 11.0)
    assert march.metric(None, 1) is None
    assert compiled(table, 1) == 8.0
