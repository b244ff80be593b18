"""What the verbs of the command line do."""

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import atomic_path, sha256, write_atomic
from claimkit.statistics import mean_interval
from claimkit.training import parallel
from claimkit.transfer.data import View, digest, from_folder
from claimkit.transfer.loop import FineTuning
from claimkit.transfer.networks import create, reinitialise
from claimkit.transfer.tasks import Task
from dtnh import plots
from dtnh.finetune import embedded
from dtnh.finetune.finetuning import ALPHAS, Base, Fit, fine_tune, regularizer
from dtnh.guard.conflicts import COLUMNS
from dtnh.guard.scopes import Scope


@dataclass(frozen=True)
class Method:
    """The regulariser of a command, and whether and how it is guarded."""

    base: Base
    guard: bool
    alpha: float | None
    scope: Scope
    layers: Sequence[str]
    every: int = 1


def demo(out: Path, steps: int, seed: int) -> None:
    """A right and a wrong source, feature maps added and guarded."""
    run.picture(out)
    run.limit_threads(1)  # small tensors: more threads only wait for each other
    settings = FineTuning(steps, 32, 0.01, augment=False, seed=seed)
    fits: dict[tuple[str, str], Fit] = {}
    sources, ways = ("appropriate", "inappropriate"), ("l2", "plain", "guard")
    for source, way in run.progress([(s, w) for s in sources for w in ways], "demo", unit="run"):
        task = embedded.task(source)
        base, how = ("l2", "plain") if way == "l2" else ("featmap", way)
        fits[source, way] = fine_tune(task, regularizer(base, task.source, None, how), settings)
    print(
        f"digits 5-9 from ten images of each, {steps} steps, feature maps kept with weight {ALPHAS['featmap']}, seed {seed}"
    )
    for source in sources:
        l2, plain, guard = (f"{fits[source, way].result.test.accuracy:.1%}" for way in ways)
        rate = f"{fits[source, 'guard'].conflicts.rate:.0%}"
        print(f"  {source:<14} plain L2 {l2}   feature maps {plain}   guarded {guard}   conflict in {rate} of the steps")
    tables = {source: fits[source, "guard"].conflicts.table() for source in sources}
    plots.demo({key: done.result for key, done in fits.items()}, tables, out)
    print(out)


def fit(
    data: Path, arch: str, weights: str | None, method: Method, size: int, per_class: int | None, validation: float,
    settings: FineTuning, device: str, out: Path, resume: bool,
) -> None:  # fmt: skip
    """Fine-tune one network; see the command's help."""
    checkpoint = run.checkpoint(out, resume)
    device = parallel.join(run.choose_device(device))
    task = _task(data, arch, weights, size, per_class, validation)
    if weights is None:  # a network at random is the same when the run goes on
        reinitialise(task.source, settings.seed)
    how = "guard" if method.guard else "plain"
    seed, layers = settings.seed, method.layers or None
    reg = regularizer(method.base, task.source, method.alpha, how, method.scope, layers, seed, method.every)
    done = fine_tune(task, reg, settings, device, checkpoint)
    if not parallel.leads():
        return
    with atomic_path(out / "model.pt") as temporary:
        torch.save({k: v.cpu() for k, v in done.model.state_dict().items()}, temporary)
    summary = {
        "data": {str(data.name): sha256(data)},
        "arch": arch,
        "classes": task.pool.classes,
        "method": asdict(method) | {"alpha": ALPHAS[method.base] if method.alpha is None else method.alpha},
        "settings": asdict(settings),
        "train": asdict(done.result.train),
        "validation": _finite(asdict(done.result.validation)),
        "test": _finite(asdict(done.result.test)),
        "conflict_rate": done.conflicts.rate if len(done.conflicts) else None,
        "environment": run.environment("dtnh", device),
    }
    write_atomic(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    if len(done.conflicts):
        done.conflicts.to_csv(out / "conflicts.csv")
        done.conflicts.plot(out / "conflicts.png", f"{method.base}, {arch}")
    for name in ("train", "validation", "test"):
        score = getattr(done.result, name)
        if np.isfinite(score.loss):
            print(f"  {name:<10} accuracy {score.accuracy:.4f}  loss {score.loss:.4f}")
    if len(done.conflicts):
        print(f"  the regulariser opposed the loss in {done.conflicts.rate:.0%} of {len(done.conflicts)} steps")
    print(out)


def compare(
    data: Path | None, arch: str, weights: Sequence[str], method: Method, alphas: Sequence[float], size: int,
    per_class: int | None, validation: float, settings: FineTuning, seeds: int, device: str, out: Path,
) -> None:  # fmt: skip
    """Guard on, guard off and plain L2 over weights and sources; see the command's help."""
    if seeds < 2 or not alphas:
        raise InputError(f"seeds = {seeds}, alphas = {list(alphas)}: a comparison needs two paired runs and a weight")
    if data is not None and not weights:
        raise InputError("--data needs --weights, one file or name a source: without a source there is nothing to compare")
    if len({Path(w).stem for w in weights}) < len(weights):
        raise InputError("two of the --weights have one name: rename one, since names tell the sources apart")
    device = run.choose_device(device)
    if data is None:
        run.limit_threads(1)  # small tensors: more threads only wait for each other
        tasks = {kind: embedded.task(kind) for kind in embedded.SOURCES}
    else:
        tasks = {Path(w).stem: _task(data, arch, w, size, per_class, validation) for w in weights}
    plans = [
        (source, way, alpha, seed)
        for seed in range(seeds)
        for source in tasks
        for way, alpha in [("l2", ALPHAS["l2"]), *((w, a) for a in alphas for w in ("plain", "guard"))]
    ]
    sets = [t for task in tasks.values() for t in (task.pool.x, task.pool.y, task.test.x, task.test.y)]
    content = digest(*sets, *(t for task in tasks.values() for t in task.source.state_dict().values()))
    about = [content, arch, list(tasks), asdict(method), size, per_class, validation, asdict(settings), device]
    folder = out / ".finished" / hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]
    runs = []
    for source, way, alpha, seed in run.progress(plans, "compare", unit="run"):
        file = folder / f"{source}-{way}-{alpha:g}-{seed}.json"
        if not file.exists():
            base, how = ("l2", "plain") if way == "l2" else (method.base, way)
            reg = regularizer(base, tasks[source].source, alpha, how, method.scope, method.layers or None, seed)
            done = fine_tune(tasks[source], reg, replace(settings, seed=seed), device)
            row = {"source": source, "way": way, "alpha": alpha, "seed": seed, "test": 100 * done.result.test.accuracy}
            row |= {"validation": 100 * done.result.validation.accuracy, "last_loss": done.result.losses[-1]}
            write_atomic(file, json.dumps(row | {"conflicts": done.conflicts.table().tolist()}) + "\n")
        runs.append(json.loads(file.read_text(encoding="utf-8")))
    _report(runs, next(iter(tasks.values())).name, method.base, alphas, out)


