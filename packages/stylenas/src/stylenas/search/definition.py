"""What a search is: a space, objectives, a budget, a sampler, and where it is kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler
from optuna.storages import BaseStorage

from claimkit.errors import InputError
from stylenas.objective import Objective
from stylenas.search.evolution import AgingEvolution
from stylenas.space import Space, check_space, identity
from stylenas.trials.ledger import Ledger
from stylenas.trials.storage import open_storage

SamplerName = Literal["evolution", "random", "nsga2"]
HEEDED = {"evolution": ("population", "tournament"), "random": (), "nsga2": ("population",)}
"""The sizes that a sampler has a use for."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched, how, and where it is kept; the same search resumes what it finds in its storage.

    Attributes:
        space: The space, and what its genomes are worth.
        objectives: What is minimised; several make the search multi-objective.
        budget: Evaluations of different canonical genomes in all, those of earlier runs included.
        sampler: evolution, random or nsga2.
        population: Of evolution and nsga2, 50 when not given; refused where the sampler would not heed it.
        tournament: Of evolution, 10 when not given; refused likewise.
        seed: Seed of all draws.
        storage: Journal file or database address; None is memory.
        study: Name of the study in the storage.
        catch: Exceptions of an evaluation that are recorded as its failure, and the search goes on; any other ends it.
        max_attempts: Evaluations of a genome that may end without a result, its worker killed or an exception not caught,
            before it counts as failed.
    """

    space: Space
    objectives: Sequence[Objective]
    budget: int = 200
    sampler: SamplerName = "evolution"
    population: int | None = None
    tournament: int | None = None
    seed: int = 0
    storage: str | Path | None = None
    study: str = "search"
    catch: tuple[type[Exception], ...] = (Exception,)
    max_attempts: int = 2
    identity: str = field(init=False)
    """Of the space, as it was when the search was described."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range and a space that is none."""
        check_space(self.space)
        object.__setattr__(self, "identity", identity(self.space))
        if self.max_attempts < 1:
            raise InputError(f"max_attempts = {self.max_attempts}: an evaluation needs at least one")
        if self.budget < 1:
            raise InputError(f"budget = {self.budget}: a search needs at least one evaluation")
        if not self.objectives:
            raise InputError("a search needs at least one objective")
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: choose a number that is not negative")
        self.make_sampler(0)
        given = [n for n in ("population", "tournament") if getattr(self, n) is not None]
        if ignored := [n for n in given if n not in HEEDED[self.sampler]]:
            raise InputError(f"the sampler {self.sampler} has no use for {' and '.join(ignored)}: leave out what it ignores")

    @property
    def _sizes(self) -> tuple[int, int]:
        """Population and tournament; StyleNAS's where none is given."""
        return 50 if self.population is None else self.population, 10 if self.tournament is None else self.tournament

    def make_sampler(self, seed: int) -> BaseSampler:
        """The sampler for one draw."""
        if self.sampler == "evolution":
            return AgingEvolution(*self._sizes, seed)
        if self.sampler == "random":
            return RandomSampler(seed)
        if self.sampler != "nsga2":
            raise InputError(f"sampler {self.sampler!r} is none of evolution, random, nsga2")
        population, _ = self._sizes
        if population < 2:
            raise InputError(f"population = {population}: nsga2 needs at least 2")
        return NSGAIISampler(population_size=population, seed=seed)

    def header(self) -> dict[str, Any]:
        """What the storage remembers of the search."""
        population, tournament = self._sizes
        size = {"random": "", "nsga2": f"({population})"}.get(self.sampler, f"({population}, {tournament})")
        return {
            "space": self.space.name,
            "identity": self.identity,
            "operators": list(self.space.operators),
            "objectives": [str(o) for o in self.objectives],
            "sampler": self.sampler + size,
            "seed": self.seed,
        }

    def open(self, storage: BaseStorage | None = None) -> Ledger:
        """The study in the storage, new or resumed; in one that is open already, if it is given."""
        held = open_storage(self.storage) if storage is None else storage
        return Ledger(held, self.study, self.header(), len(self.objectives))
