"""Searchers side by side: the same budget of evaluations on the same space."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from stylenas.objective import Objective
from stylenas.results import Results
from stylenas.search.definition import SamplerName, Search
from stylenas.search.workers import run_search
from stylenas.space import Space


@dataclass(frozen=True)
class Course:
    """What a search found: its best value after each evaluation, two terms of each, how often it drew what it knew."""

    best: list[float]
    points: list[tuple[float, float]]
    copies: int


def race(
    space: Space,
    objective: Objective,
    budget: int,
    samplers: Sequence[SamplerName],
    seed: int,
    terms: tuple[str, str] = ("operators", "quality"),
) -> dict[str, Course]:
    """Run each sampler in memory, with the settings of StyleNAS.

    Samplers begin with the same random genomes; what one has evaluated, the next need not wait for again.
    """
    found, space = {}, _Remembered(space)
    for sampler in samplers:
        search = Search(space=space, objectives=[objective], budget=budget, sampler=sampler, seed=seed)
        results = Results.of(search.header(), run_search(search))
        values, low, best = results.values(objective).tolist(), float("inf"), []
        for v in values:
            low = min(low, v)
            best.append(low)
        points = [(t.user_attrs["terms"][terms[0]], t.user_attrs["terms"][terms[1]]) for t in results.trials]
        found[sampler] = Course(best, points, results.copies)
    return found


class _Remembered:
    """A space that evaluates a genome once, whoever asks."""

    def __init__(self, space: Space):
        self.name, self.operators, self.canonical = space.name, space.operators, space.canonical
        self.evaluate = cache(space.evaluate)
