"""What the searcher adds to 100 evaluations that cost nothing: in memory, in a journal file, and a study of Optuna's own."""

import tempfile
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from claimkit import bench
from stylenas import AgingEvolution, Objective, Search, Table, run_search
from stylenas.trials.ledger import BIT

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
BUDGET = 100
OBJECTIVE = Objective.parse("quality + 0.1*operators")


def ours(journal):
    def run():
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "j" if journal else None
            run_search(Search(space=Table(), objectives=[OBJECTIVE], budget=BUDGET, storage=place))

    return run


def plain():
    """``study.optimize`` with the same sampler: one record a parameter, no copies, no claims."""
    table = Table()

    def objective(trial):
        genome = "".join(str(trial.suggest_categorical(o, BIT.choices)) for o in table.operators)
        return OBJECTIVE.of(table.evaluate(genome))

    with tempfile.TemporaryDirectory() as folder:
        storage = JournalStorage(JournalFileBackend(str(Path(folder) / "j")))
        optuna.create_study(storage=storage, sampler=AgingEvolution(seed=0)).optimize(objective, n_trials=BUDGET)


def main():
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    candidates = {
        "stylenas, journal file": ours(True),
        "stylenas, in memory": ours(False),
        "study.optimize with the same sampler, journal file": plain,
    }
    b = bench.alternate(f"{BUDGET} evaluations that cost nothing, 31 operators", candidates, rounds=7, warmup=1)
    bench.save(b, RESULTS / "overhead.json")


if __name__ == "__main__":
    main()
