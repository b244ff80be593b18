"""What the verbs of the command line do."""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from claimkit import figures, run
from claimkit.errors import InputError
from claimkit.files import write_atomic
from stylenas import plots
from stylenas.objective import Objective
from stylenas.results import Results
from stylenas.search.confirm import Confirm, confirm, ranked
from stylenas.search.definition import Search
from stylenas.search.workers import reasons, run_search
from stylenas.space import Space, load_space
from stylenas.table import Table
from stylenas.trials.state import State
from stylenas.trials.storage import open_storage


@dataclass(frozen=True)
class StyleOptions:
    """How candidates of the style spaces are trained and looked at."""

    training: Any = "supernet"
    size: int = 96
    steps: int = 400
    content: Path | None = None


def make_space(name: str, options: StyleOptions, storage: str, latency: bool, seed: int = 0) -> Space:
    """A space by the name that the command line gives it; the weights that its candidates share are kept by the storage.

    Raises:
        InputError: No such space, or options of style networks for another one, which would not heed them.
    """
    if name not in ("published", "extended"):
        if unheeded := [f"--{n}" for n, v in vars(options).items() if v != getattr(StyleOptions, n)]:
            raise InputError(f"the space {name} has no use for {' and '.join(unheeded)}: leave out what style networks take")
        return Table() if name == "table" else load_space(name)
    from stylenas.style.spaces import StyleSpace

    return StyleSpace(
        kind=name, training=options.training, size=options.size, steps=options.steps, content=options.content,
        latency=latency, supernet=beside(storage, f"-{name}.safetensors"), seed=seed,
    )  # fmt: skip


def search(
    space: str, budget: int, workers: int, storage: str, objectives: tuple[str, ...], sampler: Any, population: int | None,
    tournament: int | None, options: StyleOptions, seed: int, study: str, out: Path | None, kind: Any = "processes",
    again: str | None = None,
) -> None:  # fmt: skip
    """Search with progress, then print the best and draw the search."""
    picture = out or beside(storage, ".png")
    run.picture(picture)
    wanted = None if again is None else Confirm.parse(again)
    if objectives == ("published",) and space == "table":
        objectives = ("quality + 0.1*operators",)
    chosen = [Objective.parse(o) for o in objectives]
    measured = any("latency" in dict(o.weights) for o in chosen)
    plan = Search(
        space=make_space(space, options, storage, measured, seed), objectives=chosen, budget=budget, sampler=sampler,
        population=population, tournament=tournament, seed=seed, storage=storage, study=study,
    )  # fmt: skip
    with Progress(chosen[0], budget) as progress:
        state = run_search(plan, workers, progress, kind=kind)
    results = Results.of(plan.header(), state)
    draw(results, picture)
    copies = f"{results.copies} drawn again and not evaluated twice, {results.failed} failed"
    print(f"{state.done} evaluations of {budget}, {copies}")
    if state.done < budget:
        print("the sampler draws nothing new any more: the space is exhausted, or as good as")
    for reason, count in reasons(state)[:3]:
        print(f"{count} failed: {reason}")
    report(results, results.best(chosen[0], 5) if len(chosen) == 1 else results.front(*chosen), chosen)
    if wanted is not None:
        with tqdm(unit="net", disable=not sys.stderr.isatty(), leave=False) as bar:
            found = confirm(plan, plan.open(), wanted, lambda done: bar.update(done - bar.n))
        print(f"the best {len(found)} again, means of {wanted.seeds} seeds with standard errors:")
        for genome, mean, error in ranked(found, chosen[0]):
            print(f"{mean:.4f} ± {error:.4f}  {genome}" if math.isfinite(mean) else f"failed           {genome}")
    print(picture)


def front(storage: str, x: str, y: str, study: str, out: Path | None) -> None:
    """Print and draw the front of two terms."""
    picture = out or beside(storage, "-front.png")
    run.picture(picture)
    results = Results.read(open_storage(storage, must_exist=True), study)
    objectives = [Objective.parse(x), Objective.parse(y)]
    report(results, results.front(*objectives), objectives)
    canvas, axis = figures.figure()
    plots.front(axis, np.stack([results.values(o) for o in objectives], 1), (x, y), colour_by_order=True)
    axis.set_title(f"{len(results.trials)} evaluations of {results.header['space']}", fontsize=9)
    figures.save(canvas, picture)
    print(picture)


