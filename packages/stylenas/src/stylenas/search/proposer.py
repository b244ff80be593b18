"""What to try next: the sampler is asked on a private copy of the results."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.samplers import RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from stylenas.search.definition import Search
from stylenas.trials.ledger import BIT
from stylenas.trials.state import State
from stylenas.trials.storage import quiet


@dataclass
class Proposer:
    """Asks the sampler what to try, on a private copy of the results.

    Optuna's samplers write into the study while they sample. On a copy, a draw costs no access to the shared storage, and a
    trial appears there only whole. Each draw has a seed of its own, so a sequence goes on wherever the storage is.
    """

    search: Search
    mirror: optuna.Study = field(init=False)
    seen: set[int] = field(init=False, default_factory=set)
    settled: int = field(init=False, default=0)
    """Trials before this one are all finished and seen."""

    def __post_init__(self) -> None:
        """An empty copy."""
        with quiet():
            self.mirror = optuna.create_study(directions=[StudyDirection.MINIMIZE] * len(self.search.objectives))

    def draw(self, state: State, attempt: int, anywhere: bool = False) -> tuple[dict[str, int], dict[str, Any]]:
        """The bits of the next trial, and what the sampler wants kept with them; ``anywhere``: any bits, uniform."""
        arrived = [t for t in state.trials[self.settled :] if t.state == TrialState.COMPLETE and t.number not in self.seen]
        for t in sorted(arrived, key=_completed):
            self.mirror.add_trial(t)
            self.seen.add(t.number)
        self.settled = state.settled.number
        number = state.count("evaluated", "failed", "copy", "running")  # as if nothing had ever been lost
        sequence = np.random.SeedSequence([self.search.seed, number, attempt])
        seed = int(sequence.generate_state(1)[0])
        self.mirror.sampler = RandomSampler(seed) if anywhere else self.search.make_sampler(seed)
        draft = self.mirror.ask(dict.fromkeys(self.search.space.operators, BIT))
        kept = self.mirror.get_trials(deepcopy=False)[draft.number].system_attrs
        self.mirror.tell(draft, state=TrialState.FAIL)
        return draft.params, dict(kept)


def _completed(trial: FrozenTrial) -> Any:
    return trial.datetime_complete
