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


def test_fitzhugh_nagumo_starts_from_a_finer_mesh_around_its_rest():
    (rest,) = qp.find_equilibria(fitzhugh_nagumo, BOX, 65)
    points = np.array([[-0.6, -0.6], [-0.8, -0.75]])
    solution = qp.solve(fitzhugh_nagumo, rest.point, BOX, 193, stop="never")
    paths = [qp.minimum_action_path(fitzhugh_nagumo, [rest.point, p]).action for p in points]
    np.testing.assert_allclose(solution(points), paths, rtol=3e-3)
    with pytest.raises(InputError, match="too coarse around the attractor"):
        qp.solve(fitzhugh_nagumo, rest.point, BOX, 193, start="linear")
    with pytest.raises(InputError, match="too coarse around the attractor"):  # a table cannot be refined
        qp.solve(solution.drift, rest.point, BOX, 193)


def test_a_point_of_a_limit_cycle_is_told_apart():
    def hopf(p):
        x, y = p[..., 0], p[..., 1]
        r = 1 - x * x - y * y
        return np.stack([y + x * r, -x + y * r], -1)

    with pytest.raises(InputError, match=r"no zero within two mesh points.*limit cycle.*not supported"):
        qp.solve(hopf, (1, 0), ((-2, 2), (-2, 2)), 65)
