"""A claim put to the test: what is measured for one seed, and how all seeds are judged."""

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claimkit.assets import Assets
from claimkit.claims import Claim, Preset, Values, Verdict, natural
from claimkit.errors import InputError

WITHIN = 1e-6
"""Relative difference to which a second run gives the same values, unless a claim says otherwise."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a preset fixes; a package's experiments subclass it with their own sizes. One code path for all presets."""

    seeds: int = 1
    threads: int | None = None
    """Threads that torch uses for a seed: one is fastest where tensors are small; None leaves torch's own number."""
    timed: bool = False
    """Seconds are part of what is measured: nothing runs beside a seed unless the user asks for it."""


@dataclass(frozen=True)
class Job:
    """The circumstances handed to a measurement: its seed, device, and where data comes from."""

    seed: int
    device: str = "cpu"
    assets: Assets = field(default_factory=Assets)


@dataclass(frozen=True)
class Experiment:
    """A claim and how it is put to the test.

    Attributes:
        claim: What is claimed, and the criterion.
        presets: Settings by preset; a preset that is absent is *not run*.
        measure: ``(settings, job) -> values`` for one seed; a module-level function. Values are JSON.
        judge: ``(values of all seeds) -> verdict``; applies the criterion, nothing else.
        draw: ``(values of all seeds, path)`` writes the picture, if there is one; an ImportError leaves it out.
        unseeded: What of the values no seed fixes, in a sentence; empty where a seed fixes everything but seconds.
        within: Relative difference to which a second run on this device gives the same values: a millionth allows for
            sums in another order, and for nothing that was trained differently.
    """

    claim: Claim
    presets: Mapping[Preset, Any]
    measure: Callable[[Any, Job], Values]
    judge: Callable[[Sequence[Values]], Verdict]
    draw: Callable[[Sequence[Values], Path], None] | None = None
    unseeded: str = ""
    within: float = WITHIN

    @property
    def code(self) -> str:
        """Where the measurement is written."""
        return f"{self.measure.__module__}:{self.measure.__qualname__}"


def load_experiments(package: str) -> list[Experiment]:
    """The list ``EXPERIMENTS`` of ``<package>.claims``, in the natural order of the claims."""
    experiments: list[Experiment] = importlib.import_module(f"{package}.claims").EXPERIMENTS
    return sorted(experiments, key=lambda e: natural(e.claim.id))


def claims_of(package: str, paper: str, among: Sequence[str] = ()) -> tuple[str, ...]:
    """Identifiers of a package's claims of one paper, of those named where some are.

    Raises:
        InputError: The package has none.
    """
    papers = {e.claim.id: e.claim.paper for e in load_experiments(package)}
    chosen = tuple(c for c in papers if papers[c] == paper and c in (among or papers))
    if not chosen:
        raise InputError(f"{package} has no such claim of {paper}: its papers are {', '.join(sorted(set(papers.values())))}")
    return chosen


def package_folder(package: str) -> Path:
    """Folder of an installed package's modules."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {package!r} is not installed here: pip install it")
    return Path(next(iter(spec.submodule_search_locations)))


def pooled(values: Sequence[Values], name: str) -> list[float]:
    """One quantity of all seeds as a flat list, for a judge: lists are chained, numbers appended.

    >>> pooled([{"x": [1.0, 2.0]}, {"x": 3.0}], "x")
    [1.0, 2.0, 3.0]
    """
    flat: list[float] = []
    for v in values:
        x = v[name]
        flat.extend(x if isinstance(x, list) else [x])
    if not all(math.isfinite(x) for x in flat):
        raise InputError(f"{name} is not finite in some seed")
    return flat
