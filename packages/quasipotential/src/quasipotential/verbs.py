"""What the command line does, one function a verb; imported when a verb runs."""

from pathlib import Path

import numpy as np

from claimkit.errors import InputError

from .marching.mesh import named
from .paths.relax import geometric_action
from .plane.cycles.tube import Tube
from .plane.solution import Solution
from .plane.solver import solve
from .plotting import plot_demo, plot_solution
from .sgd import NoisyRegression, run_sgd, sgd_problem
from .space.solver import solve_3d
from .systems import load_system
from .wells.graph import find_wells


def run_solve(name, mesh, method, radius, attractor, stop, out, plot):
    """Solve one system, print what came out, and write the solution and a picture where asked."""
    system = load_system(name)
    if len(system.domain) == 3 and (out or plot):
        raise InputError("A solution in space is not written and not drawn; leave --out and --plot out.")
    solution = _solve(system, attractor, mesh, method, radius, stop)
    s = solution.settings
    print(
        f"{system.name}: {' x '.join(map(str, solution.mesh.shape))} mesh, {_describe(solution.starts[0][1])}, "
        f"method {'olim' if len(system.domain) == 3 else method}"
    )
    print(
        f"accepted {s['accepted']} points in {s['march_seconds']:.3f} s "
        f"({1e6 * s['march_seconds'] / max(s['accepted'], 1):.2f} us a point), stopped: {s['stopped']}, "
        f"largest U {np.nanmax(solution.values):.6g}"
    )
    exact = system.exact if attractor == 0 else None
    if exact is not None:
        error = np.abs(solution.values - exact(solution.mesh.points))
        print(f"largest error / largest U: {np.nanmax(error) / np.nanmax(solution.values):.3e}")
    if system.saddles is not None:
        for saddle in system.saddles:
            if np.isfinite(solution(saddle)):
                print(f"U at the saddle {named(saddle)}: {float(solution(saddle)):.6g}")
    if out is not None and isinstance(solution, Solution):
        print(f"solution: {solution.save(out)}")
    if plot is not None:
        paths = [
            solution.path_to(p) for p in (system.saddles if system.saddles is not None else []) if np.isfinite(solution(p))
        ]
        plot_solution(solution, plot, paths=paths, exact=exact, title=system.name)
        print(f"picture: {plot}")


def _solve(system, attractor, mesh, method, radius, stop):
    """The solution of a system in the plane or in space."""
    begin, options = attractor_of(system, attractor), {"diffusion": system.diffusion, "radius": radius, "stop": stop}
    if len(system.domain) == 3:
        return solve_3d(system.drift, begin, system.domain, mesh or 65, progress=True, **options)
    return solve(
        system.drift, begin, system.domain, mesh or 257, method=method, periodic=system.periodic, progress=True, **options
    )


def attractor_of(system, number):
    """The attractor of a number, refused where there is none."""
    if 0 <= number < len(system.attractors):
        return system.attractors[number]
    attractors, _ = system.sets()
    if not 0 <= number < len(attractors):
        raise InputError(f"The system {system.name} has attractors 0 to {len(attractors) - 1}; there is no {number}.")
    return attractors[number]


def _describe(local):
    """One attractor in words, from the expansion around it."""
    if not isinstance(local, Tube):
        return f"attractor {named(local.center)}"
    cycle, where = local.cycle, named(local.center)
    return f"limit cycle through {where} of period {cycle.period:.6g} and Floquet multiplier {cycle.multiplier:.3g}"


def run_path(name, to, mesh, method, attractor, out, plot):
    """Minimum action path from an attractor to a point, as CSV and as a picture."""
    if name.endswith(".npz"):
        title, solution = Path(name).stem, Solution.load(name)
        drift, diffusion = solution.drift_at, solution.diffusion_at
    else:
        system = load_system(name)
        title, drift, diffusion = system.name, system.drift, system.diffusion
        _check_target(len(system.domain), to, plot)
        solution = _solve(system, attractor, mesh, method, None, "never")
    dimension = len(solution.mesh.shape)
    _check_target(dimension, to, plot)
    path = solution.path_to(to)
    action = geometric_action(path, drift, diffusion)
    print(f"U at {named(to)}: {float(solution(np.asarray(to))):.8g}; action of the path ({len(path)} points): {action:.8g}")
    if out is not None:
        from claimkit.files import write_atomic

        rows = [",".join("xyz"[:dimension]), *(",".join(f"{x:.17g}" for x in point) for point in path)]
        write_atomic(Path(out), "\n".join(rows) + "\n")
        print(f"path: {out}")
    if plot is not None:
        plot_solution(solution, plot, paths=[path], title=title)
        print(f"picture: {plot}")


