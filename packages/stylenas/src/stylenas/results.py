"""What a search found: its evaluations in order, the best of them, the front."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from claimkit.errors import InputError
from stylenas.front import non_dominated
from stylenas.objective import Objective
from stylenas.search.confirm import confirmed
from stylenas.trials.ledger import HEADER
from stylenas.trials.state import State, all_failed
from stylenas.trials.storage import studies


@dataclass(frozen=True)
class Results:
    """The evaluated genomes of a study, each once, in the order in which they were begun.

    Attributes:
        header: What was searched.
        trials: Evaluations.
        copies: How often the sampler drew what was known.
        failed: Evaluations without a value.
        again: Of the best, the terms of other seeds, by genome and seed.
    """

    header: dict[str, Any]
    trials: Sequence[FrozenTrial]
    copies: int
    failed: int
    again: Mapping[str, Mapping[int, Mapping[str, float]]] = field(default_factory=dict)

    @classmethod
    def read(cls, storage: BaseStorage, study: str) -> "Results":
        """From a storage.

        Raises:
            InputError: It has no such study, or one that was not made here, or nothing was evaluated yet.
        """
        if study not in (names := studies(storage)):
            raise InputError(f"the storage holds no study {study!r}: it has {', '.join(names) or 'none'}")
        study_id = storage.get_study_id_from_name(study)
        attributes = storage.get_study_user_attrs(study_id)
        header = attributes.get(HEADER)
        if header is None:
            raise InputError(f"the study {study!r} was not made by stylenas")
        state = State(storage.get_all_trials(study_id, deepcopy=False))
        return replace(cls.of(header, state), again=confirmed(attributes))

    @classmethod
    def of(cls, header: dict[str, Any], state: State) -> "Results":
        """From the state of a search."""
        if not (trials := state.of("evaluated")):
            nothing = "nothing was evaluated yet: let the search go on"
            raise InputError(all_failed(state) if state.count("failed") else nothing)
        return cls(header, trials, len(state.of("copy")), len(state.of("failed")))

    @property
    def objectives(self) -> list[Objective]:
        """Of the search."""
        return [Objective.parse(o) for o in self.header["objectives"]]

    def genome(self, index: int) -> str:
        """Canonical genome of an evaluation."""
        return self.trials[index].user_attrs["genome"]

    def values(self, objective: Objective) -> NDArray[np.float64]:
        """An objective of every evaluation, shape ``(evaluations,)``, whether the search minimised it or not."""
        return np.array([objective.of(t.user_attrs["terms"]) for t in self.trials])

    def best(self, objective: Objective, count: int = 1) -> list[int]:
        """Indices of the lowest values."""
        return self.values(objective).argsort(kind="stable")[:count].tolist()

    def front(self, *objectives: Objective) -> list[int]:
        """Indices of what no other evaluation dominates, by the first objective."""
        points = np.stack([self.values(o) for o in objectives], 1)
        return sorted(non_dominated(points).tolist(), key=lambda i: float(points[i, 0]))
