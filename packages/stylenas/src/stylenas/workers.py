"""Workers: propose, claim, evaluate and record, until the budget is spent; in this process or in several."""

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from optuna.trial import TrialState

from claimkit import run
from claimkit.errors import InputError
from stylenas.ledger import Ledger, State
from stylenas.proposer import Proposer
from stylenas.search import Search

POLL_SECONDS = 0.1
EXHAUSTED = 300
"""Draws in a row of nothing new after which the space counts as exhausted."""


def work(
    search: Search,
    ledger: Ledger,
    watch: Callable[[State], None] | None = None,
    wanted: Callable[[], bool] = lambda: True,
) -> None:
    """Propose, claim, evaluate and record until the budget is spent or nothing new is drawn any more.

    Args:
        search: What is searched.
        ledger: Its study.
        watch: Called after every evaluation.
        wanted: Whether to go on; asked before every draw.

    Raises:
        InputError: The evaluation does not give what an objective asks for.
    """
    proposer, attempt, idle = Proposer(search), 0, 0
    while (state := ledger.read()).done < search.budget and idle < EXHAUSTED and wanted():
        if state.count("evaluated", "failed", "running") >= search.budget:
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
                attempt = 0
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
    """Body of a worker process; told to end, it gives its claim back first, and without its parent it goes no further."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run.limit_threads(threads)
    try:
        work(search, search.open(), wanted=parent.is_alive)
    except InputError as e:
        errors.put(str(e))
    except KeyboardInterrupt:
        pass
