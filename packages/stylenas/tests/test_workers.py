"""Processes that share a storage: nothing is lost, nothing is counted twice, whoever is killed."""

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import datetime
from typing import get_args

import joblib
import numpy as np
import psutil
import pytest
from optuna.trial import TrialState

from claimkit.errors import InputError
from stylenas.objective import Objective
from stylenas.search.definition import Search
from stylenas.search.race import race
from stylenas.search.workers import run_search
from stylenas.table import Table
from stylenas.trials import ledger
from stylenas.trials.ledger import Ledger
from stylenas.trials.state import Kind, State
from stylenas.trials.storage import open_storage

OBJECTIVE = Objective.parse("quality + 0.1*operators")
HEADER = {"space": "s"}


def search(space, place, budget):
    return Search(space=space, objectives=[OBJECTIVE], budget=budget, population=10, tournament=4, storage=place)


def state_of(place):
    storage = open_storage(place)
    return State(storage.get_all_trials(storage.get_study_id_from_name("search"), deepcopy=False))


def ledgers(place, count=2):
    return [Ledger(open_storage(place), "s", HEADER) for _ in range(count)]


def params(genome):
    return {f"b{i}": int(c) for i, c in enumerate(genome)}


def test_two_workers_never_evaluate_the_same_genome(slow, tmp_path):
    from slow import Slow

    state = run_search(search(Slow(), tmp_path / "j", 60), workers=2)
    started = slow()
    assert state.done == len(started) == len({g for g, _ in started}) == 60
    assert len({pid for _, pid in started}) == 2, "one of the workers had nothing to do"
    assert not state.of("running", "lost")


def test_of_two_claims_of_one_genome_the_first_holds(tmp_path):
    a, b = ledgers(tmp_path / "j")
    assert a.claim("01", params("01"), {}, 10) is not None
    assert b.claim("01", params("01"), {}, 10) is None
    assert b.claim("11", params("11"), {}, 10) is not None
    assert Counter(b.read().kinds) == {"running": 2, "withdrawn": 1}


def test_what_a_ledger_remembers_is_what_a_fresh_reader_finds(tmp_path):
    """Evaluations end in every way and in any order; what is settled is not looked at again."""
    one, other = ledgers(tmp_path / "j")
    rng = np.random.default_rng(0)
    open_trials = []
    for step in range(60):
        genome = f"{rng.integers(32):05b}"
        known = one.read().known.get(genome)
        if known is None:
            open_trials.append((one if step % 2 else other).claim(genome, params(genome), {}, 100))
        elif known.state == TrialState.COMPLETE:
            one.copy(known, params(genome), {})
        if open_trials and rng.random() < 0.7:
            trial = open_trials.pop(rng.integers(len(open_trials)))
            end = rng.integers(3)
            one.finish(trial, {"x": 1.0}, [1.0]) if end == 0 else one.fail(trial, "x") if end == 1 else one.lose(trial)
        state = one.read()
        fresh = State(Ledger(open_storage(tmp_path / "j"), "s", HEADER).read().trials)
        assert list(state.trials) == list(fresh.trials)
        assert dict(state.known) == dict(fresh.known) and state.orphan == fresh.orphan
        assert all(state.count(k) == fresh.count(k) == fresh.kinds.count(k) for k in get_args(Kind))
        first = next((t.number for t in fresh.running), len(state.trials))
        assert state.settled.number == first and len(state.recent) == len(state.trials) - first
    assert set(state.kinds) >= {"evaluated", "failed", "copy", "lost"}


def test_the_last_place_in_the_budget_is_given_once(tmp_path):
    a, b = ledgers(tmp_path / "j")
    first = a.claim("00", params("00"), {}, 2)
    assert a.claim("01", params("01"), {}, 2) is not None
    assert b.claim("10", params("10"), {}, 2) is None
    a.lose(first)
    assert b.read().orphan.user_attrs["genome"] == "00"
    assert b.claim("00", params("00"), {}, 2) is not None
    assert b.read().orphan is None


