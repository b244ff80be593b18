"""The search: workers that propose, claim, evaluate and record, until the budget is spent."""

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from paperkit import run
from paperkit.errors import InputError
from stylenas.evolution import AgingEvolution
from stylenas.ledger import BIT, Ledger, State
from stylenas.objective import Objective
from stylenas.space import Space, check_space
from stylenas.storage import open_storage

SamplerName = Literal["evolution", "random", "nsga2"]
POLL_SECONDS = 0.1
EXHAUSTED = 300
"""Draws in a row of nothing new after which the space counts as exhausted."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """What is searched, how, and where it is kept; the same search resumes what it finds in its storage.

    Attributes:
        space: The space, and what its genomes are worth.
        objectives: What is minimised; several make the search multi-objective.
        budget: Evaluations of different canonical genomes in all, those of earlier runs included.
        sampler: evolution, random or nsga2.
        population: Of evolution and nsga2.
        tournament: Of evolution.
        seed: Seed of all draws.
        storage: Journal file or database address; None is memory.
        study: Name of the study in the storage.
    """

    space: Space
    objectives: Sequence[Objective]
    budget: int = 200
    sampler: SamplerName = "evolution"
    population: int = 50
    tournament: int = 10
    seed: int = 0
    storage: str | Path | None = None
    study: str = "search"

    def __post_init__(self) -> None:
        """Refuse numbers out of range and a space that is none."""
        check_space(self.space)
        if self.budget < 1:
            raise InputError(f"budget = {self.budget}: a search needs at least one evaluation")
        if not self.objectives:
            raise InputError("a search needs at least one objective")
        if self.seed < 0:
            raise InputError(f"seed = {self.seed}: choose a number that is not negative")
        self.make_sampler(0)

    def make_sampler(self, seed: int) -> BaseSampler:
        """The sampler for one draw."""
        if self.sampler == "evolution":
            return AgingEvolution(self.population, self.tournament, seed)
        if self.sampler == "random":
            return RandomSampler(seed)
        if self.sampler != "nsga2":
            raise InputError(f"sampler {self.sampler!r} is none of evolution, random, nsga2")
        if self.population < 2:
            raise InputError(f"population = {self.population}: nsga2 needs at least 2")
        return NSGAIISampler(population_size=self.population, seed=seed)

    def header(self) -> dict[str, Any]:
        """What the storage remembers of the search."""
        size = {"random": "", "nsga2": f"({self.population})"}.get(self.sampler, f"({self.population}, {self.tournament})")
        return {
            "space": self.space.name,
            "operators": list(self.space.operators),
            "objectives": [str(o) for o in self.objectives],
            "sampler": self.sampler + size,
            "seed": self.seed,
        }

    def open(self) -> Ledger:
        """The study in the storage, new or resumed."""
        return Ledger(open_storage(self.storage), self.study, self.header(), len(self.objectives))


@dataclass
class Proposer:
    """Asks the sampler what to try, on a private copy of the results.

    Optuna's samplers write into the study while they sample. On a copy, a draw costs no access to the shared storage, and a
    trial appears there only whole. Each draw has a seed of its own, so a sequence goes on wherever the storage is.
    """

    search: Search
    mirror: optuna.Study = field(init=False)
    seen: set[int] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        """An empty copy."""
        self.mirror = optuna.create_study(directions=["minimize"] * len(self.search.objectives))

    def draw(self, state: State, attempt: int) -> tuple[dict[str, int], dict[str, Any]]:
        """The bits of the next trial, and what the sampler wants kept with them."""
        arrived = [t for t in state.of("evaluated", "copy") if t.number not in self.seen]
        for t in sorted(arrived, key=_completed):
            self.mirror.add_trial(t)
            self.seen.add(t.number)
        number = len(state.of("evaluated", "failed", "copy", "running"))  # as if nothing had ever been lost
        sequence = np.random.SeedSequence([self.search.seed, number, attempt])
        self.mirror.sampler = self.search.make_sampler(int(sequence.generate_state(1)[0]))
        draft = self.mirror.ask(dict.fromkeys(self.search.space.operators, BIT))
        kept = self.mirror.get_trials(deepcopy=False)[draft.number].system_attrs
        self.mirror.tell(draft, state=TrialState.FAIL)
        return draft.params, dict(kept)


def work(search: Search, ledger: Ledger, watch: Callable[[State], None] | None = None) -> None:
    """Propose, claim, evaluate and record until the budget is spent or nothing new is drawn any more.

    Args:
        search: What is searched.
        ledger: Its study.
        watch: Called after every evaluation.

    Raises:
        InputError: The evaluation does not give what an objective asks for.
    """
    proposer, attempt, idle = Proposer(search), 0, 0
    while (state := ledger.read()).done < search.budget and idle < EXHAUSTED and _parent_lives():
        if state.done + len(state.of("running")) >= search.budget:
            time.sleep(POLL_SECONDS)  # others have the rest; one of them may die
            continue
        if orphan := state.orphan:
            params, kept = orphan.params, orphan.system_attrs
        else:
            params, kept = proposer.draw(state, attempt)
        genome = search.space.canonical("".join(str(params[o]) for o in search.space.operators))
        if known := state.known.get(genome):
            idle += 1
            if known.state == TrialState.COMPLETE:
                ledger.copy(known, params, kept)
            else:
                attempt += 1  # failed, or in another worker's hands: draw again
            continue
        trial_id = ledger.claim(genome, params, kept, search.budget)
        attempt = idle = 0
        if trial_id is not None:
            _evaluate(search, ledger, trial_id, genome)
            if watch:
                watch(ledger.read())


def run_search(
    search: Search,
    workers: int = 1,
    watch: Callable[[State], None] | None = None,
    threads: int | None = None,
    own_processes: bool = False,
) -> State:
    """Run a search to the end of its budget, in this process or in several; what is in the storage already counts.

    Args:
        search: What is searched.
        workers: Processes; more machines join by running the same search on the same storage.
        watch: Called with the state while it goes on.
        threads: Of torch in each worker process; by default the cores, shared evenly.
        own_processes: Whether a single worker has a process of its own, too.

    Raises:
        InputError: Bad numbers, a storage that holds another search, several workers without storage to share.
        RuntimeError: All workers were killed before the budget was spent.
    """
    if workers < 1:
        raise InputError(f"workers = {workers}: a search needs at least one")
    apart = workers > 1 or own_processes
    if apart and search.storage is None:
        raise InputError("several workers need a --storage to share")
    ledger = search.open()
    if prepare := getattr(search.space, "prepare", None):
        prepare()
    if not apart:
        work(search, ledger, watch)
        return ledger.read()
    context = multiprocessing.get_context("spawn")
    errors = context.SimpleQueue()
    threads = threads or max(1, (os.cpu_count() or 1) // workers)
    processes = [context.Process(target=_process, args=(search, threads, errors)) for _ in range(workers)]
    for p in processes:
        p.start()
    try:
        while any(p.is_alive() for p in processes):
            time.sleep(POLL_SECONDS)
            if watch:
                watch(ledger.read())
    except BaseException:
        for p in processes:
            p.terminate()
        raise
    finally:
        for p in processes:
            p.join()
    state = ledger.read()
    if not errors.empty():
        raise InputError(errors.get())
    if state.done < search.budget and any(p.exitcode for p in processes):
        raise RuntimeError(f"all workers ended early (exit codes {[p.exitcode for p in processes]}); the same call goes on")
    return state


def _evaluate(search: Search, ledger: Ledger, trial_id: int, genome: str) -> None:
    """Evaluate one genome; whatever interrupts it gives the claim back."""
    try:
        with ledger.heartbeat(trial_id):
            terms: Mapping[str, float] = {k: float(v) for k, v in search.space.evaluate(genome).items()}
            values = [o.of(terms) for o in search.objectives]
    except BaseException:
        ledger.lose(trial_id)
        raise
    bad = [n for n, v in terms.items() if not math.isfinite(v)]
    if bad or not all(math.isfinite(v) for v in values):
        ledger.fail(trial_id, f"{', '.join(bad) or 'the objective'} not finite")
    else:
        ledger.finish(trial_id, terms, values)


def _process(search: Search, threads: int, errors: Any) -> None:
    """Body of a worker process; told to end, it gives its claim back first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    run.limit_threads(threads)
    try:
        work(search, search.open())
    except InputError as e:
        errors.put(str(e))
    except KeyboardInterrupt:
        pass


def _parent_lives() -> bool:
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()


def _completed(trial: FrozenTrial) -> Any:
    return trial.datetime_complete