def export(storage: str, count: int, objective: str | None, study: str, out: Path | None) -> None:
    """The best genomes as JSON."""
    if count < 1:
        raise InputError(f"count = {count}: at least one network can be exported")
    results = Results.read(open_storage(storage, must_exist=True), study)
    chosen = Objective.parse(objective) if objective else results.objectives[0]
    values = results.values(chosen)
    rows = [
        {"genome": results.genome(i), "objective": float(values[i]), "terms": results.trials[i].user_attrs["terms"]}
        for i in results.best(chosen, count)
    ]
    for row in rows:
        if seeds := results.again.get(row["genome"]):
            mean = float(np.mean([chosen.of(terms) for terms in seeds.values()]))
            row["confirmed"] = mean if math.isfinite(mean) else "failed"
    if results.header["space"].startswith("published"):
        from stylenas.style.spaces import photonet_bits

        for row in rows:
            row["photonet"] = photonet_bits(row["genome"])
    text = json.dumps({"space": results.header["space"], "objective": str(chosen), "networks": rows}, indent=1) + "\n"
    if out is None:
        print(text, end="")
    else:
        write_atomic(out, text)
        print(out)


def demo(out: Path, budget: int, seeds: int) -> None:
    """Three searchers on tables, paired by seed."""
    from stylenas.search.race import race

    run.picture(out)
    if seeds < 1:
        raise InputError(f"seeds = {seeds}: the demo needs at least one table")
    objective = Objective.parse("quality + 0.1*operators")
    names = ("evolution", "nsga2", "random")
    found = [race(Table(s), objective, budget, names, s) for s in run.progress(range(seeds), "demo", unit="table")]
    curves = {n: np.array([f[n].best for f in found]) for n in names}
    canvas, (left, right) = figures.figure(1, 2)
    plots.race(curves, left, f"{seeds} synthetic tables of 31 operators")
    plots.front(right, found[0]["evolution"].points, ("operators", "quality"), colour_by_order=True)
    right.set_title("aging evolution on the first table")
    figures.save(canvas, out)
    for name, c in curves.items():
        print(f"  {name:<10} best objective after {budget} evaluations {c[:, -1].mean():.4f}")
    wins = int((curves["evolution"][:, -1] < curves["random"][:, -1]).sum())
    print(f"evolution beats random search on {wins} of {seeds} tables\n{out}")


class Progress:
    """A bar on a terminal, and a line for each new best."""

    def __init__(self, objective: Objective, budget: int):
        self.objective, self.best = objective, float("inf")
        self.bar = tqdm(total=budget, unit="net", disable=not sys.stderr.isatty(), leave=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def __call__(self, state: State) -> None:
        """Look at the state of the search."""
        self.bar.update(state.done - self.bar.n)
        for trial in state.of("evaluated"):
            value = self.objective.of(trial.user_attrs["terms"])
            if value < self.best:
                self.best = value
                self.bar.write(f"{state.done:>6}  {value:.4f}  {trial.user_attrs['genome']}", file=sys.stdout)


def draw(results: Results, picture: Path) -> None:
    """The course of a search, and its first two objectives; of a single one, cost and quality or the first two terms."""
    objectives = results.objectives
    terms = list(results.trials[0].user_attrs["terms"])
    plane = ["macs", "quality"] if {"macs", "quality"} <= set(terms) else terms
    names = [str(o) for o in objectives] if len(objectives) > 1 else plane
    names = (names * 2)[:2]
    points = np.stack([results.values(Objective.parse(n)) for n in names], 1)
    best = np.minimum.accumulate(results.values(objectives[0]))
    plots.search(best, points, (names[0], names[1]), picture, str(objectives[0]))


def report(results: Results, indices: list[int], objectives: list[Objective]) -> None:
    """One line a network."""
    values = [results.values(o) for o in objectives]
    names = [str(o) if len(str(o)) <= 24 else "objective" for o in objectives]
    print("  ".join(f"{n:>24}" for n in names) + "  genome")
    for i in indices:
        print("  ".join(f"{v[i]:>24.5g}" for v in values) + f"  {results.genome(i)}")


def beside(storage: str, ending: str) -> Path:
    """Name of a file beside a storage; for a database, in the current folder."""
    return Path(f"stylenas{ending}") if "://" in storage else Path(storage).with_name(Path(storage).stem + ending)
