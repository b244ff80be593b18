"""Workers: propose, claim, evaluate and record, until the budget is spent; in this process, in several, or in threads."""

import math
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, Literal

from optuna.trial import TrialState

from claimkit import run
from claimkit.errors import InputError
from stylenas.search.definition import Search
from stylenas.search.proposer import Proposer
from stylenas.space import canonical, checked_terms, reason
from stylenas.trials.ledger import Ledger
from stylenas.trials.state import State, all_failed

POLL_SECONDS = 0.1
DEAD_END = 50
"""Draws in a row of nothing new after which the sampler is left out, and genomes are drawn from the whole space."""
EXHAUSTED = 300
"""Draws in a row of nothing new after which the space counts as exhausted."""
HOPELESS = 5
"""Failures by an exception without one success after which it is the code that fails, not a genome."""

Kind = Literal["processes", "threads"]


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
        InputError: The evaluation does not give what an objective asks for, or the first ones all failed by exceptions.
    """
    proposer, attempt, copies = Proposer(search), 0, ledger.read().copies
    while (state := ledger.read()).done < search.budget and copies + attempt < EXHAUSTED and wanted():
        if state.count("evaluated", "failed", "running") >= search.budget:
            time.sleep(POLL_SECONDS)  # others have the rest; one of them may die
            continue
        if orphan := state.orphan:
            params, kept = orphan.params, orphan.system_attrs
        else:
            params, kept = proposer.draw(state, attempt, copies + attempt >= DEAD_END)
        genome = canonical(search.space, "".join(str(params[o]) for o in search.space.operators))
        if known := state.known.get(genome):
            if known.state == TrialState.COMPLETE:
                ledger.copy(known, params, kept)
                copies, attempt = copies + 1, 0
            else:
                attempt += 1  # failed, or in another worker's hands: draw again
            continue
        trial_id = ledger.claim(genome, params, kept, search.budget)
        copies = attempt = 0
        if trial_id is None:
            continue
        if (tried := state.attempts(genome)) >= search.max_attempts:
            ledger.fail(
                trial_id, f"ended {tried} times without a result: its worker was killed, or it raised what is not caught"
            )
        else:
            _evaluate(search, ledger, trial_id, genome)
        if watch:
            watch(ledger.read())


def run_search(
    search: Search,
    workers: int = 1,
    watch: Callable[[State], None] | None = None,
    threads: int | None = None,
    own_processes: bool = False,
    kind: Kind = "processes",
) -> State:
    """Run a search to the end of its budget, in this process or in several; what is in the storage already counts.

    A process that is killed is started again, until so many in a row have done nothing that it cannot be a genome.

    Args:
        search: What is searched.
        workers: How many; more machines join by running the same search on the same storage.
        watch: Called with the state while it goes on.
        threads: Of torch in each worker process; by default the cores, shared evenly.
        own_processes: Whether a single worker has a process of its own, too.
        kind: ``threads`` keeps the workers in this process: for evaluations that wait for something else, such as a cluster.

    Raises:
        InputError: Bad numbers, a storage that holds another search, several processes without storage to share, or the
            first evaluations all failed.
        RuntimeError: Workers were killed again and again without a result.
    """
    if workers < 1:
        raise InputError(f"workers = {workers}: a search needs at least one")
    if kind not in ("processes", "threads"):
        raise InputError(f"kind = {kind!r}: workers are processes or threads")
    apart = kind == "processes" and (workers > 1 or own_processes)
    if apart and search.storage is None:
        raise InputError("several processes need a --storage to share")
    ledger = search.open()
    if prepare := getattr(search.space, "prepare", None):
        prepare()
    if apart:
        return _in_processes(search, ledger, workers, watch, threads or max(1, (os.cpu_count() or 1) // workers))
    if workers == 1:
        work(search, ledger, watch)
    else:
        _in_threads(search, ledger, workers, watch)
    return ledger.read()


def _in_threads(search: Search, ledger: Ledger, workers: int, watch: Callable[[State], None] | None) -> None:
    """Workers that share this process and its connection; the first error ends all of them."""
    over = threading.Event()
    lock = threading.Lock()

    def told(state: State) -> None:
        if watch:
            with lock:
                watch(state)

    with ThreadPoolExecutor(workers) as pool:
        try:
            ledgers = [search.open(ledger.storage) for _ in range(workers)]
            futures = [pool.submit(work, search, mine, told, lambda: not over.is_set()) for mine in ledgers]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:
            over.set()


def _in_processes(
    search: Search, ledger: Ledger, workers: int, watch: Callable[[State], None] | None, threads: int
) -> State:
    """Workers of their own; those that are killed are started again while the search gets on."""
    context = multiprocessing.get_context("spawn")
    errors = context.SimpleQueue()

    def start() -> Any:
        process = context.Process(target=_process, args=(search, threads, errors))
        process.start()
        return process

    processes, deaths, done = [start() for _ in range(workers)], 0, 0
    try:
        while any(p.is_alive() for p in processes):
            time.sleep(POLL_SECONDS)
            killed = [i for i, p in enumerate(processes) if p.exitcode is not None and p.exitcode < 0]
            if watch or killed:
                state = ledger.read()
                deaths, done = (0, state.done) if state.done > done else (deaths, done)
                if watch:
                    watch(state)
                for i in killed if errors.empty() and state.done < search.budget else ():
                    deaths += 1
                    if deaths <= workers * (search.max_attempts + 1):
                        processes[i] = start()
    except BaseException:
        for p in processes:
            p.terminate()
        raise
    finally:
        for p in processes:
            p.join()
    state = ledger.read()
    if not errors.empty():
        refused, sentence = errors.get()
        raise (InputError if refused else RuntimeError)(sentence)
    if state.done < search.budget and any(p.exitcode for p in processes):
        raise RuntimeError(f"all workers ended early (exit codes {[p.exitcode for p in processes]}); the same call goes on")
    return state


def _evaluate(search: Search, ledger: Ledger, trial_id: int, genome: str) -> None:
    """Evaluate one genome; whatever interrupts it gives the claim back, an exception that is caught is its failure."""
    try:
        with ledger.heartbeat(trial_id):
            given = search.space.evaluate(genome)
    except InputError:
        ledger.lose(trial_id)
        raise
    except search.catch as e:
        ledger.fail(trial_id, reason(e))
        state = ledger.read()
        if not state.count("evaluated") and state.count("failed") >= HOPELESS:
            raise InputError(all_failed(state)) from e
        return
    except BaseException as e:
        ledger.lose(trial_id, interrupted=isinstance(e, KeyboardInterrupt | SystemExit))
        raise
    try:
        terms = checked_terms(search.space, genome, given)
        values = [o.of(terms) for o in search.objectives]
    except BaseException:
        ledger.lose(trial_id)
        raise
    bad = [n for n, v in terms.items() if not math.isfinite(v)]
    if bad or not all(math.isfinite(v) for v in values):
        ledger.fail(trial_id, f"{', '.join(bad) or 'the objective'} not finite")
    else:
        ledger.finish(trial_id, terms, values)


def reasons(state: State) -> Sequence[tuple[str, int]]:
    """Why evaluations failed, the most frequent first."""
    counts: dict[str, int] = {}
    for t in state.of("failed"):
        reason = t.user_attrs["failed"]
        counts[reason] = counts.get(reason, 0) + 1
    return sorted(counts.items(), key=lambda entry: -entry[1])


def _process(search: Search, threads: int, errors: Any) -> None:
    """Body of a worker process; told to end, it gives its claim back first, and without its parent it goes no further."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run.limit_threads(threads)
    try:
        work(search, search.open(), wanted=parent.is_alive)
    except InputError as e:
        errors.put((True, str(e)))
    except RuntimeError as e:
        errors.put((False, str(e)))
        raise
    except KeyboardInterrupt:
        pass
