"""What the verbs of the command line do."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import write_atomic
from claimkit.statistics import in_standard_errors, paired_difference
from claimkit.training import parallel
from msgd import plots
from msgd.noise import Noise, make
from msgd.theory.replicas import descend
from msgd.theory.sparse_regression import matched_classes, sparse_regression
from msgd.train.data import ImageData, load
from msgd.train.models import make_model
from msgd.train.training import LogRow, Trainer, Training


def demo(out: Path, replicas: int, steps: int, seed: int) -> None:
    """Train the diagonal linear network with every class and draw how the test error falls."""
    run.picture(out)
    if replicas < 2 or steps < 20:
        raise InputError(f"replicas = {replicas}, steps = {steps}: the demo needs at least 2 replicas and 20 steps")
    run.limit_threads(1)  # small tensors: more threads only wait for each other
    problem = sparse_regression(replicas, seed=seed)
    marks = np.unique(np.geomspace(10, steps, 30).astype(int))
    curves: dict[str, np.ndarray] = {}
    classes = matched_classes(problem.model.x.shape[1], batch=1, size=8)
    for name, law in run.progress(classes.items(), "demo", unit="class"):
        generator = torch.Generator().manual_seed(seed)
        theta = problem.model.start(0.1)
        errors = []
        for before, now in zip([0, *marks[:-1]], marks, strict=True):
            theta = descend(problem.model, theta, law, 0.02, int(now - before), generator)
            errors.append(problem.test_error(theta).numpy())
        curves[name] = np.stack(errors)
    plots.demo(marks, curves, out)
    gd, sgd = curves["gd"][-1], curves["sgd"][-1]
    print(f"{replicas} sparse regressions (40 samples, 100 weights, 5 of them real), {steps} steps, noise of SGD at batch 1")
    for name, errors in curves.items():
        print(f"  {name:<16} test error {errors[-1].mean():.3f}")
    gap = paired_difference(sgd, gd, "SGD - GD")
    print(f"{gap}: {'noise finds the sparser solution' if (gap.high or 0) < 0 else 'no gap at this size'}\n{out}")


def train(
    dataset: Any, noise: str, batch: int | None, match: int | None, data: Path | None, split: Any, rows: int | None,
    model: Any, settings: Training, checkpoint_every: int, device: str, out: Path, resume: bool,
) -> None:  # fmt: skip
    """Train one network; see the command's help."""
    if checkpoint_every < 1:
        raise InputError(f"checkpoint_every = {checkpoint_every}: expected at least one step")
    checkpoint = run.checkpoint(out, resume)
    device = parallel.join(run.choose_device(device))
    _consistent(noise, batch, match)
    trainer = _trainer(load(dataset, data, split, rows), noise, batch, match, model, settings, device)
    if parallel.leads():
        print(_level(trainer.noise))
    if resume:
        trainer.load(checkpoint)
        _cut(out / "noise_scale.csv", trainer.step)
    trainer.save(checkpoint)
    remaining = max(settings.steps - trainer.step, 0)
    try:
        for row in run.progress(trainer.run(), noise, total=remaining, unit="step"):
            if row is not None and parallel.leads():
                _write_log(out, trainer.log)
                print(_line(row), flush=True)
                if trainer.meter is not None and row.step:
                    trainer.meter.append(out / "noise_scale.csv", row.step)
            if trainer.step % checkpoint_every == 0:
                trainer.save(checkpoint)
    except KeyboardInterrupt:
        print(f"interrupted at step {trainer.step}; the last checkpoint is {checkpoint}, go on with --resume")
        raise
    trainer.save(checkpoint)
    if not parallel.leads():
        return
    _write_log(out, trainer.log)
    summary = {
        "dataset": dataset,
        "split": split,
        "noise": str(trainer.noise),
        "training": vars(settings),
        "last": vars(trainer.log[-1]),
        "environment": run.environment("msgd", str(trainer.device)),
    }
    write_atomic(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    print(f"{out / 'log.csv'}, {out / 'summary.json'}, {checkpoint}")


def compare(
    names: Sequence[str], dataset: Any, batch: int, size: int | None, data: Path | None, split: Any, rows: int | None,
    model: Any, steps: int, learning_rate: float, seeds: int, device: str, out: Path,
) -> None:  # fmt: skip
    """Train with several classes, paired by seed; see the command's help."""
    if seeds < 2:
        raise InputError(f"seeds = {seeds}: a comparison needs at least two paired runs")
    chosen = list(dict.fromkeys(["gd", "sgd", *names]))
    images = load(dataset, data, split, rows)
    size = min(4 * batch, len(images.train_x)) if size is None else size
    device = run.choose_device(device)
    accuracy: dict[str, list[float]] = {name: [] for name in chosen}
    curves: dict[str, list[list[LogRow]]] = {name: [] for name in chosen}
    jobs = [(name, seed) for seed in range(seeds) for name in chosen]
    for name, seed in run.progress(jobs, "compare", unit="run"):
        settings = Training(steps, learning_rate, evaluate_every=max(steps // 20, 1), seed=seed)
        rows_drawn = batch if name in ("sgd", "sgd-replacement", "bernoulli") else size
        trainer = _trainer(images, name, rows_drawn, batch, model, settings, device)
        for _ in trainer.run():
            pass
        accuracy[name].append(trainer.log[-1].test_accuracy)
        curves[name].append(trainer.log)
    table = [["noise", *(f"seed {s}" for s in range(seeds)), "mean"]]
    table += [[name, *(f"{a:.4f}" for a in values), f"{np.mean(values):.4f}"] for name, values in accuracy.items()]
    _write_csv(out / "compare.csv", table)
    write_atomic(
        out / "compare.json", json.dumps({"test_accuracy": accuracy, "steps": steps, "batch": batch}, indent=2) + "\n"
    )
    plots.compare(curves, out / "compare.png")
    for name, values in accuracy.items():
        print(f"  {name:<16} test accuracy {np.mean(values):.4f}")
    print(f"{_gap(accuracy['sgd'], accuracy['gd'])}\n{out}")


def _trainer(
    data: ImageData, noise: str, batch: int | None, match: int | None, model: Any, settings: Training, device: str
) -> Trainer:
    n = len(data.train_x)
    law = make(noise, n, min(50, n) if batch is None else batch, match)
    network = make_model(model, tuple(data.train_x.shape[1:]), data.classes, settings.seed).to(device)
    return Trainer(network, data.to(device), law, settings)


def _gap(sgd: Sequence[float], gd: Sequence[float]) -> str:
    """What may be said of SGD against GD: a gap is 4 standard errors, and an interval at this many seeds without zero."""
    difference = np.subtract(sgd, gd)
    if np.ptp(difference) < 1e-9:
        return f"SGD - GD: {difference.mean():+.4f} on every seed: no spread to judge by, run more seeds"
    told, effect = paired_difference(sgd, gd, "SGD - GD"), in_standard_errors(difference)
    gap = abs(effect) >= 4 and told.low is not None and told.high is not None and told.low * told.high > 0
    verdict = "a gap" if gap else "no gap at this scale: nothing can be said about the classes"
    return f"{told}, {effect:.1f} standard errors from {len(difference)} seeds: {verdict}"


def _consistent(noise: str, batch: int | None, match: int | None) -> None:
    """Refuse a batch or a level that the class would not heed.

    Raises:
        InputError: Which, and what to give instead.
    """
    if noise == "gd" and (batch is not None or match is not None):
        raise InputError("noise gd takes all rows without noise: leave --batch and --match out, or choose another class")
    if noise in ("gauss-fisher", "gauss-cov") and batch is not None:
        raise InputError(
            f"noise {noise} weighs all rows, so that --batch {batch} has no use: give its level as --match {batch}"
        )
    own = noise in ("sgd", "sgd-replacement", "bernoulli")
    if own and batch is not None and match is not None and batch != match:
        raise InputError(
            f"noise {noise} has the level of the rows it draws: give --batch {batch} or --match {match}, not both"
        )


def _level(law: Noise) -> str:
    """The law, and the SGD that has its level."""
    batch = law.n / (1 + law.level * (law.n - 1))
    return f"{law}: " + ("no noise" if law.level == 0 else f"the noise of SGD at batch {batch:.4g} of {law.n} rows")


def _line(row: LogRow) -> str:
    train = f"train loss {row.train_loss:.4f} accuracy {row.train_accuracy:.4f}"
    return f"step {row.step:>7}  {train}  test loss {row.test_loss:.4f} accuracy {row.test_accuracy:.4f}"


def _write_log(out: Path, log: Sequence[LogRow]) -> None:
    _write_csv(out / "log.csv", [list(vars(log[0])), *([str(v) for v in vars(r).values()] for r in log)])


def _cut(path: Path, step: int) -> None:
    """Drop the rows after a step: an interrupted run logged them after its checkpoint, and logs them again."""
    if parallel.leads() and path.exists():
        head, *rows = path.read_text(encoding="utf-8").splitlines()
        kept = [row for row in rows if row.count(",") == head.count(",") and int(row.partition(",")[0]) <= step]
        write_atomic(path, "\n".join([head, *kept]) + "\n")


def _write_csv(path: Path, table: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    write_atomic(path, text.getvalue())
