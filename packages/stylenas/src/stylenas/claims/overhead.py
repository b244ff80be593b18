"""N11: what the searcher adds to an evaluation, as N7 has it, beside a plain loop of Optuna on the same storage."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna

from claimkit.bench import turns
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import ratio_interval
from stylenas.objective import Objective
from stylenas.search.definition import Search
from stylenas.search.workers import run_search
from stylenas.table import Table
from stylenas.trials.storage import open_storage, quiet

BAR = 1.0
ALIKE = 1.15
"""Times, either way: the interval of the plain loop against itself lies within."""
PLACES = ("journal", "sqlite")


@dataclass(frozen=True)
class Beside(Settings):
    """A table, whose evaluations cost next to nothing, in a journal and in an SQLite file."""

    threads: int | None = 1
    timed: bool = True
    budget: int = 20
    rounds: int = 5


def measure(s: Beside, job: Job) -> Values:
    """CPU seconds of ``budget`` evaluations, one a round, by storage: this searcher, a plain loop, and that again."""
    table = Table(job.seed)
    count = iter(range(10**6))
    with tempfile.TemporaryDirectory() as folder:

        def fresh(place: str) -> str:
            path = Path(folder) / f"{next(count)}"
            return f"sqlite:///{path}.db" if place == "sqlite" else str(path)

        def ours(place: str) -> Callable[[], object]:
            objectives = [Objective.parse("quality")]
            return lambda: run_search(
                Search(space=table, objectives=objectives, budget=s.budget, seed=job.seed, storage=fresh(place))
            )

        def plain(place: str) -> Callable[[], object]:
            return lambda: _loop(table, fresh(place), s.budget, job.seed)

        work = {f"{n}, {p}": f(p) for p in PLACES for n, f in (("ours", ours), ("plain", plain), ("again", plain))}
        return {"seconds": turns(work, s.rounds, warmup=1, cpu=True, title="N11"), "budget": s.budget}


def _loop(table: Table, place: str, budget: int, seed: int) -> None:
    """What one would write without this package: every operator suggested, the value told."""
    address = place if place.startswith("sqlite") else open_storage(place)
    with quiet():
        study = optuna.create_study(storage=address, sampler=optuna.samplers.RandomSampler(seed))
        for _ in range(budget):
            trial = study.ask()
            genome = "".join(str(trial.suggest_categorical(o, (0, 1))) for o in table.operators)
            study.tell(trial, table.evaluate(table.canonical(genome))["quality"])


def judge(values: Sequence[Values]) -> Verdict:
    """The bar in both storages, by the upper ends of intervals."""
    seconds = {n: [x for v in values for x in v["seconds"][n]] for n in values[0]["seconds"]}

    def over(name: str, place: str):
        pairs = zip(seconds[f"{name}, {place}"], seconds[f"plain, {place}"], strict=True)
        return ratio_interval([a / b for a, b in pairs], f"{name} / plain, {place}")

    effects, controls = ([over(n, p) for p in PLACES] for n in ("ours", "again"))
    each = {n: 1e3 * sorted(t)[len(t) // 2] / values[0]["budget"] for n, t in seconds.items() if not n.startswith("again")}
    told = ", ".join(f"{p} {e.value:.2f} [{e.low:.2f}, {e.high:.2f}]" for p, e in zip(PLACES, effects, strict=True))
    reason = (
        f"CPU milliseconds an evaluation, opening the storage included, medians over {values[0]['budget']} evaluations: "
        f"{', '.join(f'{n} {ms:.1f}' for n, ms in each.items())}. Ours over plain: {told}. The plain loop over itself: "
        f"{', '.join(f'{p} {e.value:.2f}' for p, e in zip(PLACES, controls, strict=True))}."
    )
    worst = max(effects, key=lambda e: e.value)
    if any(e.low is None or e.high is None or e.low < 1 / ALIKE or e.high > ALIKE for e in controls):
        return Verdict("not run", f"The plain loop is not as fast as itself here: the machine is too busy. {reason}", worst)
    good = all(e.high is not None and e.high <= BAR for e in effects)
    some = any(e.high is not None and e.high <= BAR for e in effects)
    return Verdict("reproduced" if good else "direction reproduced" if some else "not reproduced", reason, worst)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N11",
            title="The searcher costs no more than a plain loop",
            paper="1906.02470",
            where="derived: what the search adds to each evaluation; follows N7, whose milliseconds were the wall's",
            statement="A search whose evaluations are claimed, shared by workers and taken up after a crash costs no more "
            "than a plain loop that asks Optuna for every operator on the same storage.",
            criterion=f"CPU seconds of a search of a table of 31 bits over those of the plain loop, in turn in one process, "
            f"geometric means with 95 % intervals: upper ends at most {BAR:g} in a journal file and in SQLite. Direction: "
            f"in one of them. Control: the plain loop over itself lies within a factor of {ALIKE:g}.",
            tolerance="The plain loop is what a user would write first. Power: rounds of CPU seconds spread by some 10 % on "
            "a busy machine, so 5 rounds see a factor of 1.13.",
        ),
        {"smoke": Beside(budget=3, rounds=3), "small": Beside(), "full": Beside(budget=200, rounds=9)},
        measure,
        judge,
    )
]
