"""What was evaluated, what is being evaluated, and by whom: the trials of a study in shared storage.

A trial is created in one record together with its genome, so the numbers of trials are an order that all workers agree on.
Of two that claim one genome, or the last place in the budget, the lower number has it and the other withdraws. A worker
that died leaves a claim without a living owner; the next worker to look declares it lost, and it is evaluated again.
"""

import os
import platform
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.distributions import CategoricalDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from claimkit.errors import InputError
from stylenas.trials.state import State
from stylenas.trials.storage import end, quiet, studies

HEADER = "stylenas"
BEAT_SECONDS = 15.0
GRACE_SECONDS = 120.0
"""A claim from another machine whose owner has not been heard of for so long is lost."""
BIT = CategoricalDistribution((0, 1))


class Ledger:
    """A study of one space with one choice of objectives and sampler.

    Args:
        storage: Where.
        study: Its name.
        header: What it must hold: a study that holds something else is refused.
        objectives: How many values a trial has.

    Raises:
        InputError: The study holds another search.
    """

    def __init__(self, storage: BaseStorage, study: str, header: Mapping[str, Any], objectives: int = 1):
        self.storage = storage
        with quiet():
            if study in studies(storage):
                self.study = optuna.load_study(storage=storage, study_name=study)
            else:
                directions = [StudyDirection.MINIMIZE] * objectives
                self.study = optuna.create_study(
                    storage=storage, study_name=study, directions=directions, load_if_exists=True
                )
        held = self.study.user_attrs.get(HEADER)
        if held is None:
            if self.study.get_trials(deepcopy=False):
                raise InputError(f"the study {study!r} was not made by stylenas: choose another --study or --storage")
            self.study.set_user_attr(HEADER, dict(header))
        else:
            check_header(held, header)
        self._id = storage.get_study_id_from_name(study)
        self._owner = {"host": _machine(), "pid": os.getpid(), "started": psutil.Process().create_time()}
        self._heard: dict[int, tuple[int, float]] = {}
        self._last = State([])
        self._asks_once = not isinstance(storage, InMemoryStorage | JournalStorage)

    def read(self) -> State:
        """All trials as they are now; claims of the dead are declared lost first."""
        state = self._look()
        if dead := [t for t in state.running if self._is_dead(t)]:
            for t in dead:
                self._close(self._trial_id(t), TrialState.FAIL)
            state = self._look()
        self._last = state.settle()
        return self._last

    def claim(self, genome: str, params: Mapping[str, int], attributes: Mapping[str, Any], budget: int) -> int | None:
        """Begin an evaluation; None where another worker has the genome or the last place in the budget.

        Args:
            genome: Canonical.
            params: The bits as they were drawn, by operator.
            attributes: What the sampler wants to find again with them.
            budget: Evaluations that the search may have in all.
        """
        last = self._last  # as of before: others may end this trial, too
        trial = self._trial(TrialState.RUNNING, genome, params, attributes, {"owner": self._owner})
        trial_id = self.storage.create_new_trial(self._id, trial)
        mine = self.storage.get_trial_id_from_study_id_trial_number(self._id, len(last.trials))
        if mine == trial_id:  # numbers are an order: nobody has begun anything since
            before = last
        else:
            before = State(self.read().trials[: self.storage.get_trial_number_from_id(trial_id)], last.settled)
        if genome in before.known or before.count("evaluated", "failed", "running") >= budget:
            self._close(trial_id, TrialState.FAIL, withdrawn=True)
            return None
        return trial_id

    def copy(self, original: FrozenTrial, params: Mapping[str, int], attributes: Mapping[str, Any]) -> None:
        """Record that the sampler drew a genome whose values are known."""
        notes = {"copy": original.number, "terms": original.user_attrs["terms"]}
        genome = original.user_attrs["genome"]
        self.storage.create_new_trial(
            self._id, self._trial(TrialState.COMPLETE, genome, params, attributes, notes, original.values)
        )

    def finish(self, trial_id: int, terms: Mapping[str, float], values: Sequence[float]) -> None:
        """Record what an evaluation gave. Where others declared it lost in the meantime, theirs counts."""
        self._close(trial_id, TrialState.COMPLETE, values, terms=dict(terms))

    def fail(self, trial_id: int, reason: str) -> None:
        """Record that an evaluation has no value; it counts, and the genome is not tried again."""
        self._close(trial_id, TrialState.FAIL, failed=reason)

    def lose(self, trial_id: int, interrupted: bool = False) -> None:
        """Give a claim back: it is evaluated again, by whoever comes next; an interruption is no attempt."""
        notes: dict[str, Any] = {"interrupted": True} if interrupted else {}
        self._close(trial_id, TrialState.FAIL, None, **notes)

    @contextmanager
    def heartbeat(self, trial_id: int) -> Iterator[None]:
        """Tell other machines every now and then that the claim is alive."""
        over = threading.Event()

        def beat() -> None:
            count = 0
            while not over.wait(BEAT_SECONDS):
                count += 1
                self._note(trial_id, "beat", count)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _look(self) -> State:
        """All trials; after the first time only those are asked for that were not settled.

        A database is asked once for all that are new: Optuna keeps the others.
        """
        settled = self._last.settled
        if self._asks_once:
            return State(self.storage.get_all_trials(self._id, deepcopy=False), settled)
        if not settled.number:
            return State(self.storage.get_all_trials(self._id, deepcopy=False))
        trials = [*self._last.trials[: settled.number]]
        with suppress(KeyError):
            while True:
                trial_id = self.storage.get_trial_id_from_study_id_trial_number(self._id, len(trials))
                trials.append(self.storage.get_trial(trial_id))
        return State(trials, settled)

    def _trial(
        self,
        state: TrialState,
        genome: str,
        params: Mapping[str, int],
        attributes: Mapping[str, Any],
        notes: Mapping[str, Any],
        values: Sequence[float] | None = None,
    ) -> FrozenTrial:
        return create_trial(
            state=state,
            params=dict(params),
            distributions=dict.fromkeys(params, BIT),
            system_attrs=dict(attributes),
            user_attrs={"genome": genome, **notes},
            values=values,
        )

    def _is_dead(self, trial: FrozenTrial) -> bool:
        owner = trial.user_attrs.get("owner")
        if owner is None:
            return False
        if owner["host"] == self._owner["host"]:
            try:
                process = psutil.Process(owner["pid"])
                other = abs(process.create_time() - owner["started"]) > 1
                return other or process.status() == psutil.STATUS_ZOMBIE  # killed, and its parent has not asked yet
            except psutil.NoSuchProcess:
                return True
        beat, now = trial.user_attrs.get("beat", 0), time.monotonic()
        if self._heard.get(trial.number, (-1, now))[0] != beat:
            self._heard[trial.number] = (beat, now)
        return now - self._heard[trial.number][1] > GRACE_SECONDS

    def _trial_id(self, trial: FrozenTrial) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)

    def _note(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute unless the trial was closed by others."""
        try:
            self.storage.set_trial_user_attr(trial_id, key, value)
        except UpdateFinishedTrialError:
            return

    def _close(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None, **notes: Any) -> None:
        """End a trial with what is noted of it, unless others have."""
        with suppress(UpdateFinishedTrialError):
            end(self.storage, trial_id, state, values, notes)


def _machine() -> str:
    """Where the number of a process means something: names alone are alike in containers and in copies of one machine."""
    name = platform.node()
    with suppress(OSError):  # no Linux: the name has to do
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        name = f"{name} {boot} {os.stat('/proc/self/ns/pid').st_ino}"
    return name


def check_header(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a study that was begun with something else.

    Raises:
        InputError: The first thing that differs.
    """
    for key, value in wanted.items():
        if key == "identity":
            if held.get(key, value) != value:  # studies of before it was kept go on
                raise InputError(
                    f"the study holds the space {wanted['space']!r} with other data or another code: put them back, or "
                    "choose another --storage or --study (attributes that begin with _ do not count)"
                )
        elif held.get(key) != value:
            raise InputError(f"the study holds {key} {held.get(key)!r}, not {value!r}: choose another --storage or --study")
