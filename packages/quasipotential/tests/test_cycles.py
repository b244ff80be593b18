"""Limit cycles: found from a point near them, U around them, as attractors of a solve and as wells of a graph."""

from typing import Any

import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import systems
from quasipotential.cli import main
from quasipotential.paths.action import geometric_action
from quasipotential.plane.cycles.tube import expand_tube

HOPF: Any = systems.hopf()
RINGS: Any = systems.rings()
VAN_DER_POL: Any = systems.van_der_pol()


@pytest.fixture(scope="module")
def circle():
    return qp.find_cycle(HOPF.drift, (0.9, 0.1))


@pytest.fixture(scope="module")
def solved(circle):
    return qp.solve(HOPF.drift, circle, HOPF.domain, 129)


def turns(cycle):
    (x, y), (u, v) = cycle.points[:-1].T, cycle.points[1:].T
    return x * v - y * u


def test_a_cycle_is_found_from_inside_and_from_far_outside(circle):
    for near in ((0.9, 0.1), (2.0, 0.5)):
        cycle = qp.find_cycle(HOPF.drift, near)
        np.testing.assert_allclose(np.linalg.norm(cycle.points, axis=1), 1, atol=1e-10)
        assert cycle.period == pytest.approx(2 * np.pi, rel=1e-10)
        assert cycle.multiplier == pytest.approx(np.exp(-4 * np.pi), rel=1e-6)
    assert (turns(circle) < 0).all()  # clockwise, as the drift goes


def test_an_unstable_cycle_is_found_too_and_runs_with_the_flow():
    inner, outer = (qp.find_cycle(RINGS.drift, near) for near in RINGS.cycles * 1.05)
    np.testing.assert_allclose(np.linalg.norm(inner.points, axis=1), 1, atol=1e-10)
    np.testing.assert_allclose(np.linalg.norm(outer.points, axis=1), 2, atol=1e-10)
    assert inner.multiplier == pytest.approx(np.exp(1.5 * np.pi), rel=1e-6)
    assert outer.multiplier == pytest.approx(np.exp(-6 * np.pi), rel=1e-6)
    assert (turns(inner) < 0).all()


def test_the_period_of_van_der_pol_does_not_depend_on_units():
    units = np.array([1e3, 1e-3])
    cycle = qp.find_cycle(lambda p: VAN_DER_POL.drift(p / units) * units, (1.9e3, 1e-4))
    assert cycle.period == pytest.approx(6.6632868593231, rel=1e-9)
    assert np.abs(cycle.dense(1e-4 * units)[:, 0]).max() == pytest.approx(2008.619861, rel=1e-7)


@pytest.mark.parametrize(
    ("drift", "near", "words"),
    [
        (
            lambda p: -p,
            (0.3, 0.0),
            r"no limit cycle near \(0.3, 0\): forwards in time the orbit ends at .*backwards in time",
        ),
        (lambda p: p[..., ::-1] * np.array([1, -1.0]), (0.3, 0.0), "a whole family of periodic orbits"),
        (lambda p: -p, (0.0, 0.0), "needs a point that moves"),
        (lambda p: -p, (0.0, 0.0, 0.0), "one finite point"),
    ],
)
def test_where_there_is_no_cycle_one_sentence_says_why(drift, near, words):
    with pytest.raises(InputError, match=words):
        qp.find_cycle(drift, near)


def sheared(drift, matrix):
    """The same process in the coordinates ``y = matrix x``: its diffusion is ``matrix matrix^T``."""
    back = np.linalg.inv(matrix)
    return (lambda p: drift(p @ back.T) @ matrix.T), matrix @ matrix.T, (lambda p: p @ back.T)


def test_the_tube_satisfies_the_equation_in_sheared_coordinates(circle):
    matrix = np.array([[1.0, 0.6], [-0.2, 0.8]])
    drift, noise, back = sheared(HOPF.drift, matrix)
    cycle = qp.find_cycle(drift, matrix @ (1.0, 0.0))
    tube = expand_tube(cycle, drift, lambda p: noise, 0.1)
    points = (circle.points * np.linspace(0.96, 1.04, len(circle.points))[:, None]) @ matrix.T
    np.testing.assert_allclose(tube(points), HOPF.exact(back(points)), atol=1e-8)
    np.testing.assert_allclose(tube.gradient(points), HOPF.exact_gradient(back(points)) @ np.linalg.inv(matrix), atol=1e-6)
    step = 1e-5 * np.array([0.6, -0.8])
    np.testing.assert_allclose(tube(points + step) - tube(points - step), 2 * tube.gradient(points) @ step, atol=1e-9)


def test_the_tube_follows_noise_that_varies():
    """With D = (1 + y/2) I and b turned into ``-1/2 D grad U + J grad U`` the same U stands."""
    spread = lambda p: (1 + 0.5 * p[..., 1])[..., None, None] * np.eye(2)  # noqa: E731

    def drift(p):
        slope = HOPF.exact_gradient(p)
        return -0.5 * np.einsum("...ij,...j", spread(p), slope) + np.stack([p[..., 1], -p[..., 0]], -1)

    cycle = qp.find_cycle(drift, (1.0, 0.0))
    tube = expand_tube(cycle, drift, spread, 0.1)
    points = cycle.points * np.linspace(0.96, 1.04, len(cycle.points))[:, None]
    np.testing.assert_allclose(tube(points), HOPF.exact(points), atol=1e-8)


