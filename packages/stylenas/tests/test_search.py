"""One worker: budget, copies, failures, resume. Several: see test_workers."""

import numpy as np
import pytest

from claimkit.errors import InputError
from stylenas.objective import Objective
from stylenas.results import Results
from stylenas.search.confirm import Confirm, confirm, ranked
from stylenas.search.definition import Search
from stylenas.search.workers import reasons, run_search
from stylenas.space import identity
from stylenas.table import Table
from stylenas.trials.state import State
from stylenas.trials.storage import open_storage

OBJECTIVE = Objective.parse("quality + 0.1*operators")


class Ones:
    """The number of ones, of bits of which the last means nothing."""

    def __init__(self, bits=6, bad=()):
        self.name, self.operators, self.bad, self.calls = f"ones {bits}", [f"b{i}" for i in range(bits)], bad, []
        self.identity = "ones"  # calls do not count

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
    state = run_search(plan(space, budget, sampler=sampler, population=None if sampler == "random" else 10))
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
    options = {"objectives": [OBJECTIVE], "sampler": sampler, "seed": 3}
    options |= {"population": 8, "tournament": 4} if sampler == "evolution" else {}
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


def test_what_is_not_caught_is_raised_and_the_genome_is_tried_again(tmp_path):
    class Broken(Ones):
        def evaluate(self, genome):
            if len(self.calls) == 5:
                self.calls.append("broken")
                raise ZeroDivisionError
            return super().evaluate(genome)

    space, place = Broken(8), tmp_path / "j"
    with pytest.raises(ZeroDivisionError):
        run_search(plan(space, 20, storage=place, seed=1, catch=(ValueError,)))
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
        ({"sampler": "random", "tournament": 5}, "the sampler random has no use for tournament"),
        ({"sampler": "random", "population": 50, "tournament": 0}, "no use for population and tournament"),
        ({"sampler": "nsga2", "tournament": 10}, "the sampler nsga2 has no use for tournament"),
        ({"sampler": "nsga2", "population": 1}, "population = 1: nsga2"),
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


def test_weights_are_written_with_every_digit():
    for weight in (0.1234567, 1e20, 1e-05, 1 / 3):
        assert Objective.parse(str(Objective((("q", weight),)))).weights == (("q", weight),)
    assert str(Objective.parse("0.1234567*q")) == "0.1234567*q" and str(Objective.parse("2*q")) == "2*q"


def test_an_exception_is_a_failure_with_its_reason_and_the_search_goes_on(tmp_path):
    class Full(Ones):
        def evaluate(self, genome):
            if genome.startswith("11"):
                self.calls.append(genome)
                raise ValueError("cuda out of memory")
            return super().evaluate(genome)

    space = Full(8)
    state = run_search(plan(space, 30, population=8, storage=tmp_path / "j"))
    failed = {t.user_attrs["genome"] for t in state.of("failed")}
    assert state.done == len(space.calls) == len(set(space.calls)) == 30
    assert failed == {g for g in space.calls if g.startswith("11")} != set()
    assert reasons(state) == [("ValueError: cuda out of memory", len(failed))]


def test_code_that_never_works_ends_the_search():
    class Wrong(Ones):
        def evaluate(self, genome):
            self.calls.append(genome)
            raise NameError(f"name {len(self.calls)}")

    space = Wrong(8)
    with pytest.raises(InputError, match="all 5 evaluations failed, the first with NameError: name 1: try evaluate") as told:
        run_search(plan(space, 30))
    assert repr(space.calls[0]) in str(told.value) and isinstance(told.value.__cause__, NameError)


def test_what_is_not_caught_ends_a_genome_after_so_many_attempts(tmp_path):
    class Stubborn(Ones):
        def evaluate(self, genome):
            if not self.calls or genome == self.calls[0]:
                self.calls.append(genome)
                raise ZeroDivisionError
            return super().evaluate(genome)

    space, ended = Stubborn(8), 0
    for _ in range(4):
        try:
            state = run_search(plan(space, 12, storage=tmp_path / "j", catch=(), max_attempts=3))
            break
        except ZeroDivisionError:
            ended += 1
    assert ended == 3 == space.calls.count(space.calls[0]) and state.done == 12
    assert "3 times without a result" in state.of("failed")[0].user_attrs["failed"]


def test_an_interruption_is_no_attempt(tmp_path):
    class Interrupted(Ones):
        def evaluate(self, genome):
            self.calls.append(genome)
            if len(self.calls) <= 4:
                raise KeyboardInterrupt
            return {"ones": 1.0}

    space = Interrupted(8)
    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            run_search(plan(space, 3, storage=tmp_path / "j"))
    assert run_search(plan(space, 3, storage=tmp_path / "j")).count("evaluated") == 3
    assert len(set(space.calls[:5])) == 1


def test_a_sampler_in_a_dead_end_is_left():
    """Of 2^7 genomes evolution with a population of one knows all neighbours of its one after seven evaluations."""

    class Stuck(Ones):
        def canonical(self, genome):
            return genome

    state = run_search(plan(Stuck(7), 100, population=1, tournament=1))
    assert state.done == 100


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, 2], r"gave \[1, 2\]: expected named numbers"),
        (None, "gave None: expected named numbers"),
        ({}, "gave {}: expected named numbers"),
        ({"ones": "many"}, "gave ones = 'many': expected one number"),
        ({"ones": np.zeros(2)}, "gave ones = array.*: expected one number"),
        ({3: 1.0}, "gave the name 3: expected text"),
    ],
)
def test_what_a_space_gives_is_checked_in_one_sentence(given, said):
    class Odd(Ones):
        def evaluate(self, genome):
            return given

    with pytest.raises(InputError, match=said) as e:
        run_search(plan(Odd(4), 3))
    assert "\n" not in str(e.value)


