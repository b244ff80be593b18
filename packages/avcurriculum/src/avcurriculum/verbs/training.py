"""The verb ``train``: a localiser by a curriculum, on composed scenes or on videos, and a separator on top of it."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from avcurriculum import media, videos
from avcurriculum.counting import fit_counter
from avcurriculum.curriculum import Order, make
from avcurriculum.evaluation import pair_accuracy
from avcurriculum.metrics import si_sdr
from avcurriculum.mixing import draw_mix, stems, train_separator, visual_conditions
from avcurriculum.model import Architecture, AVNet, build
from avcurriculum.packs import Pack
from avcurriculum.pools import Pool, fill, solo_sounds
from avcurriculum.separate import Separator, SeparatorSettings, save_separator
from avcurriculum.training import Trainer, Training, save_model
from avcurriculum.verbs.common import Weights, composer_of, read_pack
from claimkit import run
from claimkit.errors import InputError
from claimkit.files import write_atomic
from claimkit.training import parallel


@dataclass(frozen=True)
class TrainJob:
    """What the verb ``train`` was asked for; see the command's help."""

    pack: Path | None
    videos: Path | None
    architecture: Any
    weights: Weights
    order: Order
    hardest: int
    steps: int
    patience: int | None
    scenes: int
    separator_steps: int
    checkpoint_every: int
    device: str


class _Material(NamedTuple):
    """Scenes by number of sources, scenes to validate on, and the sounds and pictures that a separator learns from."""

    pools: dict[int, Pool]
    val: Pool | None
    pack: Pack
    shown: Pool


def train(job: TrainJob, settings: Training, out: Path, resume: bool) -> None:
    """Train a localiser, and a separator where asked for; see the command's help."""
    checkpoint = run.checkpoint(out, resume)
    if job.checkpoint_every < 1 or job.scenes < settings.batch:
        raise InputError(f"checkpoint_every = {job.checkpoint_every}, scenes = {job.scenes}: too few; scenes fill a batch")
    if job.hardest < 1:
        raise InputError(f"hardest = {job.hardest}: expected at least one source")
    device = parallel.join(run.choose_device(job.device))
    canvas = {"small": 64, "resnet18": 224, "pretrained": 160}[job.architecture]
    net = build(Architecture(job.architecture, canvas=canvas), settings.seed, job.weights).to(device)
    frozen = job.architecture == "pretrained"
    material = _composed(job, net, frozen, settings.seed)
    if job.videos is not None:
        material = _filmed(job, net, frozen, settings, material)
    val, hardest = material.val, max(material.pools)
    validate = None if val is None else lambda m: pair_accuracy(m, val, hardest)
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
    save_model(net.cpu().eval(), out / "model.pt", notes={"order": job.order, "steps": trainer.step, "seed": settings.seed})
    history = dataclasses.asdict(trainer.history) | {"settings": dataclasses.asdict(settings), "order": job.order}
    write_atomic(out / "history.json", json.dumps(history) + "\n")
    print(f"{out / 'model.pt'}, {out / 'history.json'}, {checkpoint}")
    if job.separator_steps:
        _train_separator(net, material, job.separator_steps, settings.seed, out)


def _composed(job: TrainJob, net: AVNet, frozen: bool, seed: int) -> _Material:
    pack = read_pack(job.pack, "train")
    numbers = range(1, min(job.hardest, len(pack.classes)) + 1)
    pools = {k: fill(composer_of(pack, k, net, seed), job.scenes, net, frozen) for k in numbers}
    val = None
    if job.videos is None:
        val = fill(composer_of(read_pack(job.pack, "val"), max(pools), net, seed + 1), 120, net, frozen)
    return _Material(pools, val, pack, pools[1])


def _filmed(job: TrainJob, net: AVNet, frozen: bool, settings: Training, composed: _Material) -> _Material:
    assert job.videos is not None
    found, skipped = videos.video_scenes(media.folder_clips(job.videos), net, frozen)
    for sentence in skipped:
        print(f"skipped: {sentence}")
    scenes, val = videos.hold_out(found)
    counter = fit_counter(composed.pools) if len(composed.pools) > 1 else None
    level = videos.complexity(scenes.pool, counter, max(composed.pools), settings.batch)
    pools = {k: scenes.pool.take(np.flatnonzero(level == k)) for k in range(1, max(level) + 1)}
    held = f", {len(val)} held out to validate on" if val else ""
    print(f"scenes by estimated number of sources: { ({k: len(p) for k, p in pools.items()}) }{held}")
    pack, shown = videos.sounding_videos(scenes, level == 1) if job.separator_steps else (composed.pack, composed.shown)
    return _Material(pools, val, pack, shown)


def _train_separator(net: AVNet, material: _Material, steps: int, seed: int, out: Path) -> None:
    pack, shown = material.pack, material.shown
    frozen = net.architecture.backbone == "pretrained"
    composer = composer_of(pack, 1, net, seed)
    bare = net.without_backbones().eval() if frozen else net
    conditions = visual_conditions(bare, shown, solo_sounds(composer, net, frozen), False)
    torch.manual_seed(seed)
    separator = Separator(SeparatorSettings(net.architecture.dim))
    losses = train_separator(separator, pack, shown, conditions, steps, seed=seed)
    mixes = [draw_mix(pack, shown, np.random.default_rng([seed, 7, i])) for i in range(20)]
    waves = stems(pack, mixes)
    with torch.inference_mode():
        estimate = separator.separate(waves.sum(1), conditions(mixes, waves.sum(1)))
    gain = si_sdr(waves.numpy(), estimate.numpy()) - si_sdr(waves.numpy(), waves.sum(1, keepdim=True).numpy())
    save_separator(separator, out / "separator.pt")
    print(f"separator: loss {np.mean(losses[-20:]):.4f}, {np.nanmean(gain):+.1f} dB SI-SDR on training mixes")
    print(out / "separator.pt")
