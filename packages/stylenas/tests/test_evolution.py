"""The sampler is aging evolution: it equals a plain loop that is written from the paper's words."""

from collections import deque

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import create_trial

from claimkit.errors import InputError
from stylenas.objective import Objective
from stylenas.search.definition import Search
from stylenas.search.evolution import AgingEvolution, select
from stylenas.search.workers import run_search
from stylenas.table import Table
from stylenas.trials.ledger import BIT

OBJECTIVE = Objective.parse("quality + 0.1*operators")


def plain_aging_evolution(table, budget, population, tournament, draws):
    """Real et al., algorithm 1, without Optuna; ``draws(i)`` is the generator of random numbers of the i-th trial."""
    history, alive, seen = [], deque(), set()
    while len(seen) < budget:
        rng = draws(len(history))
        if len(alive) < population:
            genome = rng.first()
        else:
            sample = [alive[i] for i in rng.numbers.integers(population, size=tournament)]
            genome = list(min(sample, key=lambda pair: pair[1])[0])
            at = table.operators.index(sorted(table.operators)[rng.numbers.integers(len(genome))])
            genome[at] = 1 - genome[at]
            rng.numbers.integers(1)
        value = OBJECTIVE.of(table.evaluate("".join(map(str, genome))))
        history.append((tuple(genome), value))
        seen.add(tuple(genome))
        alive.append((genome, value))
        if len(alive) > population:
            alive.popleft()
    return history


@pytest.mark.parametrize(("population", "tournament", "seed"), [(50, 10, 0), (7, 3, 1), (1, 1, 2)])
def test_equals_a_plain_implementation_given_the_same_random_numbers(population, tournament, seed):
    table, budget = Table(seed), 120
    search = Search(
        space=table, objectives=[OBJECTIVE], budget=budget, population=population, tournament=tournament, seed=seed
    )
    trials = run_search(search).trials

    class Draws:
        def __init__(self, number):
            entropy = np.random.SeedSequence([seed, number, 0]).generate_state(1)[0]
            self.numbers = np.random.default_rng(int(entropy))
            self.random = optuna.samplers.RandomSampler(int(entropy))

        def first(self):
            return [self.random.sample_independent(None, None, o, BIT) for o in table.operators]

    expected = plain_aging_evolution(table, budget, population, tournament, Draws)
    got = [(tuple(t.params[o] for o in table.operators), t.value) for t in trials]
    assert got == expected


def filled(values, sampler):
    study = optuna.create_study(directions=["minimize"] * len(values[0]), sampler=sampler)
    for i, v in enumerate(values):
        bits = {f"b{k}": (i >> k) & 1 for k in range(4)}
        study.add_trial(create_trial(values=v, params=bits, distributions=dict.fromkeys(bits, BIT)))
    return study


def test_the_child_differs_from_a_living_parent_in_one_gene_and_the_dead_have_no_children():
    values = [[0.0]] * 3 + [[1.0 + i] for i in range(5)]  # the best are the oldest: they are dead
    for seed in range(30):
        study = filled(values, AgingEvolution(5, 5, seed))
        child = study.ask(dict.fromkeys([f"b{k}" for k in range(4)], BIT)).params
        code = sum(child[f"b{k}"] << k for k in range(4))
        assert any((code ^ parent).bit_count() == 1 for parent in range(3, 8))


def test_works_as_the_sampler_of_an_ordinary_study():
    study = optuna.create_study(sampler=AgingEvolution(10, 5, seed=0))
    study.optimize(lambda t: sum(t.suggest_categorical(f"b{i}", (0, 1)) for i in range(12)), n_trials=150)
    assert study.best_value == 0


def test_the_direction_of_the_study_counts():
    study = optuna.create_study(direction="maximize", sampler=AgingEvolution(10, 5, seed=0))
    study.optimize(lambda t: sum(t.suggest_categorical(f"b{i}", (0, 1)) for i in range(12)), n_trials=150)
    assert study.best_value == 12


def test_genes_with_several_values_change_to_another_value():
    study = optuna.create_study(sampler=AgingEvolution(5, 2, seed=0))
    study.optimize(lambda t: -float(t.suggest_categorical("c", "abcde") == "d"), n_trials=60)
    assert study.best_params == {"c": "d"}


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12), st.integers(0, 99))
def test_with_several_objectives_no_entrant_dominates_the_parent(points, seed):
    x = np.array(points, float)
    drawn = x[np.random.default_rng(seed).integers(len(x), size=6)]
    parent = x[select(x, 6, np.random.default_rng(seed))]
    assert not any((e <= parent).all() and (e < parent).any() for e in drawn)
    assert any((parent == e).all() for e in drawn)


def test_the_tournament_is_drawn_with_replacement_and_the_best_entrant_wins():
    values = np.arange(50.0)[:, None]
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(100):
        assert select(values, 10, rng) == again.integers(50, size=10).min()
    assert len({select(values, 1, rng) for _ in range(500)}) > 45  # a tournament of one is a uniform draw


def test_refuses_what_it_cannot_do():
    with pytest.raises(InputError, match="at least 1"):
        AgingEvolution(0, 10)
    study = optuna.create_study(sampler=AgingEvolution(2, 2, 0))
    with pytest.raises(InputError, match="categorical"):
        study.optimize(lambda t: t.suggest_float("x", 0, 1), n_trials=5)