def test_u_around_a_cycle_is_known_in_closed_form(solved, tmp_path):
    error = np.abs(solved.values - HOPF.exact(solved.mesh.points))
    assert np.nanmax(error) < 1e-4 * np.nanmax(solved.values)
    r = np.linalg.norm(solved.mesh.points, axis=-1)
    assert np.nanmax(error[r > 0.1]) < 1e-5 * np.nanmax(solved.values)
    assert np.mean(error[np.isfinite(error)] <= solved.error[np.isfinite(error)] + 1e-12) >= 0.95
    back = qp.Solution.load(solved.save(tmp_path / "s.npz"))
    np.testing.assert_array_equal(back.path_to((0.3, 0.4)), solved.path_to((0.3, 0.4)))
    np.testing.assert_array_equal(back.error, solved.error)
    barrier = solved.barrier(lambda p: 0.5 - np.linalg.norm(p, axis=-1))
    assert barrier.value == pytest.approx(0.28125, abs=barrier.error + 1e-5)


def test_the_path_from_a_cycle_has_the_action_of_its_end(solved):
    for end in ((0.3, 0.4), (1.2, -0.9)):
        path = solved.path_to(end)
        assert np.linalg.norm(path[0]) == pytest.approx(1, abs=0.01)
        assert geometric_action(path, HOPF.drift) == pytest.approx(float(solved(np.array(end))), rel=2e-3)


def test_olim_starts_from_a_cycle(circle):
    solution = qp.solve(HOPF.drift, circle, HOPF.domain, 129, method="olim")
    error = np.abs(solution.values - HOPF.exact(solution.mesh.points))
    assert np.nanmax(error) < 1e-2 * np.nanmax(solution.values)


def test_van_der_pol_seen_by_two_solvers():
    cycle = qp.find_cycle(VAN_DER_POL.drift, VAN_DER_POL.cycles[0])
    jets = qp.solve(VAN_DER_POL.drift, cycle, VAN_DER_POL.domain, 129, stop="never", level=1.0)
    olim = qp.solve(VAN_DER_POL.drift, cycle, VAN_DER_POL.domain, 257, stop="never", level=1.0, method="olim")
    points = np.array([[0.0, 0.0], [0.5, 0.5], [1.0, -1.0], [2.5, 0.0]])
    np.testing.assert_allclose(jets(points), [0.84571, 0.71866, 0.022444, 0.205732], atol=2e-4)  # as at 257
    np.testing.assert_allclose(olim(points), jets(points), atol=2e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cycle": (RINGS, 0)}, "is unstable .Floquet multiplier 111"),
        ({"domain": ((-2, 0.9), (-2, 2))}, "three mesh points inside the domain"),
        ({"drift": np.zeros((65, 65, 2))}, "give functions, no tables"),
        ({"domain": ((-3, 3), (-3, 3)), "mesh": 13, "start": "linear"}, "too coarse for the limit cycle"),
        ({"offsets": (0.0, 1.0)}, "as many offsets"),
    ],
)
def test_bad_input_is_one_sentence(circle, change, words):
    system, number = change.get("cycle", (HOPF, None))
    cycle = circle if number is None else qp.find_cycle(system.drift, system.cycles[number])
    options = {k: change[k] for k in ("offsets", "start") if k in change}
    with pytest.raises(InputError, match=words):
        qp.solve(
            change.get("drift", system.drift), cycle, change.get("domain", system.domain), change.get("mesh", 33), **options
        )


def test_a_point_and_a_cycle_as_wells_with_an_unstable_cycle_between():
    attractors, saddles = RINGS.sets()
    wells = qp.find_wells(RINGS.drift, attractors, RINGS.domain, 97, saddles=saddles)
    assert wells.costs == pytest.approx(np.array([[0, 11 / 24], [9 / 8, 0]]), rel=1e-3)
    assert wells.favoured == 1
    r = np.array([0.5, 1.5, 2.2])
    exact = r**2 - 0.625 * r**4 + r**6 / 12 + 2 / 3
    np.testing.assert_allclose(wells(np.stack([r, 0 * r], -1)), exact, rtol=2e-3)
    with pytest.raises(InputError, match="it is a well, no saddle"):
        qp.find_wells(RINGS.drift, attractors, RINGS.domain, 33, saddles=attractors[1])


def test_the_command_line_knows_cycles(capsys, tmp_path):
    main(["solve", "hopf", "--mesh", "65", "--plot", str(tmp_path / "s.png"), "--out", str(tmp_path / "s.npz")])
    said = capsys.readouterr().out
    assert "limit cycle through (" in said
    assert "of period 6.28319" in said
    assert (tmp_path / "s.png").stat().st_size > 10_000
    main(["wells", "rings", "--mesh", "65"])
    assert "favours well 1" in capsys.readouterr().out
    file = tmp_path / "mine.py"
    file.write_text(
        "from quasipotential.systems import hopf\ndrift = hopf().drift\ndomain = ((-2, 2), (-2, 2))\ncycles = [(1, 0)]\n"
    )
    main(["path", str(file), "--to", "0.5", "0", "--mesh", "65"])
    assert "U at (0.5, 0): 0.28" in capsys.readouterr().out