def test_a_canonical_form_that_is_none_is_one_sentence():
    class Odd(Ones):
        def canonical(self, genome):
            return genome if genome in ("000000", "111111") else 7

    with pytest.raises(InputError, match=r"= 7 is no genome of 6 characters"):
        run_search(plan(Odd(6), 3))


class Data:
    """A space whose values depend on data."""

    name, operators = "data", ["a", "b", "c"]

    def __init__(self, weights):
        self.weights, self._cache = np.asarray(weights), {}

    def canonical(self, genome):
        return genome

    def evaluate(self, genome):
        self._cache[genome] = 1
        return {"ones": float(self.weights @ [int(c) for c in genome])}


def test_a_space_is_also_its_data_and_its_code_but_not_its_caches(tmp_path):
    class Other(Data):
        def evaluate(self, genome):
            return {"ones": 0.0}

    place, space = tmp_path / "j", Data([1.0, 2, 3])
    run_search(plan(space, 3, storage=place))
    assert run_search(plan(space, 4, storage=place)).done == 4
    for other in (Data([1.0, 2, 4]), Other([1.0, 2, 3])):
        with pytest.raises(InputError, match="with other data or another code"):
            run_search(plan(other, 5, storage=place))
    assert identity(Data([1, 2])) == identity(Data([1, 2])) != identity(Data([1, 3]))


def test_the_best_are_evaluated_again_before_a_winner_is_named(tmp_path):
    table, place = Table(0, noise=0.05), tmp_path / "j"
    search = plan(table, 60, objectives=[OBJECTIVE], storage=place, population=20)
    best = min(run_search(search).of("evaluated"), key=lambda t: t.value)
    found = confirm(search, search.open(), Confirm(5, 4))
    rows = ranked(found, OBJECTIVE)
    assert len(found) == 5 and all(len(v) == 4 for v in found.values())
    again = {g: mean for g, mean, _ in rows}[best.user_attrs["genome"]]
    assert again > best.value + 0.03, "the winner of sixty noisy values was lucky"
    assert [mean for _, mean, _ in rows] == sorted(mean for _, mean, _ in rows)
    table.confirm = None  # what is kept is not evaluated again
    assert Results.read(open_storage(place), "search").again[rows[0][0]][1] == found[rows[0][0]][0]


@pytest.mark.parametrize("text", ["10", "0x3", "x", "10x-1", "ax3"])
def test_confirm_is_written_10x3(text):
    with pytest.raises(InputError, match="such as 10x3"):
        Confirm.parse(text)
    assert Confirm.parse("10x3") == Confirm(10, 3)


def test_a_space_that_cannot_be_evaluated_again_is_one_sentence():
    search = plan(Ones(4), 2)
    with pytest.raises(InputError, match=r"has no confirm\(genome, seed\)"):
        confirm(search, search.open(), Confirm(1, 1))


class Deadly(Ones):
    """A space that cannot be evaluated again where the first bit is set: it raises, or ends with its process."""

    def __init__(self, ends):
        super().__init__(4)
        self.ends, self.tried = ends, []

    def confirm(self, genome, seed):
        self.tried.append(genome)
        if genome.startswith("1"):
            raise self.ends
        return {"ones": float(genome.count("1"))}


def test_what_fails_when_it_is_evaluated_again_comes_last_and_is_not_tried_for_ever(tmp_path):
    space = Deadly(ValueError("out of memory"))
    search = plan(space, 8, sampler="random", storage=tmp_path / "j")
    run_search(search)
    rows = ranked(confirm(search, search.open(), Confirm(8, 1)), search.objectives[0])
    assert [np.isfinite(mean) for _, mean, _ in rows] == [True] * 4 + [False] * 4
    assert all(g.startswith("1") for g, *_ in rows[4:]) and len(space.tried) == 8
    space.ends = SystemExit(9)  # as a process that is killed, nothing is caught
    search = plan(space, 8, sampler="random", storage=tmp_path / "k")
    run_search(search)
    ended = 0
    for _ in range(100):
        try:
            rows = ranked(confirm(search, search.open(), Confirm(8, 1)), search.objectives[0])
            break
        except SystemExit:
            ended += 1
    assert ended == 4 * search.max_attempts and not np.isfinite(rows[-1][1]) and np.isfinite(rows[3][1])


def test_a_confirmation_of_which_nothing_comes_is_an_error_and_an_interruption_no_attempt(tmp_path):
    space = Deadly(KeyboardInterrupt())
    space.bad = {f"0{i:02b}0" for i in range(4)}  # only deadly ones are left
    search = plan(space, 8, sampler="random", storage=tmp_path / "j")
    run_search(search)
    for _ in range(search.max_attempts + 2):
        with pytest.raises(KeyboardInterrupt):
            confirm(search, search.open(), Confirm(8, 1))
    space.ends = ValueError("out of memory")
    with pytest.raises(InputError, match="all 4 evaluations that should confirm failed"):
        confirm(search, search.open(), Confirm(8, 1))


def test_a_number_too_large_for_a_float_is_one_sentence():
    space = Ones(3)
    space.evaluate = lambda genome: {"ones": 10**400}
    with pytest.raises(InputError, match="expected one number"):
        run_search(plan(space, 2))
