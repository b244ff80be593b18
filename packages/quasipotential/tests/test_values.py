"""Small inputs with literal numbers."""

import numpy as np
import pytest

import quasipotential as qp
from quasipotential import systems
from quasipotential.closed_forms import discrete_covariance, quadratic, stationary_covariance


def test_quadratic_by_hand():
    assert stationary_covariance(np.diag([2.0, 0.5]), np.diag([1.8, 0.2])) == pytest.approx(np.diag([0.45, 0.2]))
    assert float(quadratic(np.diag([2.0, 0.5]), np.eye(2)).value(np.array([0.5, -1.0]))) == pytest.approx(1.0)
    assert discrete_covariance(np.eye(1), np.eye(1), 0.5)[0, 0] == pytest.approx(0.25 / 0.75)


def test_maier_stein_saddles():
    easy = systems.maier_stein(1.0)
    assert float(qp.solve(easy.drift, (-1, 0), easy.domain, 129, stop="never")((0, 0))) == pytest.approx(0.5, abs=2e-5)
    hard = systems.maier_stein(10.0)
    assert float(qp.solve(hard.drift, (-1, 0), hard.domain, 257, stop="never")((0, 0))) == pytest.approx(0.34004, abs=1e-4)


def test_two_wells_barriers():
    system = systems.two_wells()
    wells = qp.find_wells(
        system.drift, system.attractors, system.domain, 97, saddles=system.saddles, diffusion=system.diffusion
    )
    assert wells.costs == pytest.approx(np.array([[0, 0.92931], [0.34494, 0]]), abs=2e-4)


def test_olim_regression_on_a_small_mesh():
    system = systems.linear()
    got = qp.solve(system.drift, (0, 0), system.domain, 33, method="olim", radius=5, start="linear")
    assert got.settings["stopped"] == "boundary"
    assert float(got((0.25, 0.25))) == pytest.approx(0.1875, abs=0.03)
