"""Resolution where it is needed: zeros found by themselves, and excitable systems whose attractor no coarse mesh sees."""

import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import systems


def fitzhugh_nagumo(p):
    x, y = p[..., 0], p[..., 1]
    return np.stack([x - x**3 / 3 - y, 0.08 * (x + 0.7 - 0.8 * y)], -1)


BOX = ((-2.5, 2.5), (-1.5, 2.0))


def test_the_equilibria_of_an_excitable_and_of_a_bistable_system_are_found():
    (rest,) = qp.find_equilibria(fitzhugh_nagumo, BOX, 65)
    np.testing.assert_allclose(rest.point, (-1.1994080352440349, -0.6242600440550436), atol=1e-10)
    assert rest.kind == "attractor"
    assert np.abs(rest.eigenvalues.imag).max() > 0.2
    system = systems.maier_stein(10.0)
    found = qp.find_equilibria(system.drift, ((-1.8, 1.8), (-0.8, 0.8)), 64)
    assert [(e.kind, e.point.round(9).tolist()) for e in found] == [
        ("attractor", [-1, 0]),
        ("attractor", [1, 0]),
        ("saddle", [0, 0]),
    ]
    assert qp.find_equilibria(lambda p: p * 0 + 1.0, ((-1, 1), (-1, 1)), 33) == []


@pytest.fixture(scope="module")
def excitable():
    """At 129 points the front is thinner than a cell: the mesh is doubled, and starts from a finer one around the rest."""
    (rest,) = qp.find_equilibria(fitzhugh_nagumo, BOX, 65)
    return qp.solve(fitzhugh_nagumo, rest.point, BOX, 129, stop="never")


def test_fitzhugh_nagumo_at_129_points_is_solved_on_twice_as_many(excitable):
    assert excitable.mesh.shape == (257, 257)
    points = np.array([[-0.6, -0.6], [-0.8, -0.75]])
    rest = excitable.attractors[0]
    paths = [qp.minimum_action_path(fitzhugh_nagumo, [rest, p]).action for p in points]
    np.testing.assert_allclose(excitable(points), paths, rtol=2e-3)
    with pytest.raises(InputError, match="too coarse around the attractor"):
        qp.solve(fitzhugh_nagumo, rest, BOX, 193, start="linear")
    with pytest.raises(InputError, match="too coarse around the attractor"):  # a table cannot be refined
        qp.solve(excitable.drift[::2, ::2], rest, BOX, 129)


def test_the_barrier_of_a_spike_is_within_its_error_of_the_least_action(excitable):
    barrier = excitable.barrier(lambda p: p[..., 0])
    action = qp.minimum_action_path(fitzhugh_nagumo, [excitable.attractors[0], (0, 0)]).action
    assert action == pytest.approx(0.00264765, rel=3e-4)  # to (0, y) it is the same for all y between -0.2 and 0.7
    assert abs(barrier.value - action) < barrier.error
    assert abs(barrier.value / action - 1) < 0.01


def morris_lecar(p):
    """Rinzel and Ermentrout's class I parameters at a current of 30: a rest, a threshold saddle, an unstable focus."""
    v, w = p[..., 0], p[..., 1]
    open_, rest = 0.5 * (1 + np.tanh((v + 1.2) / 18)), 0.5 * (1 + np.tanh((v - 12) / 17.4))
    current = 30 - 2 * (v + 60) - 4 * open_ * (v - 120) - 8 * w * (v + 84)
    return np.stack([current / 20, np.cosh((v - 12) / 34.8) / 15 * (rest - w)], -1)


def test_morris_lecar_at_its_threshold():
    box, noise = ((-75, 60), (-0.1, 0.7)), np.diag([1, 1 / 150**2])
    rest, saddle, focus = qp.find_equilibria(morris_lecar, box)
    assert [rest.kind, saddle.kind, focus.kind] == ["attractor", "saddle", "source"]
    solution = qp.solve(morris_lecar, rest.point, box, 129, diffusion=noise, stop="never")
    path = qp.minimum_action_path(morris_lecar, [rest.point, saddle.point], diffusion=noise)
    assert path.action == pytest.approx(5.96947, rel=1e-5)
    assert float(solution(saddle.point)) == pytest.approx(path.action, rel=0.01)


def consumer_resource(p):
    """Steele and Henderson's plankton: a focus and a node, joined by a saddle, in a box a hundred times as high in U."""
    x, y = p[..., 0], p[..., 1]
    eaten = x * x * y / (1 + x * x)
    return np.stack([1.54 * x * (1 - x / 10.14) - eaten, 0.476 * eaten - 0.112509 * y * y], -1)


def test_wells_that_are_shallow_against_the_box_are_resolved():
    box = ((-0.5, 12), (-0.5, 8))
    focus, node, saddle, _ = qp.find_equilibria(consumer_resource, box)
    np.testing.assert_allclose(focus.point, (1.40491, 2.80808), atol=1e-4)
    wells = qp.find_wells(consumer_resource, [focus.point, node.point], box, 129, saddles=[saddle.point])
    path = qp.minimum_action_path(consumer_resource, [node.point, saddle.point])
    assert path.action == pytest.approx(0.0018932, rel=1e-4)
    assert wells.costs[1, 0] == pytest.approx(path.action, rel=0.01)  # 0.00235 on the whole box at 129
    assert wells.costs[0, 1] == pytest.approx(0.012260, rel=0.01)  # at 1025 points on ((0, 5), (1, 5))


def test_no_point_contradicts_its_neighbours():
    well, shift = systems.rotating_well(), np.array([0.0137, -0.0191])
    for n, largest in ((65, 5e-3), (129, 5e-4)):
        got = qp.solve(lambda p: well.drift(p - shift), well.attractors[0] + shift, well.domain, n)
        error = np.abs(got.values - well.exact(got.mesh.points - shift)) / np.nanmax(got.values)
        assert np.nanmax(error) < largest  # 0.6 and 1.4e-2 before a point waited until its neighbours confirm it


def test_a_point_of_a_limit_cycle_is_told_apart():
    def hopf(p):
        x, y = p[..., 0], p[..., 1]
        r = 1 - x * x - y * y
        return np.stack([y + x * r, -x + y * r], -1)

    with pytest.raises(InputError, match=r"no zero within two mesh points.*find_cycle"):
        qp.solve(hopf, (1, 0), ((-2, 2), (-2, 2)), 65)
