"""One worker: budget, copies, failures, resume. Several: see test_workers."""

import numpy as np
import pytest

from claimkit.errors import InputError
from stylenas.ledger import State
from stylenas.objective import Objective
from stylenas.search import Search
from stylenas.storage import open_storage
from stylenas.table import Table
from stylenas.workers import run_search

OBJECTIVE = Objective.parse("quality + 0.1*operators")


class Ones:
    """The number of ones, of bits of which the last means nothing."""

    def __init__(self, bits=6, bad=()):
        self.name, self.operators, self.bad, self.calls = f"ones {bits}", [f"b{i}" for i in range(bits)], bad, []

    def canonical(self, genome):
        return genome[:-1] + "0"

    def evaluate(self, genome):
        self.calls.append(genome)
        if genome in self.bad:
            return {"ones": float("nan")}
        return {"ones": float(genome.count("1"))}


def plan(space, budget=40, **options):
    return Search(space=space, objectives=options.pop("objectives", [Objective.parse("ones")]), budget=budget, **options)


@pytest.mark.parametrize(("sampler", "budget"), [("evolution", 40), ("random", 40), ("nsga2", 30)])
def test_each_canonical_genome_is_evaluated_once_and_the_budget_counts_these(sampler, budget):
    space = Ones(8)
    state = run_search(plan(space, budget, sampler=sampler, population=10))
    assert state.done == len(space.calls) == len(set(space.calls)) == budget
    assert all(g.endswith("0") for g in space.calls)
    by_genome = {t.user_attrs["genome"]: t.value for t in state.of("evaluated")}
    assert state.of("copy"), "half of the draws of 128 genomes should be known"
    assert all(t.value == by_genome[t.user_attrs["genome"]] for t in state.of("copy"))


def test_an_exhausted_space_ends_the_search():
    space = Ones(5)
    state = run_search(plan(space, 100, sampler="random"))
    assert state.done == len(space.calls) == 16


def test_nan_is_recorded_as_failed_counts_and_is_not_tried_again():
    bad = {f"{i:08b}0" for i in range(0, 256, 4)}
    space = Ones(9, bad)
    state = run_search(plan(space, 25, population=8))
    assert len(space.calls) == len(set(space.calls)) == 25
    assert {t.user_attrs["genome"] for t in state.of("failed")} == bad & set(space.calls) != set()
    assert all("ones not finite" in t.user_attrs["failed"] for t in state.of("failed"))


@pytest.mark.parametrize(
    ("sampler", "place"), [("evolution", "s.journal"), ("random", "s.journal"), ("evolution", "sqlite:///search.db")]
)  # after a restart Optuna's NSGA-II has its parents in another order
def test_a_search_in_two_parts_is_the_search_in_one(sampler, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"objectives": [OBJECTIVE], "sampler": sampler, "population": 8, "tournament": 4, "seed": 3}
    whole = run_search(plan(Table(1), 20, **options)).trials
    run_search(plan(Table(1), 12, storage=place, **options))
    parts = run_search(plan(Table(1), 20, storage=place, **options)).trials
    assert [(t.params, t.values) for t in parts] == [(t.params, t.values) for t in whole]


def test_seeds_differ_and_repeat():
    def genomes(seed):
        return [t.user_attrs["genome"] for t in run_search(plan(Ones(9), 20, seed=seed, population=5)).trials]

    assert genomes(0) == genomes(0) != genomes(1)


def test_several_objectives_find_a_front():
    objectives = [Objective.parse("quality"), Objective.parse("macs")]
    state = run_search(plan(Table(0), 180, objectives=objectives, population=50))
    values = np.array([t.values for t in state.of("evaluated")])
    early, late = values[:60], values[120:]
    assert late.mean(0)[0] < early.mean(0)[0] or late.mean(0)[1] < early.mean(0)[1]
    assert (values.min(0) < early.mean(0)).all()


def test_what_breaks_in_an_evaluation_is_raised_and_the_genome_is_tried_again(tmp_path):
    class Broken(Ones):
        def evaluate(self, genome):
            if len(self.calls) == 5:
                self.calls.append("broken")
                raise ZeroDivisionError
            return super().evaluate(genome)

    space, place = Broken(8), tmp_path / "j"
    with pytest.raises(ZeroDivisionError):
        run_search(plan(space, 20, storage=place, seed=1))
    lost = [t.user_attrs["genome"] for t in State(open_storage(place).get_all_trials(0, deepcopy=False)).of("lost")]
    state = run_search(plan(space, 20, storage=place, seed=1))
    assert len(lost) == 1 and state.done == 20
    assert space.calls[6] == lost[0], "the lost genome comes first"
    again = run_search(plan(Ones(8), 20, seed=1))
    assert [t.user_attrs["genome"] for t in again.of("evaluated")] == [c for c in space.calls if c != "broken"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"space": Ones(7)}, "the study holds space 'ones 6', not 'ones 7'"),
        ({"objectives": [Objective.parse("2*ones")]}, "the study holds objectives"),
        ({"sampler": "random"}, "the study holds sampler 'evolution"),
        ({"seed": 5}, "the study holds seed 0, not 5"),
    ],
)
def test_storage_that_holds_another_search_is_refused(change, sentence, tmp_path):
    options = {"space": Ones(6), "budget": 3, "storage": tmp_path / "j"}
    run_search(plan(**options))
    with pytest.raises(InputError, match=sentence.replace("(", r"\(")):
        run_search(plan(**options | change))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"budget": 0}, "budget = 0"),
        ({"population": 0}, "population = 0"),
        ({"sampler": "annealing"}, "none of evolution, random, nsga2"),
        ({"objectives": []}, "at least one objective"),
        ({"space": 3}, "3 is no space"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_bad_numbers_are_refused_before_anything_runs(change, sentence):
    with pytest.raises(InputError, match=sentence):
        plan(**{"space": Ones(6), "budget": 3} | change)


def test_an_objective_that_asks_for_a_term_that_is_not_there():
    with pytest.raises(InputError, match="gives ones, but the objective asks for twos"):
        run_search(plan(Ones(6), 5, objectives=[Objective.parse("twos")]))


def test_more_workers_than_one_need_storage():
    with pytest.raises(InputError, match="--storage"):
        run_search(plan(Ones(6)), workers=2)
    with pytest.raises(InputError, match="workers = 0"):
        run_search(plan(Ones(6)), workers=0)


@pytest.mark.parametrize("text", ["", "a b", "0.1*", "a + a", "1e999*a", "a*b"])
def test_objectives_that_mean_nothing(text):
    with pytest.raises(InputError):
        Objective.parse(text)


def test_objectives_are_written_as_they_are_read():
    for text in ("published", "macs", "0.5*a + b"):
        o = Objective.parse(text)
        assert Objective.parse(str(o)) == o
