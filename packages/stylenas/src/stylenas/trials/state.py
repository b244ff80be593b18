"""The trials of a study at one moment, and what each of them is."""

from collections import ChainMap, Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile
from typing import Literal

from optuna.trial import FrozenTrial, TrialState

Kind = Literal["running", "evaluated", "failed", "copy", "withdrawn", "lost"]


def kind(trial: FrozenTrial) -> Kind:
    """What a trial is. Evaluated and failed ones were worked on and count; a copy repeats a known genome and does not."""
    if not trial.state.is_finished():
        return "running"
    if trial.state == TrialState.COMPLETE:
        return "copy" if "copy" in trial.user_attrs else "evaluated"
    return "failed" if "failed" in trial.user_attrs else "withdrawn" if "withdrawn" in trial.user_attrs else "lost"


@dataclass(frozen=True)
class Settled:
    """The first trials of a study, as far as all of them are finished: they stay what they are and are looked at once."""

    number: int = 0
    counts: Counter[Kind] = field(default_factory=Counter)
    known: dict[str, FrozenTrial] = field(default_factory=dict)
    lost: Sequence[FrozenTrial] = ()


@dataclass(frozen=True)
class State:
    """All trials at one moment."""

    trials: Sequence[FrozenTrial]
    settled: Settled = Settled()

    @cached_property
    def recent(self) -> list[tuple[FrozenTrial, Kind]]:
        """The trials that are not settled yet."""
        return [(t, kind(t)) for t in self.trials[self.settled.number :]]

    @property
    def kinds(self) -> list[Kind]:
        """What each trial is."""
        return [kind(t) for t in self.trials]

    def of(self, *wanted: Kind) -> list[FrozenTrial]:
        """The trials of some kinds; looks at all."""
        return [t for t in self.trials if kind(t) in wanted]

    def count(self, *wanted: Kind) -> int:
        """How many trials are of some kinds."""
        return sum(self.settled.counts[k] for k in wanted) + sum(k in wanted for _, k in self.recent)

    @property
    def running(self) -> list[FrozenTrial]:
        """Trials that are being evaluated."""
        return [t for t, k in self.recent if k == "running"]

    @cached_property
    def known(self) -> Mapping[str, FrozenTrial]:
        """Canonical genomes that are evaluated, failed or running, each with its first trial."""
        recent: dict[str, FrozenTrial] = {}
        for t, k in self.recent:
            if k in ("evaluated", "failed", "running"):
                recent.setdefault(t.user_attrs["genome"], t)
        return ChainMap(self.settled.known, recent)

    @property
    def done(self) -> int:
        """Evaluations that count: each is a different canonical genome."""
        return self.count("evaluated", "failed")

    @property
    def orphan(self) -> FrozenTrial | None:
        """A lost evaluation that nobody has taken up."""
        lost = [*self.settled.lost, *(t for t, k in self.recent if k == "lost")]
        return next((t for t in lost if t.user_attrs["genome"] not in self.known), None)

    def attempts(self, genome: str) -> int:
        """How often an evaluation of a genome ended without a result, by a death or an error; interruptions do not count."""
        lost = [*self.settled.lost, *(t for t, k in self.recent if k == "lost")]
        return sum(t.user_attrs["genome"] == genome and "interrupted" not in t.user_attrs for t in lost)

    @property
    def copies(self) -> int:
        """How many draws of known genomes were the last things that happened."""
        return sum(1 for _ in takewhile(lambda t: kind(t) == "copy", reversed(self.trials)))

    def settle(self) -> "State":
        """The same, with what has finished since among the settled."""
        finished = list(takewhile(lambda entry: entry[1] != "running", self.recent))
        if not finished:
            return self
        old = self.settled
        known = dict(old.known)
        for t, k in finished:
            if k in ("evaluated", "failed"):
                known.setdefault(t.user_attrs["genome"], t)
        lost = [*old.lost, *(t for t, k in finished if k == "lost")]
        counts = old.counts + Counter[Kind](k for _, k in finished)
        return State(self.trials, Settled(old.number + len(finished), counts, known, lost))


def all_failed(state: State) -> str:
    """A sentence on evaluations of which every one failed."""
    failed = state.of("failed")
    genome, reason = (failed[0].user_attrs[k] for k in ("genome", "failed"))
    return f"all {len(failed)} evaluations failed, the first with {reason}: try evaluate({genome!r}) in Python"
