"""The verb ``train``: a localiser by a curriculum, on composed scenes or on videos, and a separator on top of it."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from avcurriculum.evaluation.composed import calibrate, disjoint_partners, pair_accuracy
from avcurriculum.metrics import audible_mean, si_sdr
from avcurriculum.network.model import Architecture, AVNet, build
from avcurriculum.options import TrainOptions
from avcurriculum.scenes.packs import Pack
from avcurriculum.scenes.pools import Pool, Stream, audio_features, fill
from avcurriculum.separation.mixing import SeparatorTrainer, draw_mix, stems, visual_conditions
from avcurriculum.separation.separate import Separator, SeparatorSettings, save_separator
from avcurriculum.training.counting import fit_counter
from avcurriculum.training.curriculum import make
from avcurriculum.training.trainer import History, Trainer, Training, save_model
from avcurriculum.verbs.common import composer_of, read_model, read_pack
from avcurriculum.video import media, videos
from claimkit import run
from claimkit.errors import InputError
from claimkit.files import write_atomic
from claimkit.training import parallel


class _Material(NamedTuple):
    """Scenes by number of sources, scenes to validate on, and the sounds and pictures that a separator learns from."""

    pools: Mapping[int, Pool | Stream]
    val: Pool | None
    pack: Pack
    shown: Pool
    checks: dict[int, Pool]
    """Scenes by number of sounds that "not in the picture" is calibrated on; not trained on."""
    asked: int
    """Sounds that are looked for in the scenes to validate on."""


def train(job: TrainOptions, out: Path, resume: bool) -> None:
    """Train a localiser, and a separator where asked for; see the command's help."""
    checkpoint = run.checkpoint(out, resume)
    job.check()
    settings = Training(
        job.batch,
        job.learning_rate,
        loss=job.loss,
        scale=job.gamma,
        seed=job.seed,
        augment=job.augment,
        keep_best=True,
        bf16=job.bf16,
    )
    device = parallel.join(run.choose_device(job.device))
    net = _start(job, settings.seed).to(device)
    frozen = job.arch == "pretrained"
    material = _composed(job, net, frozen, settings.seed)
    if job.videos is not None:
        material = _filmed(job, net, frozen, settings, material)
    val, hardest = material.val, max(material.pools)
    validate = None if val is None else lambda m: pair_accuracy(m, val, material.asked)
    bare = net.without_backbones() if frozen else net
    trainer = Trainer(bare, material.pools, make(job.order, job.steps, hardest, job.patience), settings, validate)
    if resume:
        trainer.load(checkpoint)
    try:
        for loss in run.progress(trainer.run(), job.order, total=max(job.steps - trainer.step, 0), unit="step"):
            if trainer.step % settings.validate_every == 0 and parallel.leads():
                score = f"  validation pair accuracy {trainer.history.validation[-1][2]:.3f}" if validate else ""
                print(f"step {trainer.step:>6}  loss {loss:.4f}{score}", flush=True)
            if trainer.step % job.checkpoint_every == 0:
                trainer.save(checkpoint)
    except KeyboardInterrupt:
        print(f"interrupted at step {trainer.step}; go on from the last checkpoint with --resume")
        raise
    trainer.save(checkpoint)
    if not parallel.leads():
        return
    net = net.cpu().eval()
    if val is not None:
        print(verdict(trainer.history, len(disjoint_partners(val))))
        for k, share in calibrate(bare, {k: v for k, v in material.checks.items() if len(v)}).items():
            limit = f"{k} sound(s): beyond {bare.offscreen[k - 1]:.3f} is not in the picture"
            print(f"{limit}, which finds {share:.0%} of absent ones" if share == share else f"{limit}, untested")
        net.offscreen = bare.offscreen
    notes = {"order": job.order, "steps": trainer.best[1] if trainer.best else trainer.step, "seed": settings.seed}
    save_model(net, out / "model.pt", notes=notes)
    history = dataclasses.asdict(trainer.history) | {"settings": dataclasses.asdict(settings), "order": job.order}
    write_atomic(out / "history.json", json.dumps(history) + "\n")
    print(f"{out / 'model.pt'}, {out / 'history.json'}, {checkpoint}")
    if job.separator_steps:
        _train_separator(net, material, job, settings.seed, out, resume)


def verdict(history: History, pairs: int) -> str:
    """Whether anything was learned: the best validation against chance, corrected for the number of looks."""
    from scipy.stats import binomtest

    step, _, best = max(history.validation, key=lambda v: v[2])
    told = f"best validation pair accuracy {best:.3f} at step {step}, {pairs} pairs, chance 0.5"
    if pairs == 0:
        return "no two scenes to validate on differ: whether anything was learned is not known"
    p = binomtest(round(best * pairs), pairs, 0.5, "greater").pvalue * len(history.validation)
    if p < 0.05:
        return f"{told}; the model of that step is kept"
    return f"NOTHING WAS LEARNED that validation can tell from chance: {told}. More videos, --init or --weights may help"


