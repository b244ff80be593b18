"""N7, N8, N9, N13: what the search itself costs: its overhead, two workers instead of one, and a real search to its end."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from stylenas import plots
from stylenas.claims.common import published, style_space
from stylenas.objective import PUBLISHED, Objective
from stylenas.results import Results
from stylenas.search.definition import Search
from stylenas.search.workers import run_search
from stylenas.style.spaces import StyleSpace, scratch
from stylenas.table import Table
from stylenas.trials.state import State

OVERHEAD_MS = 20.0
EFFICIENCY = 0.85
BUSY = 0.9
MINUTES = 60.0


@dataclass(frozen=True)
class Overhead(Settings):
    """A table, whose evaluations cost next to nothing, in a journal file."""

    budget: int = 200


@dataclass(frozen=True)
class Scaling(Settings):
    """Networks trained from scratch, by one worker and by two, each on one thread."""

    budget: int = 16
    size: int = 64
    steps: int = 30


@dataclass(frozen=True)
class Whole(Settings):
    """StyleNAS's search: 200 candidates, each trained from scratch."""

    budget: int = 200
    workers: int = 2
    size: int = 64
    pairs: int = 6
    steps: int = 100


def overhead(s: Overhead, job: Job) -> Values:
    """Milliseconds an evaluation, all of them the searcher's and its file's."""
    table = Table(job.seed)
    objective = Objective.parse("quality + 0.1*operators")
    with tempfile.TemporaryDirectory() as folder:
        search = Search(space=table, objectives=[objective], budget=s.budget, seed=job.seed, storage=Path(folder) / "j")
        start = time.perf_counter()
        state = run_search(search)
        seconds = time.perf_counter() - start
    start = time.perf_counter()
    for t in state.of("evaluated"):
        table.evaluate(t.user_attrs["genome"])
    seconds -= time.perf_counter() - start
    return {"milliseconds": 1e3 * seconds / state.done, "copies": len(state.of("copy")), "evaluations": state.done}


def judge_overhead(values: Sequence[Values]) -> Verdict:
    """Below the bar."""
    worst = max(v["milliseconds"] for v in values)
    evaluations, copies = values[0]["evaluations"], values[0]["copies"]
    reason = (
        f"Per evaluation, drawing, journal and copies included, over {evaluations} evaluations and {copies} copies: "
        f"{worst * evaluations / (evaluations + copies):.1f} ms a draw."
    )
    return Verdict(
        "reproduced" if worst <= OVERHEAD_MS else "not reproduced", reason, Estimate("overhead", worst, unit="ms")
    )


def span(state: State) -> float:
    """Seconds from the first claim to the last result: starting Python and loading networks is not the search's."""
    trials = state.of("evaluated")
    ends = [t.datetime_complete for t in trials if t.datetime_complete]
    return (max(ends) - min(t.datetime_start for t in trials if t.datetime_start)).total_seconds()


def scaling(s: Scaling, job: Job) -> Values:
    """The same random search by one process and by two; both start their processes anew and use one thread each."""
    space = scratch(style_space(s.size, 2, s.steps), s.steps)
    spans, busy = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for workers in (1, 2):
            search = Search(
                space=space, objectives=[Objective.parse(PUBLISHED)], budget=s.budget, sampler="random",
                seed=job.seed, storage=Path(folder) / f"{workers}",
            )  # fmt: skip
            state = run_search(search, workers, own_processes=True, threads=1)
            spans[workers] = span(state)
            busy[workers] = sum(span(State([t])) for t in state.of("evaluated"))
    return {"seconds": [spans[1], spans[2]], "busy": [busy[1], busy[2]], "efficiency": spans[1] / (2 * spans[2])}


def judge_scaling(values: Sequence[Values]) -> Verdict:
    """At least the bar."""
    worst = min(v["efficiency"] for v in values)
    one, two = values[0]["seconds"]
    reason = f"{one:.1f} s with one worker, {two:.1f} s with two, from the first claim to the last result."
    return Verdict("reproduced" if worst >= EFFICIENCY else "not reproduced", reason, Estimate("efficiency", worst))


def judge_waiting(values: Sequence[Values]) -> Verdict:
    """Both workers evaluate nearly all of the time."""
    worst = min(v["busy"][1] / (2 * v["seconds"][1]) for v in values)
    one, two = values[0]["busy"]
    reason = (
        f"An evaluation takes {two / one:.2f} times as long where another runs beside it, which is the machine's doing: "
        f"alone that would leave two workers {2 * one / two:.2f} times as fast as one."
    )
    return Verdict("reproduced" if worst >= BUSY else "not reproduced", reason, Estimate("share spent evaluating", worst))


