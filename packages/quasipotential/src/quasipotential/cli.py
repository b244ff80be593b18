"""The command line; numba is imported inside the verbs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from claimkit.cli import main as run

CITATION = """
@misc{hu2019quasi,
  title  = {Quasi-potential as an implicit regularizer for the loss function in the stochastic gradient descent},
  author = {Hu, Wenqing and Zhu, Zhanxing and Xiong, Haoyi and Huan, Jun},
  year   = {2019},
  note   = {arXiv:1901.06054}
}
"""

Method = Literal["jet", "olim"]


def demo(out: Path = Path("quasipotential-demo.png"), mesh: int = 193, replicas: int = 1000, seed: int = 0) -> None:
    """Two minima of equal loss: which one SGD's noise favours, how it escapes, and SGD itself; one picture.

    Example: quasipotential demo --out quasipotential.png

    Args:
        out: The picture.
        mesh: Points a side.
        replicas: Copies of SGD.
        seed: Seed of the batches.
    """
    from . import verbs

    verbs.demo(out, mesh, replicas, seed)


def solve(
    system: tyro.conf.Positional[str] = "rotating-well",
    mesh: int | None = None,
    method: Method = "jet",
    radius: int | None = None,
    attractor: int = 0,
    stop: Literal["boundary", "never"] = "boundary",
    out: Path | None = None,
    plot: Path | None = None,
) -> None:
    """Solve for the quasi-potential on a mesh.

    Example: quasipotential solve maier-stein --mesh 257 --plot u.png

    Args:
        system: linear, rotating-well, limit-cycle, cubic, maier-stein, two-wells, hopf, van-der-pol, rings, or a Python
            file with drift, attractors, domain; with a domain of three pairs it is solved in space.
        mesh: Points a side; 257 in the plane, 65 in space.
        method: jet (second order) or olim; in space always olim.
        radius: Reach of an update in mesh points.
        attractor: Number of the attractor; limit cycles come after the points.
        stop: Stop at the boundary of the domain, or fill it.
        out: Write the solution there (.npz).
        plot: Write a picture there.
    """
    from . import verbs

    verbs.run_solve(system, mesh, method, radius, attractor, stop, out, plot)


def path(
    system: tyro.conf.Positional[str],
    to: tuple[float, ...] = (0.0, 0.0),
    mesh: int | None = None,
    method: Method = "jet",
    attractor: int = 0,
    out: Path | None = None,
    plot: Path | None = None,
) -> None:
    """Find the minimum action path from an attractor to a point.

    Example: quasipotential path maier-stein --to 0 0

    Args:
        system: Name or Python file, as for solve, or a solution (.npz) that solve wrote.
        to: The point.
        mesh: Points a side; 257 in the plane, 65 in space.
        method: jet or olim.
        attractor: Number of the attractor.
        out: Write the path there (.csv).
        plot: Write a picture there.
    """
    from . import verbs

    verbs.run_path(system, to, mesh, method, attractor, out, plot)


@dataclass(frozen=True)
class ExitOptions:
    """Where, from what and how to leave.

    Attributes:
        radius: Leave the disc of this radius around the attractor.
        level: Leave the sublevel set of the quasi-potential instead.
        noise: Noise levels eps.
        split: Multilevel splitting where plain simulation would take more than some ten seconds (auto), always or never.
        accuracy: Relative half width of the interval that splitting aims at.
        paths: Simulated paths each, without splitting.
        step: Time step of the simulation.
        mesh: Points a side.
        attractor: Number of the attractor.
        seed: Seed.
    """

    radius: float = 0.5
    level: float | None = None
    noise: tuple[float, ...] = (0.3, 0.2, 0.15)
    split: Literal["auto", "always", "never"] = "auto"
    accuracy: float = 0.1
    paths: int = 1000
    step: float = 0.005
    mesh: int = 257
    attractor: int = 0
    seed: int = 0


def exit_(
    system: tyro.conf.Positional[str],
    options: tyro.conf.OmitArgPrefixes[ExitOptions] = ExitOptions(),
) -> None:
    """Mean exit times by simulation or splitting, beside the barrier and the exact equation; says first what it will cost.

    Example: quasipotential exit two-wells --noise 0.3 0.2 --radius 0.6

    Args:
        system: Name or Python file, as for solve.
        options: Where, from what and how to leave.
    """
    from . import exit_verb

    exit_verb.run_exit(system, options)


def wells(
    system: tyro.conf.Positional[str] = "two-wells", mesh: int = 257, method: Method = "jet", noise: float = 0.1
) -> None:
    """Find which of several wells the noise favours: costs, W, cycles and masses.

    Example: quasipotential wells two-wells --noise 0.1

    Args:
        system: Name or Python file with several attractors and their saddles.
        mesh: Points a side.
        method: jet or olim.
        noise: Noise level of the masses.
    """
    from . import verbs

    verbs.run_wells(system, mesh, method, noise)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    run(
        "quasipotential",
        "Quasi-potentials, escape paths and exit times of small-noise systems, SGD first.",
        {"demo": demo, "solve": solve, "path": path, "exit": exit_, "wells": wells},
        CITATION,
        argv,
    )
