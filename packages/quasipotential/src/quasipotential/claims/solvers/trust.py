"""Q14: whether the error bars cover the true error on twenty fields."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from quasipotential import systems
from quasipotential.claims.solvers.ladder import varying
from quasipotential.closed_forms import manufactured
from quasipotential.plane.cycles.find import find_cycle
from quasipotential.plane.solver import solve

SHARE = 0.95
"""Share of the points of a field that its bars must cover."""


def made(value, gradient, rotation, diffusion=None):
    """Drift, diffusion and U of a manufactured field from U, its gradient, the rotation and D (None for the identity)."""
    form = manufactured(
        lambda p: value(p[..., 0], p[..., 1]),
        lambda p: np.stack(np.broadcast_arrays(*gradient(p[..., 0], p[..., 1])), -1),
        (lambda p: np.broadcast_to(np.eye(2), (*p.shape, 2))) if diffusion is None else diffusion,
        lambda p: np.asarray(rotation(p[..., 0], p[..., 1])) if callable(rotation) else np.full(p.shape[:-1], rotation),
    )
    return form.drift, diffusion, form.value


def spread(entries):
    """A diffusion from its entries 11, 12, 22 as functions of x and y."""

    def diffusion(p):
        a, b, c = np.broadcast_arrays(*entries(p[..., 0], p[..., 1]), subok=True)
        return np.stack([np.stack([a, b], -1), np.stack([b, c], -1)], -2)

    return diffusion


def looked_at() -> dict[str, tuple]:
    """Ten fields that the tests use: (drift, diffusion, U), attractor, domain."""
    well, shift = systems.rotating_well(), np.array([0.0137, -0.0191])
    exact = well.exact
    assert exact is not None
    plain = {
        "linear, rotation 1": systems.linear(1.0),
        "linear, rotation 10": systems.linear(10.0),
        "rotating well": well,
        "point in a cycle": systems.limit_cycle(4.0),
        "cubic, rotation 10": systems.cubic(rotation=10.0),
    }
    fields = {name: ((s.drift, None, s.exact), s.attractors[0], s.domain) for name, s in plain.items()}
    moved = (lambda p: well.drift(p - shift)), None, (lambda p: exact(p - shift))
    fields["rotating well, moved"] = moved, well.attractors[0] + shift, well.domain
    for name, (form, start, domain) in varying().items():
        fields[name] = (form.drift, form.diffusion, form.value), start, domain
    circle = systems.hopf()
    fields["circle of Hopf"] = (circle.drift, None, circle.exact), find_cycle(circle.drift, (1.0, 0.0)), circle.domain
    return fields


def fresh() -> dict[str, tuple]:
    """Ten fields that nobody looked at while the estimate was built; written before the first run."""
    box, a, b = ((-1.0, 1.0), (-1.0, 1.0)), 0.2137, -0.1319
    turned = spread(lambda x, y: (1.0 + 0 * x, 0.4 + 0 * x, 0.6 + 0 * x))
    unequal = spread(lambda x, y: (1 + 0.5 * x * x, 0 * x, 1 / (1 + 0.5 * y * y)))
    louder = spread(lambda x, y: (np.exp(x), 0 * x, np.exp(x)))
    fields = {
        "quartic bowl": (
            lambda x, y: x * x + y * y + x**4 + x * x * y * y,
            lambda x, y: (2 * x + 4 * x**3 + 2 * x * y * y, 2 * y + 2 * x * x * y),
            3.0,
            None,
        ),
        "quadratic, D full": (lambda x, y: x * x + x * y + 2 * y * y, lambda x, y: (2 * x + y, x + 4 * y), -2.0, turned),
        "exponential": (lambda x, y: np.exp(x) - x - 1 + y * y, lambda x, y: (np.exp(x) - 1, 2 * y), 4.0, None),
        "rotation that changes its sign": (
            lambda x, y: x * x + 2 * y * y + x**3 / 3,
            lambda x, y: (2 * x + x * x, 4 * y),
            lambda x, y: 8 * np.sin(3 * x),
            None,
        ),
        "D unequal": (
            lambda x, y: 1.5 * x * x + y * y + 0.3 * x * x * y * y,
            lambda x, y: (3 * x + 0.6 * x * y * y, 2 * y + 0.6 * x * x * y),
            2.0,
            unequal,
        ),
        "D grows": (lambda x, y: x * x + y * y + 0.5 * y**4, lambda x, y: (2 * x, 2 * y + 2 * y**3), -3.0, louder),
        "stiff, off the mesh points": (
            lambda x, y: 10 * (x - a) ** 2 + 0.5 * (y - b) ** 2 + (x - a) ** 2 * (y - b) ** 2,
            lambda x, y: (20 * (x - a) + 2 * (x - a) * (y - b) ** 2, (y - b) + 2 * (x - a) ** 2 * (y - b)),
            1.0,
            None,
        ),
    }
    found = {name: (made(*field), (a, b) if name.startswith("stiff") else (0.0, 0.0), box) for name, field in fields.items()}
    cosines = made(lambda x, y: 4 - 2 * np.cos(x) - 2 * np.cos(y), lambda x, y: (2 * np.sin(x), 2 * np.sin(y)), 2.0)
    found["cosines"] = cosines, (0.0, 0.0), ((-2.5, 2.5), (-2.5, 2.5))
    flat = made(
        lambda x, y: np.log1p(x * x + y * y), lambda x, y: (2 * x / (1 + x * x + y * y), 2 * y / (1 + x * x + y * y)), 2.0
    )
    found["logarithm"] = flat, (0.0, 0.0), ((-1.5, 1.5), (-1.5, 1.5))
    well = made(
        lambda x, y: (x * x - 1) ** 2 + (1 + 0.5 * x * x) * y * y,
        lambda x, y: (4 * x * (x * x - 1) + x * y * y, (2 + x * x) * y),
        3.0,
    )
    found["well beside a saddle"] = well, (-1.0, 0.0), ((-1.9, -0.05), (-1.0, 1.0))
    return found


@dataclass(frozen=True)
class Meshes(Settings):
    """Meshes of the coverage."""

    meshes: tuple[int, ...] = (97, 129)


def measure(s: Meshes, job: Job) -> Values:
    """Share of the points whose true error lies within the bar, and within a quarter of the plain difference (control)."""
    rows = {}
    for kind, fields in (("looked at", looked_at()), ("fresh", fresh())):
        for name, ((drift, diffusion, exact), start, domain) in fields.items():
            for n in s.meshes:
                for method in ("jet", "olim"):
                    got = solve(drift, start, domain, n, diffusion=diffusion, method=method)
                    known = np.isfinite(got.values)
                    true = np.abs(got.values - exact(got.mesh.points))[known]
                    bar, top = got.error[known], float(np.nanmax(got.values))
                    rows[f"{name}, {n}, {method}"] = {
                        "kind": kind,
                        "covered": float(np.mean(true <= bar + 1e-12)),
                        "covered_by_a_tenth": float(np.mean(true <= 0.1 * bar + 1e-12)),
                        "bar": float(np.median(bar) / top),
                        "error": float(np.median(true) / top),
                        "points": int(known.sum()),
                    }
    return {"rows": rows}


def judge(values: Sequence[Values]) -> Verdict:
    """Every field, mesh and method."""
    rows = values[0]["rows"]
    if len(rows) < 80:
        return Verdict("not run", "The smoke preset does not solve on both meshes.")
    low = {name: row for name, row in rows.items() if row["covered"] < SHARE}
    wide = [name for name, row in rows.items() if not row["bar"] <= 0.05]
    blind = all(row["covered_by_a_tenth"] >= SHARE for row in rows.values())
    worst = min(rows, key=lambda name: rows[name]["covered"])
    ratio = float(np.median([row["bar"] / max(row["error"], 1e-15) for row in rows.values()]))
    least = {kind: min(r["covered"] for r in rows.values() if r["kind"] == kind) for kind in ("looked at", "fresh")}
    reason = (
        f"Least share covered {least['looked at']:.3f} on the fields looked at and {least['fresh']:.3f} on the fresh ones "
        f"(worst: {worst}); below {SHARE}: {', '.join(low) or 'none'}; the median bar is {ratio:.1f} times the median error"
        + (f"; too wide: {', '.join(wide)}" if wide else "")
        + "."
    )
    estimate = Estimate("least share covered", rows[worst]["covered"])
    if blind:
        return Verdict("not run", f"A tenth of the bars would cover as well: the fields decide nothing. {reason}", estimate)
    if not low and not wide:
        return Verdict("reproduced", reason, estimate)
    return Verdict("direction reproduced" if len(low) <= 4 and not wide else "not reproduced", reason, estimate)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="Q14",
            title="Error bars",
            paper="1901.06054",
            where="derived",
            statement="The estimated error of a solve covers its true error, also on fields that nobody looked at.",
            criterion="Twenty fields with U in closed form, ten of them not looked at while the estimate was built, at 97 "
            "and 129 points, jets and OLIM: in each of the 80 solves at least 95 % of the points have a true error within "
            "the bar, and the median bar is at most 0.05 of the largest U. Control: a tenth of the bars must fail the 95 % "
            "somewhere, or nothing is decided. Direction: at most four of the 80 fall short.",
            tolerance="95 % is what the package says of its bars; a solve has thousands of points and no chance in it, so "
            "that a share is exact.",
        ),
        {"smoke": Meshes((65,), seeds=1), "small": Meshes(seeds=1, threads=1)},
        measure,
        judge,
    )
]
