"""One test per stated property: of the equation, of the solvers, of the paths, of the wells."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import closed_forms, systems
from quasipotential.claims.solvers.ladder import errors, order, sheared_difference, varying
from quasipotential.claims.theory import forms, random_spd
from quasipotential.paths.action import geometric_action
from quasipotential.paths.characteristics import Characteristics
from quasipotential.plane.mesh import Mesh
from quasipotential.plane.start import find_start, residual
from quasipotential.wells.trees import cycle_hierarchy, log_stationary, tree_levels, tree_levels_brute


@pytest.mark.parametrize("name", list(forms(np.random.default_rng(0))))
def test_closed_forms_solve_hamilton_jacobi(name):
    rng = np.random.default_rng(1)
    form, d = forms(rng)[name]
    x = rng.uniform(-1, 1, (200, d))
    assert np.abs(form.residual(x)).max() < 1e-10
    h = 1e-5 * rng.standard_normal(x.shape)
    np.testing.assert_allclose(form.value(x + h) - form.value(x - h), 2 * np.sum(form.gradient(x) * h, -1), atol=1e-9)


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=50, deadline=None)
def test_no_noise_of_equal_trace_has_a_higher_barrier_than_isotropic(seed, d):
    rng = np.random.default_rng(seed)
    a, noise = random_spd(rng, d), random_spd(rng, d)
    q = closed_forms.stationary_covariance(a, noise)
    assert np.trace(a @ q) == pytest.approx(np.trace(noise) / 2)
    lowest = 1 / np.linalg.eigvals(a @ q).real.max()
    assert lowest <= 2 * d / np.trace(noise) * (1 + 1e-9)


def test_discrete_sgd_covariance_is_first_order_in_the_step():
    rng = np.random.default_rng(3)
    a, d = random_spd(rng, 3) / 3, random_spd(rng, 3)
    limit = closed_forms.stationary_covariance(a, d)
    gaps = [np.abs(closed_forms.discrete_covariance(a, d, e) / e - limit).max() for e in (0.02, 0.01)]
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)


def test_local_polynomial_satisfies_the_equation_to_its_degree():
    system = systems.two_wells(0.5)
    grid = Mesh(((-1.8, 0.4), (-1.2, 1.2)), (257, 257))
    b, d = grid.tabulate(system.drift, 2, "drift"), grid.tabulate(system.diffusion, 4, "diffusion")
    start = find_start(grid, b, d, system.attractors[0], "taylor")
    assert start.local.degree == 6
    points = grid.points[start.rows, start.columns]
    assert (
        residual(start.local, points, b[2 * start.rows, 2 * start.columns], d[2 * start.rows, 2 * start.columns]).max()
        < 1e-4
    )
    form = closed_forms.separable(
        [lambda x: x**3 - x, lambda y: y], [lambda x: 1 + 0.5 * np.tanh(4 * x), lambda y: 1 + 0 * y], [-1, 0]
    )
    np.testing.assert_allclose(start.local(points), form.value(points), atol=1e-5)


def test_olim_meets_the_published_errors_at_the_published_radius():
    for name, make, table in (
        ("d", systems.rotating_well, {129: (7, 9.19e-3), 257: (9, 2.41e-3)}),
        ("y(4)", systems.limit_cycle, {129: (7, 5.50e-3), 257: (9, 2.11e-3)}),
    ):
        system = make()
        for n, (k, published) in table.items():
            got = qp.solve(system.drift, system.attractors[0], system.domain, n, method="olim", radius=k, start="linear")
            assert errors(got, system.exact)["error"] <= 1.02 * published, name


def test_olim_with_all_triangles_meets_the_errors_of_the_code_that_tries_them_all():
    system = systems.linear()
    got = qp.solve(system.drift, (0, 0), system.domain, 129, method="olim", radius=10, update="all", start="linear")
    assert errors(got, system.exact)["error"] <= 1.02 * 1.08e-3


@pytest.mark.parametrize("n", [65, 129])
def test_no_jet_comes_from_an_edge_that_its_path_does_not_cross(n):
    form, start, domain = varying()["manufactured"]
    got = qp.solve(form.drift, start, domain, n, diffusion=form.diffusion)
    error = np.abs(got.values - form.value(got.mesh.points))
    assert np.nanmax(error) < 6 * np.sqrt(np.nanmean(error**2))  # isolated points once held 50 times as much


def test_from_eight_points_jets_converge_with_third_order_and_reach_the_published_marcher_within_a_factor():
    system = systems.cubic()
    rows = {
        str(n): errors(qp.solve(system.drift, (0, 0), system.domain, n, start="linear"), system.exact)
        for n in (65, 129, 257)
    }
    assert order(rows, "rms") > 2.5
    assert rows["257"]["error"] < 2 * 4.07e-6


def test_jets_are_of_second_order_and_beat_the_published_errors():
    system = systems.cubic()
    rows = {
        str(n): errors(qp.solve(system.drift, system.attractors[0], system.domain, n), system.exact, system.exact_gradient)
        for n in (65, 129, 257)
    }
    assert rows["129"]["error"] < 1.69e-5
    assert rows["257"]["error"] < 4.07e-6
    assert order(rows, "error") > 1.9
    assert order(rows, "gradient") > 1.4


@pytest.mark.parametrize("name", list(varying()))
def test_varying_diffusion_converges_with_both_methods(name):
    form, start, domain = varying()[name]
    rows = {
        str(n): errors(qp.solve(form.drift, start, domain, n, diffusion=form.diffusion), form.value) for n in (65, 129, 257)
    }
    assert order(rows, "rms") > 1.7
    coarse = errors(qp.solve(form.drift, start, domain, 129, diffusion=form.diffusion, method="olim"), form.value)
    assert coarse["error"] < 4e-3


@pytest.mark.parametrize("method", ["olim", "jet"])
def test_constant_diffusion_is_a_sheared_isotropic_mesh(method):
    assert sheared_difference(method, 97) < 1e-8


def test_values_do_not_depend_on_how_the_fields_are_given(tmp_path):
    system = systems.two_wells()
    domain = ((-1.8, 0.4), (-1.2, 1.2))
    grid = Mesh(domain, (65, 65))
    one = qp.solve(system.drift, system.attractors[0], domain, 65, diffusion=system.diffusion)
    tables = grid.tabulate(system.drift, 2, "b"), grid.tabulate(system.diffusion, 4, "D").reshape(129, 129, 2, 2)
    two = qp.solve(tables[0], system.attractors[0], domain, 65, diffusion=tables[1])
    np.testing.assert_array_equal(one.values, two.values)
    back = qp.Solution.load(one.save(tmp_path / "s.npz"))
    np.testing.assert_array_equal(back.values, one.values)
    np.testing.assert_array_equal(back.path_to((0, 0)), one.path_to((0, 0)))
    assert [p.name for p in tmp_path.iterdir()] == ["s.npz"]


def test_several_attractors_give_the_smaller_of_their_potentials():
    system = systems.maier_stein(1.0)
    domain = ((-1.6, 1.6), (-0.8, 0.8))
    both = qp.solve(system.drift, system.attractors, domain, (129, 65), stop="never")
    alone = [qp.solve(system.drift, a, domain, (129, 65), stop="never") for a in system.attractors]
    difference = np.abs(both.values - np.minimum(alone[0].values, alone[1].values))
    ridge = np.abs(both.mesh.points[..., 0]) < 0.1
    assert difference[~ridge].max() < 2e-3
    assert difference[ridge].max() < 0.05
    raised = qp.solve(system.drift, system.attractors, domain, (129, 65), stop="never", offsets=(0.0, 0.2))
    assert float(raised((-0.9, 0.2))) == pytest.approx(float(alone[0]((-0.9, 0.2))), abs=1e-12)
    assert float(raised((1.0, 0.0))) == pytest.approx(0.2, abs=1e-12)
    with pytest.raises(InputError, match=r"offset 10 of the attractor \(1, 0\)"):
        qp.solve(system.drift, system.attractors, domain, (129, 65), stop="never", offsets=(0.0, 10.0))


def test_a_level_stops_the_march():
    system = systems.linear(1.0)
    got = qp.solve(system.drift, (0, 0), system.domain, 65, level=0.5)
    assert got.settings["stopped"] == "level"
    assert 0.45 < np.nanmax(got.values) <= 0.5


def test_interpolation_is_of_third_order():
    system = systems.cubic()
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (500, 2))
    e = [
        np.abs(qp.solve(system.drift, (0, 0), system.domain, n)(points) - system.exact(points)).max() for n in (65, 129, 257)
    ]
    assert np.polyfit(np.log([64, 128, 256]), np.log(e), 1)[0] < -1.9


def test_three_ways_to_one_escape_path():
    system = systems.maier_stein(10.0)
    solution = qp.solve(system.drift, system.attractors[0], system.domain, 257, stop="never")
    saddle = np.zeros(2)
    path = solution.path_to(saddle)
    assert np.abs(path[:, 1]).max() > 0.25
    gmam = qp.minimum_action_path(system.drift, np.array([[-1, 0], [-0.7, 0.2], [-0.4, 0.25], [-0.1, 0.1], [0, 0]]))
    value = float(solution(saddle))
    assert geometric_action(path, system.drift) == pytest.approx(value, rel=1e-3)
    assert gmam.action == pytest.approx(value, rel=1e-3)


def test_characteristics_are_exact_before_the_caustic():
    system = systems.rotating_well(1.0)
    point = np.array([-0.6, 0.15])
    shot = Characteristics(system.drift, system.attractors[0]).shoot(point)
    assert abs(shot.value - system.exact(point)) < 1e-9
    np.testing.assert_allclose(shot.momentum, system.exact_gradient(point), atol=1e-7)


def test_gmam_in_five_dimensions_climbs_a_gradient_system_at_twice_the_rise():
    a = np.diag([1.0, 2.0, 0.5, 1.5, 3.0])
    end = np.array([0.5, -0.3, 0.2, 0.4, -0.1])
    got = qp.minimum_action_path(lambda x: -x @ a, np.stack([np.zeros(5), end]))
    assert got.action == pytest.approx(end @ a @ end, rel=1e-3)


def test_barrier_of_a_region():
    system = systems.linear(1.0)
    solution = qp.solve(system.drift, (0, 0), system.domain, 129)
    got = solution.barrier(lambda p: np.linalg.norm(p, axis=-1) - 0.5)
    assert got.value == pytest.approx(0.25, rel=1e-3)
    assert abs(got.place[1]) == pytest.approx(0.5, rel=0.02)
    mask = np.linalg.norm(solution.mesh.points, axis=-1) < 0.5
    assert solution.barrier(mask).value == pytest.approx(0.25, rel=0.05)
    with pytest.raises(InputError, match="not reached"):
        solution.barrier(lambda p: np.linalg.norm(p, axis=-1) - 1.3)


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_in_trees_by_edmonds_by_brute_force_and_from_the_chain(seed, wells):
    costs = np.random.default_rng(seed).uniform(0.1, 3, (wells, wells))
    np.fill_diagonal(costs, 0)
    levels = tree_levels(costs)
    np.testing.assert_allclose(levels, tree_levels_brute(costs), atol=1e-12)
    logs = log_stationary(costs, 0.02)
    assert np.abs(0.02 * logs + levels - levels.min()).max() <= 5 * 0.02 * np.log(wells)
    cycles = cycle_hierarchy(costs)
    assert cycles[-1].wells == frozenset(range(wells))


def test_cycles_by_hand():
    cycles = cycle_hierarchy(np.array([[0, 1.0, np.inf], [2.0, 0, 3.0], [np.inf, 1.0, 0]]))
    got = [(set(c.wells), c.exit_level, c.target) for c in cycles]
    assert got == [({0}, 1.0, 1), ({1}, 2.0, 0), ({2}, 1.0, 1), ({0, 1}, 3.0, 2), ({0, 1, 2}, np.inf, None)]


def test_an_unreachable_well_has_no_in_tree():
    assert tree_levels(np.array([[0, 1.0], [np.inf, 0]])).tolist() == [np.inf, 1.0]


def test_find_wells_prefers_the_quiet_well_and_flips():
    for asymmetry, quiet in ((0.5, 0), (-0.5, 1)):
        system = systems.two_wells(asymmetry)
        wells = qp.find_wells(
            system.drift, system.attractors, system.domain, 97, saddles=system.saddles, diffusion=system.diffusion
        )
        assert wells.favoured == quiet
        assert wells.masses(0.1)[quiet] > 0.99
        assert float(wells(system.attractors[quiet])) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"diffusion": lambda p: np.eye(2) * np.where(p[..., 0] > 0.5, -1, 1)[..., None, None]},
            r"symmetric positive definite; at \(0\.5\d*, -1\)",
        ),
        ({"drift": lambda p: np.where(p > 0.5, np.nan, -p)}, r"not finite at \(0\.5\d*, -1\)"),
        ({"attractor": (0.3, 0.0)}, r"\(0.3, 0\) is not an equilibrium"),
        ({"drift": lambda p: p, "attractor": (0, 0)}, r"\(0, 0\) is not stable"),
        ({"attractor": (0.99, 0.0)}, r"\(0.99, 0\) must lie .* inside the domain"),
        (
            {"drift": lambda p: -np.sin(np.pi * p * 31) - 1e-3 * p, "mesh": 33, "start": "linear"},
            r"too coarse around the attractor \(0, 0\)",
        ),
        ({"drift": np.zeros((33, 33, 2))}, r"half-grid, shape \(65, 65, 2\)"),
        ({"update": "some"}, "update must be"),
        ({"attractor": (0, 0, 0)}, "attractors \\(m, 2\\)"),
        ({"offsets": (0, 1)}, "as many offsets"),
        ({"radius": 99}, "1 to 60"),
        ({"mesh": 5}, "at least 9"),
        ({"method": "fast"}, "method must be"),
        ({"drift": lambda p: p[..., :1, None] * np.ones(3)}, "must return shape"),
    ],
)
def test_bad_input_is_one_sentence_that_names_the_place(change, words):
    given_ = {"drift": lambda p: -p, "attractor": (0, 0), "domain": ((-1, 1), (-1, 1)), "mesh": 33} | change
    drift, attractor, domain = (given_.pop(k) for k in ("drift", "attractor", "domain"))
    with pytest.raises(InputError, match=words):
        qp.solve(drift, attractor, domain, **given_)


def test_an_interrupted_save_leaves_nothing(tmp_path, monkeypatch):
    solution = qp.solve(lambda p: -p, (0, 0), ((-1, 1), (-1, 1)), 33)

    def interrupt(file, **arrays):
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        solution.save(tmp_path / "s.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_query_outside_names_the_point():
    solution = qp.solve(lambda p: -p, (0, 0), ((-1, 1), (-1, 1)), 33)
    with pytest.raises(InputError, match=r"\(2, 0\) lies outside"):
        solution((2.0, 0.0))
    with pytest.raises(InputError, match="not reached"):
        solution.path_to((0.99, 0.99))