def _report(runs: list[dict[str, Any]], task: str, base: str, alphas: Sequence[float], out: Path) -> None:
    found: dict[plots.Cell, dict[str, np.ndarray]] = {}
    tables: dict[str, list[np.ndarray]] = {}
    rows: list[list[str]] = [["source", "regulariser", "alpha", "seed", "plain_l2", "base", "guard", "conflict_rate"]]
    for source in dict.fromkeys(r["source"] for r in runs):
        for alpha in alphas:
            mine = [r for r in runs if r["source"] == source and (r["way"] == "l2" or r["alpha"] == alpha)]
            x = {way: np.array([r["test"] for r in mine if r["way"] == way]) for way in ("l2", "plain", "guard")}
            conflicts = [np.array(r["conflicts"]) for r in mine if r["way"] == "guard"]
            found[task, source, base, alpha], tables[f"{source}, {alpha:g}"] = x, conflicts
            for seed, table in enumerate(conflicts):
                rate = f"{table[:, COLUMNS.index('conflict')].mean():.4f}"
                rows.append([source, base, f"{alpha:g}", str(seed), *(f"{v[seed]:.2f}" for v in x.values()), rate])
            gain = mean_interval(x["guard"] - x["plain"], "guard - base", "points")
            means = "   ".join(f"{plots.NAMES[way]} {v.mean():.1f}" for way, v in x.items())
            against = f"guard - L2 {(x['guard'] - x['l2']).mean():+.1f}"
            print(f"  {source:<14} {base} {alpha:<6g} {means}   {gain}   {against}")
    _write_csv(out / "compare.csv", rows)
    kept = [{k: v for k, v in r.items() if k != "conflicts"} for r in runs]
    write_atomic(out / "compare.json", json.dumps(kept, indent=1) + "\n")
    plots.cells(found, out / "accuracy.png")
    plots.conflicts(tables, out / "conflicts.png", base)
    print(out)


def _task(data: Path, arch: str, weights: str | None, size: int, per_class: int | None, validation: float) -> Task:
    """Images of a folder with ``train`` and perhaps ``test`` or ``val``, and a source network."""
    if not data.is_dir():
        raise InputError(f"{data} is not a folder: give one that holds train/CLASS/IMAGE.jpg")
    source = create(arch, weights)
    if not (data / "train").is_dir():
        raise InputError(f"{data} holds no folder train: expected train/CLASS/IMAGE.jpg, and test/ or val/ beside it")
    loaded = size * 8 // 7
    train = from_folder(data / "train", loaded)
    part = next((p for p in (data / "test", data / "val") if p.is_dir()), None)
    test = train.take(torch.zeros(0, dtype=torch.int64)) if part is None else from_folder(part, loaded)
    if test.classes != train.classes:
        raise InputError(f"{part} has other classes than {data / 'train'}: the same folders are expected in both")
    return Task(data.name, source, train, test, View(size), per_class, validation)


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {k: v if np.isfinite(v) else None for k, v in values.items()}


def _write_csv(path: Path, table: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    write_atomic(path, text.getvalue())