def whole(s: Whole, job: Job) -> Values:
    """The search, its course, its best network, and the published networks judged in the same way."""
    space = StyleSpace(training="scratch", size=s.size, pairs=s.pairs, steps=s.steps)
    objective = Objective.parse(PUBLISHED)
    with tempfile.TemporaryDirectory() as folder:
        search = Search(
            space=space, objectives=[objective], budget=s.budget, seed=job.seed, storage=Path(folder) / "journal"
        )
        start = time.perf_counter()
        state = run_search(search, s.workers)
        minutes = (time.perf_counter() - start) / 60
    results = Results.of(search.header(), state)
    presets = {n: objective.of(space.evaluate(g)) for n, g in published().items()}
    best = results.best(objective)[0]
    return {
        "minutes": minutes,
        "objective": results.values(objective).tolist(),
        "operators": [t.user_attrs["terms"]["operators"] for t in results.trials],
        "macs": [t.user_attrs["terms"]["macs"] for t in results.trials],
        "quality": [t.user_attrs["terms"]["quality"] for t in results.trials],
        "best": results.genome(best),
        "presets": presets,
    }


def judge_whole(values: Sequence[Values]) -> Verdict:
    """Time, and the best against the published networks."""
    v = values[0]
    quarter = max(1, len(v["objective"]) // 4)
    before, after = (sum(part) / quarter for part in (v["objective"][:quarter], v["objective"][-quarter:]))
    reason = (
        f"Best {min(v['objective']):.4f} ({v['best']}); mean of the first quarter {before:.4f}, of the last {after:.4f}; "
        f"published networks judged alike: {', '.join(f'{n} {x:.4f}' for n, x in v['presets'].items())}."
    )
    fine = v["minutes"] <= MINUTES and min(v["objective"]) <= min(v["presets"].values())
    kind = "reproduced" if fine else "direction reproduced" if after < before else "not reproduced"
    return Verdict(kind, reason, Estimate("search of 200", v["minutes"], unit="minutes"))


def draw_whole(values: Sequence[Values], path: Path) -> None:
    """The course and the plane."""
    v = values[0]
    best = [min(v["objective"][: i + 1]) for i in range(len(v["objective"]))]
    points = list(zip(v["macs"], v["quality"], strict=True))
    plots.search(best, points, ("MACs, share of PhotoNet's", "quality"), path, "candidates trained from scratch")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N7",
            title="The searcher costs milliseconds",
            paper="1906.02470",
            where="derived: what the search adds to each evaluation",
            statement="Drawing a candidate, claiming it and recording its values in a journal file takes at most 20 ms.",
            criterion="Wall time of a search of 200 evaluations of a table, less the table's own, at most 20 ms an "
            "evaluation.",
            tolerance="A candidate takes seconds: 20 ms are below a hundredth of it.",
        ),
        {"smoke": Overhead(budget=8), "small": Overhead(), "full": Overhead(budget=2000)},
        overhead,
        judge_overhead,
    ),
    Experiment(
        Claim(
            id="N8",
            title="Two workers are twice as fast",
            paper="1906.02470",
            where="abstract: a parallel evolutionary search",
            statement="Two processes that share a journal file need half of the time of one.",
            criterion="Time of one worker over twice the time of two at least 0.85, from the first claim to the "
            "last result.",
            tolerance="The end of a search leaves one worker idle for half an evaluation.",
        ),
        {"smoke": Scaling(budget=4, size=32, steps=2), "small": Scaling(), "full": Scaling(budget=100, size=96, steps=100)},
        scaling,
        judge_scaling,
    ),
    Experiment(
        Claim(
            id="N13",
            title="Two workers wait for nothing",
            paper="1906.02470",
            where="abstract: a parallel evolutionary search",
            statement="Two processes that share a journal file spend their time on evaluations: what the search itself "
            "takes of it is small, however much the machine's processors are in each other's way.",
            criterion="Of both workers' time from the first claim to the last result at least 0.9 is spent in evaluations; "
            "beside it stands how much longer an evaluation takes with two workers, which claim N8 counts as the search's.",
            tolerance="The end of a search of sixteen leaves one worker idle for half an evaluation, 3 % of the time.",
        ),
        {"smoke": Scaling(budget=4, size=32, steps=2), "small": Scaling(), "full": Scaling(budget=100, size=96, steps=100)},
        scaling,
        judge_waiting,
    ),
    Experiment(
        Claim(
            id="N9",
            title="A real search in an hour",
            paper="1906.02470",
            where="the search as the repository of 1912.02398 has it: 200 candidates trained from scratch",
            statement="A search of 200 candidates, each trained from scratch, takes at most an hour on two cores, and its "
            "best network has an objective no higher than that of the published ones, trained and judged alike.",
            criterion="At most 60 minutes, and a best objective no higher than PhotoNet's, PhotoNAS's and the best of the "
            "log's; where only the mean of the last quarter is below that of the first, the direction.",
            tolerance="Exact comparison of numbers from the same evaluation.",
        ),
        {"smoke": Whole(budget=4, workers=1, size=32, pairs=1, steps=2), "full": Whole()},
        whole,
        judge_whole,
        draw_whole,
    ),
]
