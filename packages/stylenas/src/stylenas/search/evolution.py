"""Aging evolution (Real et al., 1802.01548), the search of StyleNAS (1906.02470), as a sampler of Optuna.

A population of the last P results; of S of them, drawn with replacement, the best is copied with one gene changed; the
child's result comes in, the oldest goes. The state is the history itself: whoever sees it can go on, so a search resumes
and has any number of asynchronous workers without another word.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from claimkit.errors import InputError


class AgingEvolution(BaseSampler):
    """Tournament selection, one mutation, death by age; random until the population is full.

    With several objectives the parent is drawn among those of the tournament that no other of it dominates.

    Args:
        population: Results alive, P.
        tournament: Draws with replacement, S; 1 is a random walk of the population, more is greedier.
        seed: Seed of the draws; None is unpredictable.

    Raises:
        InputError: A number below one.
    """

    def __init__(self, population: int = 50, tournament: int = 10, seed: int | None = None):
        if population < 1 or tournament < 1:
            raise InputError(f"population = {population}, tournament = {tournament}: both must be at least 1")
        self.population, self.tournament = population, tournament
        self._rng = np.random.default_rng(seed)
        self._random = RandomSampler(seed)

    def reseed_rng(self) -> None:
        """Forget the seed: Optuna asks this of every thread that it starts."""
        self._rng = np.random.default_rng()
        self._random.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The genes that all results have; none while the population fills."""
        alive = self._alive(study)
        if len(alive) < self.population:
            return {}
        shared = set.intersection(*(set(t.params) for t in alive))
        return {n: d for n, d in alive[-1].distributions.items() if n in shared}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The child of a tournament's winner."""
        if not search_space:
            return {}
        alive = self._alive(study)
        signs = np.array([1.0 if d == StudyDirection.MINIMIZE else -1.0 for d in study.directions])
        values = np.array([t.values for t in alive]) * signs
        parent = alive[select(values, self.tournament, self._rng)]
        child = {name: parent.params[name] for name in search_space}
        gene = sorted(search_space)[self._rng.integers(len(search_space))]  # one order, whatever the storage's
        child[gene] = _changed(child[gene], search_space[gene], self._rng)
        return child

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A uniform gene, while the population fills."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _alive(self, study: Study) -> list[FrozenTrial]:
        """The last results: whatever is older has died."""
        newest_first = reversed(study.get_trials(deepcopy=False))
        return list(islice((t for t in newest_first if t.state == TrialState.COMPLETE), self.population))[::-1]


def select(values: NDArray[np.float64], tournament: int, rng: np.random.Generator) -> int:
    """Index of the parent: the best of ``tournament`` draws with replacement; low is good.

    Args:
        values: Shape ``(population, objectives)``.
        tournament: How many are drawn.
        rng: Draws, and chooses where none is best in all objectives.
    """
    drawn = rng.integers(len(values), size=tournament)
    entrants = values[drawn]
    if values.shape[1] == 1:
        return int(drawn[entrants[:, 0].argmin()])
    better = (entrants[:, None] <= entrants).all(2) & (entrants[:, None] < entrants).any(2)
    return int(rng.choice(drawn[~better.any(0)]))


def _changed(value: Any, distribution: BaseDistribution, rng: np.random.Generator) -> Any:
    """Another value of the gene: for a bit, the other one."""
    if not isinstance(distribution, CategoricalDistribution):
        raise InputError(
            f"aging evolution changes genes of a fixed list of values, not {distribution}: use categorical ones"
        )
    others: Sequence[Any] = [c for c in distribution.choices if c != value]
    return others[rng.integers(len(others))] if others else value
