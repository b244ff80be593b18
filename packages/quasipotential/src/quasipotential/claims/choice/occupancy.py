"""Q5: of two equally deep wells the noise prefers the one where it is smaller.

Flips with the sign of the asymmetry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit import figures
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from quasipotential import plotting
from quasipotential.closed_forms import separable, stationary_density_1d
from quasipotential.rates.exits import tabulate
from quasipotential.rates.occupancy import simulate_occupancy
from quasipotential.systems import two_wells
from quasipotential.wells.graph import find_wells


@dataclass(frozen=True)
class Occupancy(Settings):
    """Paths, time and mesh of the simulation, and the noise levels of the exact comparison."""

    noise: float = 0.25
    paths: int = 2000
    duration: float = 400.0
    mesh: int = 193
    noises: tuple[float, ...] = (0.2, 0.1, 0.05, 0.025, 0.0125)


def left_mass(asymmetry: float, noise: float) -> float:
    """Exact stationary mass of the left well: the x marginal separates."""
    x = np.linspace(-1.8, 1.8, 4001)
    density = stationary_density_1d(lambda y: y**3 - y, lambda y: 1 + asymmetry * np.tanh(4 * y), noise, x)
    return float(np.trapezoid(density[:2001], x[:2001]))


def log_ratio(asymmetry: float, noise: float) -> float:
    """Exact ``log(left / right)`` without cancellation."""
    x = np.linspace(-1.8, 1.8, 8001)
    density = stationary_density_1d(lambda y: y**3 - y, lambda y: 1 + asymmetry * np.tanh(4 * y), noise, x)
    left, right = np.trapezoid(density[:4001], x[:4001]), np.trapezoid(density[4000:], x[4000:])
    return float(np.log(left / right))


def measure(s: Occupancy, job: Job) -> Values:
    """Masses by quadrature, by simulation and from the solved barriers, for three asymmetries."""
    result = {}
    for asymmetry in (0.5, -0.5, 0.0):
        system = two_wells(asymmetry)
        diffusion = system.diffusion if asymmetry else np.eye(2)
        problem = tabulate(system.drift, ((-2.5, 2.5), (-2.5, 2.5)), s.mesh, diffusion)
        shares = simulate_occupancy(
            problem,
            np.repeat(system.attractors, s.paths // 2, 0),
            lambda p: (p[..., 0] > 0).astype(int),
            s.noise,
            duration=s.duration,
            burn=s.duration / 4,
            step=0.01,
            every=20,
            seed=1000 * job.seed + round(10 * asymmetry),
        )
        wells = find_wells(system.drift, system.attractors, system.domain, s.mesh, saddles=[(0.0, 0.0)], diffusion=diffusion)
        form = separable([lambda y: y**3 - y], [lambda y, a=asymmetry: 1 + a * np.tanh(4 * y)], [-1.0])
        other = separable([lambda y: y**3 - y], [lambda y, a=asymmetry: 1 + a * np.tanh(4 * y)], [1.0])
        top = np.zeros((1, 1))
        result[f"{asymmetry:+.1f}"] = {
            "simulated": float(shares[:, 0].mean()),
            "standard_error": float(shares[:, 0].std(ddof=1) / np.sqrt(len(shares))),
            "exact": left_mass(asymmetry, s.noise),
            "exponential": float(wells.masses(s.noise)[0]),
            "solved_difference": float(wells.levels[1] - wells.levels[0]),
            "exact_difference": float((form.value(top) - other.value(top))[0]),
            "noise_times_log_ratio": [noise * log_ratio(asymmetry, noise) for noise in s.noises],
        }
    return {"noise": s.noise, "noises": list(s.noises), "wells": result}


def judge(values: Sequence[Values]) -> Verdict:
    """Simulation against quadrature, the limit against the solved difference, the flip, and the control."""
    first = values[0]["wells"]
    z = max(abs(w["simulated"] - w["exact"]) / w["standard_error"] for v in values for w in v["wells"].values())
    difference = first["+0.5"]["solved_difference"]
    limit = abs(first["+0.5"]["noise_times_log_ratio"][-1] / difference - 1)
    solved = abs(difference / first["+0.5"]["exact_difference"] - 1)
    flips = first["+0.5"]["simulated"] > 0.5 > first["-0.5"]["simulated"]
    good = z <= 4 and limit <= 0.05 and solved <= 1e-3 and flips
    reason = (
        f"The left well holds {first['+0.5']['simulated']:.1%} with a = 0.5, {first['-0.5']['simulated']:.1%} with a "
        "= -0.5 and "
        f"{first['+0.0']['simulated']:.1%} with a = 0; simulation and quadrature differ by at most {z:.1f} standard "
        "errors and the "
        f"solved W difference {difference:.4f} is exact to {solved:.0e}."
    )
    return Verdict("reproduced" if good else "not reproduced", reason, Estimate("W(right) - W(left), a = 0.5", difference))


def draw(values: Sequence[Values], path: Path) -> None:
    """Masses of the left well, and the limit of eps log ratio."""
    canvas, (left, right) = figures.figure(1, 2)
    wells = values[0]["wells"]
    for k, name in enumerate(wells):
        w = wells[name]
        left.bar(k - 0.25, w["exact"], 0.25, color=plotting.SECOND, label="quadrature" if k == 0 else None)
        left.bar(
            k,
            w["simulated"],
            0.25,
            yerr=4 * w["standard_error"],
            color=plotting.ACCENT,
            label="simulation (± 4 s.e.)" if k == 0 else None,
        )
        left.bar(k + 0.25, w["exponential"], 0.25, color="#999999", label="exp(-W / eps)" if k == 0 else None)
    left.set_xticks(range(len(wells)), [f"a = {n}" for n in wells])
    left.axhline(0.5, color=plotting.INK, lw=0.8)
    left.set(ylabel="mass of the left well", title=f"Two wells of equal loss, eps = {values[0]['noise']}", ylim=(0, 1.25))
    left.legend(fontsize=8)
    w = wells["+0.5"]
    right.plot(values[0]["noises"], w["noise_times_log_ratio"], "o-", color=plotting.SECOND, label="exact")
    right.axhline(w["solved_difference"], color=plotting.ACCENT, label="solved W(right) - W(left)")
    right.set(xlabel="eps", ylabel="eps log(left / right)", title="The limit of small noise, a = 0.5")
    right.legend(fontsize=8)
    figures.save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="Q5",
            title="Which of two equal wells",
            paper="1901.06054",
            where="abstract",
            statement="With several minima it is the covariance structure of the noise that decides which one is "
            "favoured, also where the loss "
            "does not distinguish them.",
            criterion="For f with two equal wells and D = diag(1 + a tanh 4x, 1): simulated masses agree with the "
            "exact ones within 4 standard "
            "errors for a = 0.5, -0.5 and 0; the preferred well flips with the sign of a; the solved difference of "
            "W is exact to 1e-3, and "
            "eps log of the exact mass ratio is within 5 % of it at the smallest eps.",
            tolerance="4 standard errors for three masses; the correction to the limit is of first order in eps, "
            "which is 0.0125 there.",
        ),
        {
            "smoke": Occupancy(0.4, 100, 60.0, 97, seeds=1),
            "small": Occupancy(),
            "full": Occupancy(0.2, 4000, 4000.0, 257, seeds=4),
        },
        measure,
        judge,
        draw,
    )
]
