"""Rare exits: splitting and the elliptic equation against mean exit times known by quadrature."""

import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import systems
from quasipotential.claims.escapes.rare import time_on_a_line
from quasipotential.cli import main
from quasipotential.rates.remaining import remaining_action


@pytest.fixture(autouse=True)
def few_pilots(monkeypatch):
    """Lines from a quarter of the pilot's paths: it is most of the cost, and the estimate's mean does not depend on it."""
    monkeypatch.setattr("quasipotential.rates.splitting._PILOT", 500)


def time_in_a_disc(noise, pull, radius):
    """Mean time to leave a disc of the plane from its centre where the drift's radial part is ``-pull(r)``."""
    r = np.linspace(1e-9, radius, 100_001)
    h = r[1] - r[0]
    weight = r * np.exp(-np.concatenate([[0.0], np.cumsum(h * 2 * pull(0.5 * (r[1:] + r[:-1])) / noise)]))
    mass = np.concatenate([[0.0], np.cumsum(0.5 * h * (weight[1:] + weight[:-1]))])
    return float(2 / noise * np.trapezoid(mass / weight, r))


def cubic(y):
    return y - y**3


def right(p):
    return p[..., 0]


def disc(radius):
    return lambda p: np.linalg.norm(p, axis=-1) - radius


@pytest.mark.parametrize(("mesh", "noise", "tolerance"), [(129, 0.01, 5e-3), (65, 0.02, 2e-2)])
def test_the_equation_is_right_where_the_time_is_e_to_the_twenty(mesh, noise, tolerance):
    problem = qp.tabulate(lambda p: -p, ((-1, 1), (-1, 1)), mesh)
    exact = time_in_a_disc(noise, lambda r: r, 0.5)  # central differences said seven times as much
    assert qp.mean_exit_time(problem, disc(0.5), noise, (0, 0)) == pytest.approx(exact, rel=tolerance)


def test_the_equation_of_a_rotating_field_is_extrapolated_or_refused():
    system = systems.limit_cycle(4.0)
    problem = qp.tabulate(system.drift, system.domain, 129)
    exact = time_in_a_disc(0.08, lambda r: r * (1 - r * r), 0.8)
    assert qp.mean_exit_time(problem, disc(0.8), 0.08, (0, 0)) == pytest.approx(exact, rel=0.02)
    with pytest.raises(InputError, match="changes by a factor of"):
        qp.mean_exit_time(qp.tabulate(system.drift, system.domain, 193), disc(0.8), 0.03, (0, 0))


def test_the_action_that_is_left_is_the_barrier_at_the_attractor_and_zero_outside():
    system = systems.two_wells(0.5)
    problem = qp.tabulate(system.drift, ((-1.8, 0.2), (-1.2, 1.2)), 65, system.diffusion)
    left = remaining_action(problem, right, 65)
    points = np.linspace(-1.8, 0.2, 129)
    assert left[64, np.argmin(abs(points + 1))] == pytest.approx(0.897, rel=0.05)  # 2 int (x - x^3) / D
    assert (left[:, points >= 0.02] == 0).all()
    saddle_side, far_side = left[64, np.argmin(abs(points + 0.3))], left[64, np.argmin(abs(points + 1.7))]
    assert saddle_side < 0.5 * far_side


@pytest.mark.parametrize("field", ["constant", "varying", "rotating", "function"])
def test_splitting_has_the_exact_mean_of_rare_exits(field):
    if field == "rotating":
        system = systems.limit_cycle(4.0)
        got = qp.split_exits(qp.tabulate(system.drift, system.domain, 65), (0, 0), disc(0.8), 0.04, accuracy=0.4, seed=1)
        exact = time_in_a_disc(0.04, lambda r: r * (1 - r * r), 0.8)
    elif field == "function":
        drift = lambda p: np.stack([cubic(p[..., 0]), -p[..., 1], -p[..., 2]], -1)  # noqa: E731
        got = qp.split_exits(drift, (-1, 0, 0), right, 0.06, score=right, accuracy=0.5, seed=2, step=0.05)
        exact = time_on_a_line(0.06, cubic, np.ones_like, -1, 0, -2)
    else:
        system = systems.two_wells(0.5 if field == "varying" else 0.0)
        problem = qp.tabulate(system.drift, ((-2, 0.4), (-1.4, 1.4)), 65, system.diffusion)
        got = qp.split_exits(problem, (-1, 0), right, 0.04, accuracy=0.2, seed=3)
        spread = (lambda y: 1 + 0.5 * np.tanh(4 * y)) if field == "varying" else np.ones_like
        exact = time_on_a_line(0.04, cubic, spread, -1, 0, -2)
    # 3.5 standard errors, and 2 % for the time step
    assert abs(np.log(got.mean / exact)) < 3.5 * got.relative_error + 0.02
    assert got.interval[0] < got.mean < got.interval[1]
    assert got.relative_error < 0.3
    assert (got.shares > 0.05).all()


def test_intervals_cover_what_they_say():
    system = systems.two_wells(0.0)
    problem = qp.tabulate(system.drift, ((-2, 0.4), (-1.4, 1.4)), 65)
    exact = time_on_a_line(0.06, cubic, np.ones_like, -1, 0, -2)
    runs = [qp.split_exits(problem, (-1, 0), right, 0.06, score=right, accuracy=0.5, seed=s) for s in range(20)]
    covered = sum(r.interval[0] < exact < r.interval[1] for r in runs)
    assert covered >= 16  # of 20 at 95 %: fewer have a chance of 3e-3
    errors = np.array([np.log(r.mean / exact) for r in runs])
    assert abs(errors.mean()) < 4 * np.mean([r.relative_error for r in runs]) / np.sqrt(20) + 0.02


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"noise": 0.5}, "exits are not rare"),
        ({"start": (0.3, 0)}, "lies outside of the region"),
        ({"start": (-0.3, 0)}, "no stable equilibrium"),
        ({"score": lambda p: 0 * p[..., 0]}, "score is the same"),
        ({"score": lambda p: np.minimum(p[..., 0], -0.7)}, "does not lead out"),
        ({"accuracy": 1e-3}, "more than the budget"),
    ],
)
def test_what_splitting_cannot_do_is_refused(change, words):
    system = systems.two_wells(0.0)
    given = {"start": (-1, 0), "noise": 0.05, "score": right, "accuracy": 1.0} | change
    problem = qp.tabulate(system.drift, ((-2, 0.4), (-1.4, 1.4)), 65)
    with pytest.raises(InputError, match=words):
        qp.split_exits(problem, given.pop("start"), right, given.pop("noise"), **given)


def test_the_command_line_says_what_it_costs_and_comes_back(capsys, tmp_path):
    file = tmp_path / "g.py"
    file.write_text("def drift(p): return -p\nattractors = [(0, 0)]\ndomain = ((-1, 1),) * 2\n")
    main(["exit", str(file), "--noise", "0.1", "0.02", "--paths", "50", "--mesh", "65", "--accuracy", "0.6"])
    out = capsys.readouterr().out
    assert "times of the order e^12.5" in out
    assert out.index("splitting") < out.index("s.e.")
    row = out.splitlines()[-2].split()
    assert float(row[1]) == pytest.approx(time_in_a_disc(0.02, lambda r: r, 0.5), rel=0.9)
