"""Angles: a mesh whose ends are the same points, against closed forms, against the unrolled angle, and across its seam."""

import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential.paths.action import geometric_action
from quasipotential.plane.mesh import Mesh

PI = np.pi


def rotor(p):
    """``b = -grad f + J grad f`` with ``f = 2 - cos x - cos y``: U = 2 f wherever f rises all the way from its minimum."""
    sx, sy = np.sin(p[..., 0]), np.sin(p[..., 1])
    return np.stack([-sx - sy, sx - sy], -1)


def exact(p):
    return 2 * (2 - np.cos(p[..., 0]) - np.cos(p[..., 1]))


def damped(p):
    """A rotor in x that pulls y along: attracted by (0, 0)."""
    x, y = p[..., 0], p[..., 1]
    return np.stack([-np.sin(x) + 0.7 * y, -y - 0.5 * np.sin(x)], -1)


@pytest.fixture(scope="module")
def torus():
    """The attractor lies on the seams of both axes."""
    return qp.solve(rotor, (0, 0), ((0, 2 * PI), (0, 2 * PI)), 65, periodic=(True, True))


def test_on_a_torus_u_is_twice_the_energy_on_both_sides_of_the_seams(torus):
    assert torus.settings["stopped"] == "exhausted"  # there is no edge
    assert torus.edge_level == np.inf
    low = exact(torus.mesh.points) < 3.6  # below the saddles at 4
    error = np.abs(torus.values - exact(torus.mesh.points))
    assert error[low].max() < 3e-3
    np.testing.assert_array_equal(torus.values[:, 0], torus.values[:, -1])
    np.testing.assert_array_equal(torus.values[0], torus.values[-1])
    for shift in (0, 2 * PI, -4 * PI):
        assert float(torus((0.7 + shift, -0.4))) == pytest.approx(exact(np.array([0.7, -0.4])), abs=2e-3)


@pytest.mark.parametrize("method", ["jet", "olim"])
def test_where_the_cut_lies_does_not_matter(torus, method):
    one = torus if method == "jet" else qp.solve(rotor, (0, 0), torus.mesh.domain, 65, periodic=(True, True), method="olim")
    two = qp.solve(rotor, (0, 0), ((-PI, PI), (-PI, PI)), 65, periodic=(True, True), method=method)
    low = exact(two.mesh.points)[:-1, :-1] < 3.6
    difference = np.abs(np.roll(one.values[:-1, :-1], (32, 32), (0, 1)) - two.values[:-1, :-1])
    assert difference[low].max() < 1e-9
    assert difference.max() < 1e-2  # behind the saddles rounding decides between two ways


@pytest.mark.parametrize("noise", [None, np.array([[1.0, 0.3], [0.3, 0.8]])], ids=["D = 1", "D sheared"])
def test_a_cylinder_agrees_with_the_unrolled_angle(noise):
    """Unrolled, the angle's attractors lie at 0 and 2 pi; on the cylinder they are one."""
    around = qp.solve(damped, (0, 0), ((-PI, PI), (-2, 2)), 65, diffusion=noise, periodic=(True, False), stop="never")
    wide = qp.solve(
        damped, [(-2 * PI, 0), (0, 0), (2 * PI, 0)], ((-3 * PI, 3 * PI), (-2, 2)), (193, 65), diffusion=noise, stop="never"
    )
    np.testing.assert_allclose(around.values, wide.values[:, 64:129], atol=2e-2 * np.nanmax(around.values))
    assert np.median(np.abs(around.values - wide.values[:, 64:129])) < 1e-5


def test_a_path_crosses_the_seam(torus):
    path = torus.path_to((2 * PI - 0.6, 0.9))
    assert np.abs(np.diff(path, axis=0)).max() < 0.2  # without a jump of a whole period
    np.testing.assert_allclose(path[0] % (2 * PI) % (2 * PI - 1e-9), 0, atol=1e-6)
    assert geometric_action(path, rotor) == pytest.approx(float(torus(path[-1])), rel=5e-3)


def test_the_error_of_a_periodic_solve_is_estimated_and_it_comes_back_from_a_file(torus, tmp_path):
    low = exact(torus.mesh.points) < 3.6
    true = np.abs(torus.values - exact(torus.mesh.points))
    assert np.mean(true[low] <= torus.error[low] + 1e-12) >= 0.95
    back = qp.Solution.load(torus.save(tmp_path / "s.npz"))
    assert back.mesh == torus.mesh
    barrier = back.barrier(lambda p: 0.5 - np.cos(p[..., 0]), error=False)
    assert barrier.value == pytest.approx(1.0, abs=2e-3)  # x = 60 degrees, y = 0


def test_bad_angles_are_refused_in_one_sentence(torus):
    with pytest.raises(InputError, match=r"not periodic in x: .* whole period"):
        qp.solve(rotor, (0, 0), ((-3, 3), (-PI, PI)), 33, periodic=(True, True))
    with pytest.raises(InputError, match="at least 33 points"):
        Mesh(((0, 1), (0, 1)), (17, 33), (True, False))
    with pytest.raises(InputError, match="Periodic axes are not supported by mean_exit_time"):
        qp.mean_exit_time(torus, lambda p: p[..., 0] - 1, 0.5)
    with pytest.raises(InputError, match="Periodic axes are not supported by a simulation"):
        qp.simulate_exits(torus, (0.1, 0.1), lambda p: p[..., 0] - 1, 0.5)


def test_a_periodic_axis_has_no_edge():
    edge = Mesh(((0.0, 1.0), (0.0, 2.0)), (33, 35), (True, False)).edge
    assert edge.shape == (35, 33)
    assert edge[[0, -1]].all()
    assert not edge[1:-1].any()
    assert Mesh(((0.0, 1.0), (0.0, 2.0)), (33, 35)).edge.sum() == 2 * (33 + 35) - 4