def _start(job: TrainOptions, seed: int) -> AVNet:
    if job.init is None:
        canvas = {"small": 64, "resnet18": 224, "pretrained": 160}[job.arch]
        return build(Architecture(job.arch, canvas=canvas), seed, job.weights)
    net = read_model(job.init, job.weights)
    kind = net.architecture.backbone
    if kind != job.arch:
        raise InputError(f"{job.init} is a {kind} network: ask for --arch {kind}")
    return net


def _composed(job: TrainOptions, net: AVNet, frozen: bool, seed: int) -> _Material:
    pack = read_pack(job.pack, "train")
    numbers = range(1, min(job.hardest, len(pack.classes)) + 1)
    composers = {k: composer_of(pack, k, net, seed, job.look) for k in numbers}
    shown = {k: fill(composer, job.scenes, net, frozen) for k, composer in composers.items() if k == 1 or not job.fresh}
    if job.videos is not None:
        return _Material(shown, None, pack, shown[1], {}, 1)
    held_out, number = read_pack(job.pack, "val"), min(120, 2 * job.scenes)
    checks = {k: fill(composer_of(held_out, k, net, seed + 1, job.look), number, net, frozen) for k in numbers}
    pools = {k: Stream(composer) for k, composer in composers.items()} if job.fresh else shown
    told_apart = [k for k in numbers if disjoint_partners(checks[k])]  # three sources of five classes always share one
    asked = max(told_apart, default=max(checks))
    return _Material(pools, checks[asked], pack, shown[1], checks, asked)


def _filmed(job: TrainOptions, net: AVNet, frozen: bool, settings: Training, composed: _Material) -> _Material:
    assert job.videos is not None
    listing = media.folder_clips(job.videos)
    found, skipped = videos.video_scenes(listing.files, net, frozen)
    for sentence in (*listing.skipped, *skipped):
        print(f"skipped: {sentence}")
    scenes, val = videos.hold_out(found)
    held = {k: pool for k, pool in composed.pools.items() if isinstance(pool, Pool)}
    counter = fit_counter(held) if len(held) > 1 else None
    level = videos.complexity(scenes.pool, counter, max(composed.pools), settings.batch)
    pools = {k: scenes.pool.take(np.flatnonzero(level == k)) for k in range(1, max(level) + 1)}
    left = (
        f", {len(val)} held out to validate on" if val else "; too few videos to hold any out: what is learned stays unknown"
    )
    print(f"scenes by estimated number of sources: { ({k: len(p) for k, p in pools.items()}) }{left}")
    pack, shown = videos.sounding_videos(scenes, level == 1) if job.separator_steps else (composed.pack, composed.shown)
    checks = {} if val is None else {1: val}
    return _Material(pools, val, pack, shown, checks, max(pools))


def _train_separator(net: AVNet, material: _Material, job: TrainOptions, seed: int, out: Path, resume: bool) -> None:
    pack, shown, checkpoint = material.pack, material.shown, out / "separator-checkpoint.pt"
    frozen = net.architecture.backbone == "pretrained"
    bare = net.without_backbones().eval() if frozen else net
    conditions = visual_conditions(bare, shown, (lambda mel: audio_features(net, mel)) if frozen else None)
    torch.manual_seed(seed)
    separator = Separator(SeparatorSettings(net.architecture.dim))
    trainer = SeparatorTrainer(separator, pack, shown, conditions, job.separator_steps, seed=seed)
    if resume and checkpoint.is_file():
        trainer.load(checkpoint)
    try:
        for _ in run.progress(trainer.run(), "separator", total=job.separator_steps - len(trainer.losses), unit="step"):
            if len(trainer.losses) % job.checkpoint_every == 0:
                trainer.save(checkpoint)
    except KeyboardInterrupt:
        print(f"interrupted at step {len(trainer.losses)} of the separator; go on from the last checkpoint with --resume")
        raise
    mixes = [draw_mix(pack, shown, np.random.default_rng([seed, 7, i])) for i in range(20)]
    waves = stems(pack, mixes)
    with torch.inference_mode():
        estimate = separator.separate(waves.sum(1), conditions(mixes, waves.sum(1)))
    gain = si_sdr(waves.numpy(), estimate.numpy()) - si_sdr(waves.numpy(), waves.sum(1, keepdim=True).numpy())
    save_separator(separator, out / "separator.pt")
    checkpoint.unlink(missing_ok=True)
    loss = np.mean(trainer.losses[-20:])
    print(f"separator: loss {loss:.4f}, {audible_mean(gain):+.1f} dB SI-SDR on training mixes; held-out: eval --separator")
    print(out / "separator.pt")
