"""N3: few operators keep the quality: the front of quality against MACs and latency, with the published strings on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit import figures
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from stylenas import plots
from stylenas.claims.common import published, style_space
from stylenas.front import hypervolume, non_dominated
from stylenas.objective import Objective
from stylenas.results import Results
from stylenas.search.definition import Search
from stylenas.search.workers import run_search
from stylenas.style.spaces import SpaceName

RIVALS = ("photonas", "best-of-log")


@dataclass(frozen=True)
class Front(Settings):
    """A search of quality and MACs at once, in the published and in the extended space."""

    threads: int | None = 1
    budget: int = 100
    size: int = 64
    pairs: int = 2
    steps: int = 150
    spaces: tuple[SpaceName, ...] = ("published", "extended")
    timed: bool = True
    latencies: int = 12
    """Networks of each front, evenly spaced, whose latency is measured."""


def measure(s: Front, job: Job) -> Values:
    """Terms of all evaluations, latency of the fronts, and both of the published networks."""
    found: dict[str, object] = {}
    for kind in s.spaces:
        space = style_space(s.size, s.pairs, s.steps, kind)
        objectives = [Objective.parse("quality"), Objective.parse("macs")]
        search = Search(space=space, objectives=objectives, budget=s.budget, seed=job.seed)
        results = Results.of(search.header(), run_search(search))
        front = results.front(*objectives)
        chosen = [front[i] for i in np.unique(np.linspace(0, len(front) - 1, s.latencies).round().astype(int))]
        timed = style_space(s.size, s.pairs, s.steps, kind, latency=True)
        found[kind] = {
            "points": [[t.user_attrs["terms"]["macs"], t.user_attrs["terms"]["quality"]] for t in results.trials],
            "front": {results.genome(i): dict(timed.evaluate(results.genome(i))) for i in chosen},
        }
        if kind == "published":
            found["presets"] = {n: dict(timed.evaluate(timed.canonical(g))) for n, g in published().items()}
    return found


def judge(values: Sequence[Values]) -> Verdict:
    """For each published network, one found that is as good at no more MACs and no more latency."""
    v = values[0]
    candidates = [t for kind in ("published", "extended") for t in v.get(kind, {"front": {}})["front"].values()]
    beaten = {}
    for name in RIVALS:
        rival = v["presets"][name]
        beaten[name] = [c for c in candidates if all(c[k] <= rival[k] for k in ("quality", "macs", "latency"))]
    areas = {k: hypervolume(v[k]["points"], (1.0, v["presets"]["photonet"]["quality"] + 0.1)) for k in v if k != "presets"}
    best = [n for n, c in beaten.items() if c]
    worth = ", ".join(
        f"{n}: quality {v['presets'][n]['quality']:.4f}, MACs {v['presets'][n]['macs']:.2f}"
        + (f", dominated by {min(c['quality'] for c in beaten[n]):.4f} at no more cost" if beaten[n] else ", not dominated")
        for n in RIVALS
    )
    reason = f"{worth}. Area under the fronts: {', '.join(f'{k} {a:.3f}' for k, a in areas.items())}."
    kind = "reproduced" if len(best) == len(RIVALS) else "direction reproduced" if best else "not reproduced"
    return Verdict(kind, reason, Estimate("published networks dominated", float(len(best))))


def draw(values: Sequence[Values], path: Path) -> None:
    """Both planes, both spaces."""
    v = values[0]
    canvas, (left, right) = figures.figure(1, 2)
    marked = {n: (t["macs"], t["quality"]) for n, t in v["presets"].items()}
    everything = [p for k in v if k != "presets" for p in v[k]["points"]]
    plots.front(left, everything, ("MACs, share of PhotoNet's", "quality (low is good)"), marked=marked)
    left.set_title("all evaluations of both spaces", fontsize=9)
    for kind, colour in (("published", "#0072b2"), ("extended", "#e69f00")):
        if kind in v:
            x = np.array([[1e3 * t["latency"], t["quality"]] for t in v[kind]["front"].values()])
            right.plot(*x[x[:, 0].argsort()].T, "o", color=colour, label=f"front of {kind}, timed")
    for (name, t), mark, colour in zip(v["presets"].items(), plots.MARKS, plots.PAINT, strict=False):
        right.scatter(1e3 * t["latency"], t["quality"], marker=mark, color=colour, s=90, label=name, zorder=4)
    right.set(xlabel="latency in ms", ylabel="quality (low is good)")
    right.legend(fontsize=8)
    figures.save(canvas, path)


def front_of(points: Sequence[Sequence[float]]) -> list[int]:
    """Indices of the front."""
    return non_dominated(points).tolist()


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N3",
            title="Few operators keep the quality",
            paper="1906.02470",
            where="abstract: networks of few operators; the two strings are those of the repository of 1912.02398",
            statement="A search of quality and cost finds networks at least as good as PhotoNAS and as the best of the "
            "published log, at no more multiply-accumulates and no more latency.",
            criterion="For each of the two a network of the searched fronts has quality (0.8 L_r + 0.1 L_p), MACs and "
            "latency no higher; for one of them only, the direction.",
            tolerance="Exact comparison of numbers from the same evaluation; the latency is a median of five runs.",
        ),
        {
            "smoke": Front(budget=5, size=32, pairs=1, steps=1, latencies=1),
            "small": Front(),
            "full": Front(budget=600, size=128, pairs=8, steps=1500, latencies=30),
        },
        measure,
        judge,
        draw,
    )
]