def test_the_claim_of_a_dead_process_on_this_machine_is_lost_at_once(tmp_path):
    a, b = ledgers(tmp_path / "j")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    a._owner = a._owner | {"pid": dead.pid}
    a.claim("01", params("01"), {}, 5)
    dead.wait()
    assert b.read().kinds == ["lost"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no zombies")
def test_the_claim_of_a_dead_process_whose_parent_has_not_looked_is_lost_too(tmp_path):
    a, b = ledgers(tmp_path / "j")
    dead = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    a._owner = a._owner | {"pid": dead.pid, "started": psutil.Process(dead.pid).create_time()}
    a.claim("01", params("01"), {}, 5)
    assert b.read().kinds == ["running"]
    dead.kill()
    until = time.monotonic() + 60
    while psutil.Process(dead.pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert b.read().kinds == ["lost"]
    dead.communicate()


def test_a_process_that_took_over_the_number_of_a_dead_one_is_not_taken_for_it(tmp_path):
    a, b = ledgers(tmp_path / "j")
    a._owner = a._owner | {"started": a._owner["started"] - 1000}
    a.claim("01", params("01"), {}, 5)
    assert b.read().kinds == ["lost"]


def test_the_claim_of_another_machine_is_lost_when_it_falls_silent(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "GRACE_SECONDS", 3.0)  # a busy machine may hold a heartbeat up
    monkeypatch.setattr(ledger, "BEAT_SECONDS", 0.1)
    a, b = ledgers(tmp_path / "j")
    a._owner = a._owner | {"host": "elsewhere"}
    trial = a.claim("01", params("01"), {}, 5)
    with a.heartbeat(trial):
        until = time.monotonic() + 3.6
        while time.monotonic() < until:
            assert b.read().kinds == ["running"]
            time.sleep(0.05)
    assert b.read().kinds == ["running"]
    until = time.monotonic() + 60
    while b.read().kinds != ["lost"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    a.finish(trial, {"x": 1.0}, [1.0])  # it was alive after all: too late, and no error
    assert b.read().kinds == ["lost"]


def test_a_machine_of_the_same_name_is_another_machine(tmp_path, monkeypatch):
    """Two containers of one name: each took the other's workers for dead, as their numbers mean nothing here."""
    a, b = ledgers(tmp_path / "j")
    a._owner = a._owner | {"host": platform.node(), "pid": 2**22 + 1}
    a.claim("01", params("01"), {}, 5)
    assert b.read().kinds == ["running"]
    assert b._owner["host"].startswith(platform.node()) and b._owner["host"] == ledger._machine()


def test_what_others_closed_stays_closed(tmp_path):
    a, b = ledgers(tmp_path / "j")
    trial = a.claim("01", params("01"), {}, 5)
    b.finish(trial, {"x": 1.0}, [1.0])
    a.lose(trial)
    a.fail(trial, "late")
    assert a.read().kinds == ["evaluated"]


def test_a_killed_worker_is_survived_by_the_others(slow, tmp_path, monkeypatch):
    from slow import Slow

    monkeypatch.setenv("SLOW_SECONDS", "0.1")
    killed = []

    def watch(_):
        started = slow()
        if not killed and len(started) >= 8:
            killed.append(int(started[-1][1]))
            os.kill(killed[0], getattr(signal, "SIGKILL", signal.SIGTERM))

    state = run_search(search(Slow(), tmp_path / "j", 30), workers=2, watch=watch)
    counts = Counter(g for g, _ in slow())
    assert killed and state.done == 30 == len(counts)
    assert len(slow()) <= 31 and not state.of("running")
    assert set(counts) == {t.user_attrs["genome"] for t in state.of("evaluated")}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_search_goes_on_where_it_was(workers, slow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLOW_SECONDS", "0.1")
    code = "from stylenas.cli import main\nif __name__ == '__main__':\n    main()\n"
    (tmp_path / "run.py").write_text(code)
    command = [sys.executable, "run.py", "search", "--space", "slow:space", "--budget", "25", "--workers", str(workers)]
    command += ["--objectives", "quality", "--population", "10"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    while len(slow()) < 8:
        assert running.poll() is None
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    before = state_of("stylenas.journal")
    done = {t.user_attrs["genome"]: t.values for t in before.of("evaluated")}
    assert 1 <= len(done) < 25
    assert subprocess.run(command, stdout=subprocess.DEVNULL, timeout=600, check=False).returncode == 0
    after = state_of("stylenas.journal")
    kept = {t.user_attrs["genome"]: t.values for t in after.of("evaluated")}
    assert after.done == len(kept) == 25 and not after.of("running")
    assert done.items() <= kept.items(), "an evaluation was lost"
    assert len(slow()) <= 25 + workers, "something was evaluated twice that was finished"


def test_the_error_of_a_worker_is_one_sentence(slow, tmp_path):
    from slow import Slow

    plan = Search(space=Slow(), objectives=[Objective.parse("beauty")], budget=5, storage=tmp_path / "j")
    with pytest.raises(InputError, match="the objective asks for beauty"):
        run_search(plan, workers=2)


def test_a_line_that_a_crash_left_half_written_is_dropped(tmp_path):
    place = tmp_path / "j"
    run_search(search(Table(), place, 5))
    with place.open("ab") as f:
        f.write(b'{"op_code":4,"worker_id":"x","stu')
    assert run_search(search(Table(), place, 8)).done == 8
    for line in place.read_text().splitlines():
        json.loads(line)


@pytest.mark.parametrize("content", [b"hello", b"hello\n", b'{"a": 1}\n{"b', b"1\n2\n"])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(content, tmp_path):
    place = tmp_path / "j"
    place.write_bytes(content)
    with pytest.raises(InputError, match="no journal"):
        open_storage(place)
    assert place.read_bytes() == content


def test_a_study_of_somebody_else_is_refused(tmp_path):
    import optuna

    storage = open_storage(tmp_path / "j")
    study = optuna.create_study(storage=storage, study_name="search")
    study.add_trial(optuna.trial.create_trial(value=1.0, state=TrialState.COMPLETE))
    with pytest.raises(InputError, match="was not made by stylenas"):
        run_search(search(Table(), tmp_path / "j", 5))


def test_a_search_runs_in_the_processes_of_joblib():
    here = race(Table(3), OBJECTIVE, 20, ["evolution"], 0)
    there = joblib.Parallel(n_jobs=2)(joblib.delayed(race)(Table(3), OBJECTIVE, 20, ["evolution"], 0) for _ in range(2))
    assert there == [here] * 2


POISON = """
import os

class Poison:
    name, operators = "poison", [f"b{i}" for i in range(6)]
    def canonical(self, genome): return genome
    def evaluate(self, genome):
        with open(os.environ["SLOW_LOG"], "a") as log:
            log.write(f"{genome} {os.getpid()}\\n")
        with open(os.environ["SLOW_LOG"]) as log:
            third = log.read().split()[4:5]
        if third == [genome]:
            os.kill(os.getpid(), 9)
        return {"q": genome.count("1")}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_genome_that_kills_its_worker_is_given_up_and_the_search_ends(slow, tmp_path):
    """The third genome is deadly, wherever it is tried."""
    (tmp_path / "poison.py").write_text(POISON)
    from poison import Poison

    q = [Objective.parse("q")]
    plan = Search(space=Poison(), objectives=q, budget=8, sampler="random", storage=tmp_path / "j", max_attempts=2)
    state = run_search(plan, own_processes=True)
    deadly = slow()[2][0]
    assert state.done == 8 and Counter(g for g, _ in slow())[deadly] == 2 and len(slow()) == 9
    assert [t.user_attrs["genome"] for t in state.of("failed")] == [deadly]
    assert "2 times without a result" in state.of("failed")[0].user_attrs["failed"]


def test_threads_share_a_search_of_evaluations_that_wait(tmp_path):
    """As many wait at once as there are workers; each genome once, whatever the storage."""
    inside, enough = [], threading.Event()

    class Waiting(Table):
        def evaluate(self, genome):
            inside.append(genome)
            if len(inside) >= 4:
                enough.set()  # four have begun and none has ended
            assert enough.wait(60), "they do not wait at once"
            return super().evaluate(genome)

    for place in (None, tmp_path / "j"):
        inside.clear()
        enough.clear()
        state = run_search(search(Waiting(), place, 24), workers=6, kind="threads")
        genomes = [t.user_attrs["genome"] for t in state.of("evaluated")]
        assert state.done == 24 == len(set(genomes)) == len(inside)


def test_the_error_of_a_thread_ends_all():
    plan = Search(space=Table(), objectives=[Objective.parse("beauty")], budget=5)
    with pytest.raises(InputError, match="the objective asks for beauty"):
        run_search(plan, workers=3, kind="threads")
    with pytest.raises(InputError, match="processes or threads"):
        run_search(plan, workers=3, kind="fibres")


def test_a_folder_is_no_storage(tmp_path):
    with pytest.raises(InputError, match="is a folder"):
        open_storage(tmp_path)


def test_a_database_holds_what_a_journal_holds(tmp_path):
    """Parameters are written together; Optuna reads them as it reads its own."""
    import optuna

    address = f"sqlite:///{tmp_path / 's.db'}"
    by_place = [run_search(search(Table(), place, 12)).trials for place in (address, tmp_path / "j")]
    assert [(t.params, t.values, t.user_attrs["genome"]) for t in by_place[0]] == [
        (t.params, t.values, t.user_attrs["genome"]) for t in by_place[1]
    ]
    plain = optuna.load_study(storage=address, study_name="search").trials
    assert [(t.params, t.distributions) for t in plain] == [(t.params, t.distributions) for t in by_place[1]]


def test_in_a_database_a_trial_is_ended_once_and_with_all_that_is_noted(tmp_path):
    plan = search(Table(), f"sqlite:///{tmp_path / 's.db'}", 5)
    mine, theirs = plan.open(), plan.open()
    genome = "1" * 31
    claimed = mine.claim(genome, dict.fromkeys(Table().operators, 1), {"parent": 3}, 5)
    theirs.fail(claimed, "took too long")
    mine.finish(claimed, {"quality": 0.5}, [0.5])
    (trial,) = theirs.read().trials
    assert trial.values is None and trial.system_attrs == {"parent": 3}
    assert trial.user_attrs["failed"] == "took too long" and "terms" not in trial.user_attrs
    assert trial.datetime_start <= trial.datetime_complete <= datetime.now()
    again = mine.claim("0" * 31, dict.fromkeys(Table().operators, 0), {}, 5)
    mine.finish(again, {"quality": float("1e-300")}, [1e-300])
    assert plan.open().read().trials[1].values == [1e-300] and plan.open().read().trials[1].number == 1
