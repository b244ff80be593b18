"""What ``solve`` returns: values and gradient on the mesh, and the questions one asks of them."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from claimkit.errors import InputError
from claimkit.files import atomic_path

from ..marching.solution import Values
from .cycles.orbit import LimitCycle
from .cycles.tube import Tube
from .local import LocalPotential
from .mesh import Mesh, make_mesh


@dataclass(frozen=True)
class Solution(Values):
    """The quasi-potential on a mesh.

    Attributes:
        mesh: the mesh.
        values: ``(ny, nx)``, NaN where the march did not come.
        gradient: ``(ny, nx, 2)``.
        attractors: ``(m, 2)``, with the values ``offsets`` ``(m,)``; of a limit cycle one point.
        local: the polynomial around each attractor, for a limit cycle a ``Tube`` with the cycle.
        drift: half-grid table ``(2 ny - 1, 2 nx - 1, 2)``.
        diffusion: one matrix ``(2, 2)`` or a half-grid table ``(2 ny - 1, 2 nx - 1, 4)``.
        settings: method, radius, counts and seconds.
    """

    mesh: Mesh
    values: np.ndarray
    gradient: np.ndarray
    attractors: np.ndarray
    offsets: np.ndarray
    local: tuple[LocalPotential | Tube, ...]
    drift: np.ndarray = field(repr=False)
    diffusion: np.ndarray = field(repr=False)
    settings: dict

    @property
    def starts(self) -> list[tuple[float, LocalPotential | Tube]]:
        """The value at each attractor and the expansion around it."""
        return list(zip(self.offsets.tolist(), self.local, strict=True))

    def diffusion_at(self, points: np.ndarray) -> np.ndarray:
        """D at points ``(..., 2)``: ``(..., 2, 2)``, bilinear from the half-grid."""
        if self.diffusion.ndim == 2:
            return np.broadcast_to(self.diffusion, (*np.shape(points)[:-1], 2, 2))
        return self.mesh.read(self.diffusion, points, 2).reshape(*np.shape(points)[:-1], 2, 2)

    def drift_at(self, points: np.ndarray) -> np.ndarray:
        """Drift at points ``(..., 2)``, bilinear from the half-grid."""
        return self.mesh.read(self.drift, points, 2)

    @cached_property
    def error(self) -> np.ndarray:
        """Estimate of the error of every value ``(ny, nx)``, see ``accuracy.estimate_error``; it costs a second solve."""
        from .accuracy import estimate_error

        return estimate_error(self)

    def plot(self, path: str | Path | None = None, **options):
        """Picture of the values, see ``plotting.plot_solution``."""
        from ..plotting import plot_solution

        return plot_solution(self, path, **options)

    def save(self, path: str | Path) -> Path:
        """Write everything to one ``.npz`` file, atomically."""
        path = Path(path).with_suffix(".npz")
        local = {}
        for k, part in enumerate(self.local):
            local[f"local{k}"] = part.coefficients
            if isinstance(part, Tube):
                cycle = part.cycle
                local[f"cycle{k}"] = cycle.points
                local[f"center{k}"] = np.array([part.width, cycle.period, cycle.multiplier, *cycle.turn])
            else:
                local[f"center{k}"] = np.append(part.center, part.scale)
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                domain=np.array(self.mesh.domain),
                shape=np.array(self.mesh.shape),
                periodic=np.array(self.mesh.periodic),
                values=self.values,
                gradient=self.gradient,
                attractors=self.attractors,
                offsets=self.offsets,
                drift=self.drift,
                diffusion=self.diffusion,
                settings=np.array(json.dumps(self.settings)),
                **local,
            )
        return path

    @classmethod
    def load(cls, path: str | Path) -> "Solution":
        """Read what ``save`` wrote.

        Raises:
            InputError: when the file is not such a file.
        """
        try:
            with np.load(path, allow_pickle=False) as data:
                mesh = make_mesh(data["domain"].tolist(), tuple(data["shape"].tolist()), tuple(data["periodic"].tolist()))
                local = tuple(_read_local(data, k) for k in range(len(data["attractors"])))
                return cls(
                    mesh=mesh,
                    values=data["values"],
                    gradient=data["gradient"],
                    attractors=data["attractors"],
                    offsets=data["offsets"],
                    local=local,
                    drift=data["drift"],
                    diffusion=data["diffusion"],
                    settings=json.loads(str(data["settings"])),
                )
        except (KeyError, OSError, ValueError) as error:
            raise InputError(f"{path} is not a solution written by Solution.save ({error}).") from None


def _read_local(data, k):
    """The expansion around attractor ``k`` from a file."""
    numbers, coefficients = data[f"center{k}"], data[f"local{k}"]
    if f"cycle{k}" not in data:
        return LocalPotential(numbers[:2], float(numbers[2]), coefficients)
    width, period, multiplier = numbers[:3].tolist()
    return Tube(LimitCycle(data[f"cycle{k}"], period, multiplier, numbers[3:]), width, coefficients)