def _check_target(dimension, to, plot):
    """The target has as many numbers as the system; asked before a solve, which may take long."""
    if len(to) != dimension:
        raise InputError(f"--to has {len(to)} numbers; give {dimension}, one for each coordinate.")
    if plot and dimension == 3:
        raise InputError("A path in space is not drawn; leave --plot out.")


def run_wells(name, mesh, method, noise):
    """Costs between the wells, W, the cycles and the stationary masses."""
    system = load_system(name, plane=True)
    attractors, saddles = system.sets()
    if len(attractors) < 2 or not saddles:
        raise InputError(f"The system {system.name} needs at least two attractors and the saddles between them.")
    wells = find_wells(
        system.drift,
        attractors,
        system.domain,
        mesh,
        saddles=saddles,
        diffusion=system.diffusion,
        method=method,
        periodic=system.periodic,
        progress=True,
    )
    print("costs V[i, j]:")
    for i, row in enumerate(wells.costs):
        place = ", ".join(f"{v:.4g}" for v in wells.attractors[i])
        print(f"  {i} ({place}): " + "  ".join(f"{v:.6g}" for v in row))
    masses = wells.masses(noise)
    for i, level in enumerate(wells.levels):
        print(f"W({i}) = {level:.6g}, mass at noise {noise:g}: {masses[i]:.4g}")
    if len(wells.tied) > 1:
        names = " and ".join(map(str, wells.tied))
        print(f"wells {names} tie to within the error of the solves: the costs favour none of them")
    else:
        print(f"the noise favours well {wells.favoured}")
    for cycle in wells.cycles():
        members = ", ".join(str(w) for w in sorted(cycle.wells))
        print(
            f"cycle {{{members}}}: "
            + (
                "everything"
                if cycle.target is None
                else f"left after exp({cycle.exit_level:.4g} / noise), to well {cycle.target}"
            )
        )


def demo(out, mesh, replicas, seed):
    """Two wells of equal loss in a noisy regression: quasi-potential, escape paths, and SGD itself."""
    model = NoisyRegression()
    domain = ((-6.0, 6.0), (-4.0, 4.0))
    problem = sgd_problem(model.gradients, domain, mesh)
    places = model.wells()
    wells = find_wells(problem.drift, places, domain, mesh, saddles=[(0.0, 0.0)], diffusion=problem.diffusion)
    left, right = wells.costs[0, 1], wells.costs[1, 0]
    print("regression with one neuron, labels noisier for the inputs that the right well follows")
    print(f"loss of the two wells: {model.loss(places[0]):.6f} and {model.loss(places[1]):.6f}")
    print(f"barriers of the quasi-potential: left {left:.4f}, right {right:.4f}")
    step, steps = 0.1, 20_000
    end, shares = run_sgd(
        model.gradient,
        8,
        np.repeat(places, replicas // 2, 0),
        step=step,
        batch=1,
        steps=steps,
        seed=seed,
        label=lambda p: (p[:, 0] > 0).astype(int),
        burn=steps // 4,
    )
    share = shares.mean(0)
    masses = wells.masses(step)
    print(f"share of the left well: exp(-W/eps) alone {masses[0]:.3f}, SGD with step {step} and batch 1 {share[0]:.3f}")
    escapes = [s.path_to((0.0, 0.0)) for s in wells.solutions]
    plot_demo(
        wells,
        escapes,
        model.loss,
        end,
        {"loss alone": (0.5, 0.5), "exp(-W/eps)": tuple(masses), "SGD itself": tuple(share)},
        out,
    )
    print(f"picture: {out}")
