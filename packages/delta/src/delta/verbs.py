"""What the verbs of the command line do."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import atomic_path, write_atomic
from claimkit.statistics import mean_interval
from claimkit.training import parallel
from claimkit.transfer import loop
from claimkit.transfer.arena.curves import Run, chosen, curves, doubts
from claimkit.transfer.data import Images, View, digest, from_folder
from claimkit.transfer.loop import FineTuning
from claimkit.transfer.maps.cache import FeatureCache
from claimkit.transfer.maps.layers import find, layers_for
from claimkit.transfer.networks import SmallCNN, create, reinitialise
from claimkit.transfer.tasks import Split, Task, carve
from delta import photographs, plots
from delta.attention import Attention, channel_attention
from delta.comparison import compare_task
from delta.methods import ALPHAS, Method, fine_tune, task_attention
from delta.probe import Batches
from delta.regularizer import DELTA


def view(size: int, mean: Sequence[float], std: Sequence[float]) -> View:
    """How pixels become inputs.

    Raises:
        InputError: A size or a scale that is not positive.
    """
    if size < 8 or min(std) <= 0:
        raise InputError(f"size = {size}, std = {tuple(std)}: expected at least 8 pixels and positive scales")
    return View(size, mean=tuple(mean), std=tuple(std))


def demo(out: Path, steps: int, seed: int) -> None:
    """Train a small network on crops of photographs, fit attention to others, and draw what it keeps and ignores."""
    run.picture(out)
    if steps < 1:
        raise InputError(f"steps = {steps}: the demo needs at least one step")
    run.limit_threads(1)  # small tensors: more threads only wait for each other
    images, other = photographs.crops(photographs.SOURCE, 100, seed), photographs.crops(photographs.SOURCE, 30, seed + 1)
    source = reinitialise(SmallCNN(3, (16, 32, 64), len(photographs.SOURCE)), seed)
    split = Split(images, images.take(images.y[:0]), other)
    result = loop.finetune(source, split, photographs.VIEW, FineTuning(steps, 32, 0.05, seed=seed))
    print(f"a network of {sum(p.numel() for p in source.parameters()):,} weights tells crops of six photographs apart: "
          f"{result.test.accuracy:.0%}")  # fmt: skip
    target = photographs.crops(photographs.TARGET, 60, seed)
    layer = "conv2"
    attention = channel_attention(source.eval(), Batches(target, photographs.VIEW, 32, seed=seed), [layer], seed=seed)
    weights = attention.weights()[0]
    order = weights.argsort(descending=True).tolist()
    shown = [*order[:3], *order[-3:]]
    pictures = [photographs.photograph(name, 192) for name in photographs.TARGET]
    x = replace(photographs.VIEW, size=192).test(torch.from_numpy(np.stack(pictures).transpose(0, 3, 1, 2)))
    features = DELTA(source, [layer]).features(x)[0]
    titles = [f"{'kept' if i < 3 else 'ignored'}: {c}\nweight {weights[c]:.2f}" for i, c in enumerate(shown)]
    plots.channels(pictures, [[f[c].numpy() for c in shown] for f in features], titles, out)
    spread = f"{weights.min():.2f} to {weights.max():.2f}"
    print(f"attention to {', '.join(photographs.TARGET)}: weights of the {len(weights)} channels of {layer} from {spread}")
    print(out)


def attention(
    data: Path, arch: str, weights: str, layers: Sequence[str], view: View, epochs: int, batches: int, skip: bool,
    seed: int, device: str, out: Path,
) -> None:  # fmt: skip
    """Fit attention and write it as JSON."""
    if out.suffix != ".json" or epochs < 0 or batches < 1:
        raise InputError(
            f"{out}, {epochs} epochs, {batches} batches: expected a .json, no negative epochs, and a batch or more"
        )
    device = run.choose_device(device)
    source = _source(arch, weights, layers).to(device)
    pool, _ = read(data, view.size, skip)
    found = channel_attention(
        source, Batches(pool, view, 32, seed=seed), layers or None, batches, probe_epochs=epochs,
        classes=len(pool.classes), seed=seed,
    )  # fmt: skip
    found.to_json(out)
    for name, w in zip(found.layers, found.weights(), strict=True):
        print(f"  {name:<30} {len(w):>5} channels, weights {w.min():.2f} to {w.max():.2f}")
    print(out)


def finetune(
    data: Path, arch: str, weights: str | None, method: Method, alpha: float | None, layers: Sequence[str],
    attention: Path | None, view: View, settings: FineTuning, cache_mib: int, skip: bool, device: str, out: Path,
    resume: bool,
) -> None:  # fmt: skip
    """Fine-tune one network; see the command's help."""
    checkpoint = run.checkpoint(out, resume)
    if weights is None and method != "scratch":
        raise InputError(
            f"--penalty {method} starts from a pretrained network: give --weights a file, or a name such as DEFAULT"
        )
    alpha = ALPHAS[method] if alpha is None else alpha
    if alpha < 0:
        raise InputError(f"alpha = {alpha}: expected zero or more")
    given = None if attention is None else Attention.from_json(attention, layers)
    device = parallel.join(run.choose_device(device))
    source = _source(arch, weights, layers).to(device)
    pool, test = read(data, view.size, skip)
    task = Task(data.name, source, pool, test, view)
    kept = out / "attention.json"
    if method in ("fm", "delta") and not layers:
        layers = layers_for(source, view.test(pool.x[:1]).to(device))
    if method == "delta":
        if resume and kept.exists():
            begun = Attention.from_json(kept)
            if given is not None and [g.tolist() for g in given.gaps] != [g.tolist() for g in begun.gaps]:
                raise InputError(f"{attention} is not the attention that {out} was begun with: leave out --attention")
            given = begun
        fitted = task_attention(task, settings.seed, layers, settings.augment, device) if given is None else given
        given = replace(fitted, layers=tuple(layers))
        given.to_json(kept)
    n = len(task.split(settings.seed).train)
    cache = FeatureCache(n, cache_mib * 2**20) if method in ("fm", "delta") and not settings.augment else None
    fitted_model = fine_tune(task, method, alpha, settings, layers or None, given, device, cache, checkpoint)
    result = fitted_model.result
    if not parallel.leads():
        return
    with atomic_path(out / "model.pt") as temporary:
        torch.save(fitted_model.model.state_dict(), temporary)
    _write_csv(out / "losses.csv", [["step", "loss"], *([i + 1, loss] for i, loss in enumerate(result.losses))])
    summary = {
        "method": method, "alpha": alpha, "arch": arch, "classes": pool.classes, "images": n, "layers": list(layers),
        "settings": asdict(settings), "train": asdict(result.train), "validation": asdict(result.validation),
        "test": asdict(result.test), "environment": run.environment("delta", device),
    }  # fmt: skip
    write_atomic(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    parts = (("train", result.train), ("validation", result.validation), ("test", result.test))
    print(f"{method}, alpha {alpha:g}, {n} images: " + ", ".join(f"{k} {s.accuracy:.1%}" for k, s in parts))
    print(out)


def compare(
    data: Path, arch: str, weights: str, methods: Sequence[Method], per_class: int | None, layers: Sequence[str], view: View,
    settings: FineTuning, seeds: int, skip: bool, device: str, out: Path,
) -> None:  # fmt: skip
    """Run the protocol of the claims on the user's images."""
    if seeds < 2:
        raise InputError(f"seeds = {seeds}: a comparison in pairs needs at least two")
    device = run.choose_device(device)
    source = _source(arch, weights, layers).to(device)
    pool, test = read(data, view.size, skip)
    task = Task(data.name, source, pool, test, view, per_class)
    found: list[list[Run]] = []
    content = digest(pool.x, pool.y, test.x, test.y, *source.state_dict().values())
    for seed in run.progress(range(seeds), "compare", unit="seed"):
        own = replace(settings, seed=seed)
        path = out / f"seed-{seed}.json"
        key = f"{own}, {methods}, {view}, {per_class}, {arch}, {list(layers)}, {content}"
        saved = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        if saved.get("key") != key:
            saved = {"key": key, "runs": compare_task(task, methods, own, layers or None, device)}
            write_atomic(path, json.dumps(saved) + "\n")
        found.append(saved["runs"])
    table = curves(found)
    rows = {}
    for method, curve in table[task.name].items():
        alpha = chosen(curve)
        accuracy = mean_interval(100 * curve[alpha][:, 1], method, "%")
        rows[method] = {"alpha": alpha, "test accuracy": asdict(accuracy), "by seed": (100 * curve[alpha][:, 1]).tolist()}
        print(f"  {method:<8} alpha {alpha:<7g} {accuracy}")
    for doubt in (controls := doubts(table[task.name])):
        print(f"  a negative control fails, so that this decides nothing between methods: {doubt}")
    summary = {"methods": rows, "failed controls": controls, "settings": asdict(settings)}
    write_atomic(out / "compare.json", json.dumps(summary, indent=2) + "\n")
    plots.alpha_curves(table, out / "compare.png")
    print(out)


def read(folder: Path, size: int, skip: bool) -> tuple[Images, Images]:
    """Training pool and test set, loaded an eighth larger than the input.

    ``folder/train`` and ``folder/val`` or ``folder/test`` where they exist; otherwise 30 % of each class of ``folder``
    is for testing, the same at every seed.
    """
    loaded, unreadable = size * 8 // 7, "skip" if skip else "refuse"
    if (folder / "train").is_dir():
        second = next((p for n in ("test", "val", "valid") if (p := folder / n).is_dir()), None)
        if second is None:
            raise InputError(
                f"{folder} holds train/ but none of test/, val/ and valid/: add one, or give a folder of classes"
            )
        pool, test = from_folder(folder / "train", loaded, unreadable), from_folder(second, loaded, unreadable)
        if pool.classes != test.classes:
            odd = sorted(set(pool.classes) ^ set(test.classes))[0]
            raise InputError(f"{folder}: train/ and {second.name}/ hold different classes, such as {odd!r}")
        return pool, test
    whole = from_folder(folder, loaded, unreadable)
    parts = carve(whole, whole, 0, None, 0.3)
    return parts.train, parts.validation


def _source(arch: str, weights: str | None, layers: Sequence[str]) -> nn.Module:
    source = create(arch, weights)
    if layers:
        find(source, layers)
    return source


def _write_csv(path: Path, table: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    write_atomic(path, text.getvalue())
