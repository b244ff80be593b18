"""What the verbs of the command line do."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avcurriculum import annotations as readers
from avcurriculum import apply, audio, media, plots
from avcurriculum.counting import fit_counter
from avcurriculum.curriculum import Order, make
from avcurriculum.evaluation import pair_accuracy, scene_scores, solo_queries
from avcurriculum.generated import generate_pack
from avcurriculum.metrics import auc, si_sdr, success_rate
from avcurriculum.mixing import draw_mix, stems, train_separator, visual_conditions
from avcurriculum.model import Architecture, AVNet, build
from avcurriculum.packs import Pack, Split, load_pack, loudness, read_picture
from avcurriculum.pools import Pool, fill, solo_sounds
from avcurriculum.scenes import LEVELS, Composer, Level
from avcurriculum.separate import Separator, SeparatorSettings, load_separator, save_separator
from avcurriculum.training import Trainer, Training, load_model, save_model
from avcurriculum.videos import video_pools
from paperkit import run
from paperkit.errors import InputError
from paperkit.files import atomic_path, write_atomic
from paperkit.training import parallel

Weights = tuple[Path, Path] | None


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


def demo(out: Path, sources: int, steps: int, seed: int) -> None:
    """Train small networks on generated scenes and draw what they make of a new one."""
    run.picture(out)
    if not 2 <= sources <= 3 or steps < 3:
        raise InputError(f"sources = {sources}, steps = {steps}: the demo needs 2 or 3 sources and at least 3 steps")
    run.limit_threads(1)
    torch.manual_seed(seed)
    net = build(Architecture(), seed)
    pack, held_out = generate_pack("train", seed=seed), generate_pack("test", seed=seed)
    pools = {k: fill(Composer(pack, LEVELS[k], seed=10 * seed + k), 512, net) for k in (1, 2, 3)}
    trainer = Trainer(net, pools, make("easy_to_hard", steps), Training(seed=seed))
    for _ in run.progress(trainer.run(), "localiser", total=steps, unit="step"):
        pass
    separator = Separator(SeparatorSettings(net.architecture.dim, ngf=4))
    solo = solo_sounds(Composer(pack, 1), net)
    train_separator(separator, pack, pools[1], visual_conditions(net, pools[1], solo, False), steps, 4, seed=seed)
    scene = Composer(held_out, Level(sources, 1), seed=seed + 1000).scene(0)
    image = torch.from_numpy(scene.image)[None]
    alone = audio.log_mel(torch.from_numpy(np.stack([loudness(s) for s in scene.stems])), net.mel)
    with torch.inference_mode():
        v = net.centers(net.embed_image(image), sources + net.architecture.background)
        heard = net.centers(net.embed_audio(alone), 1).centers[:, 0]
        nearest = torch.cdist(heard, v.centers[0]).argmin(1)
        grid = net.embed_image(image).shape[1:3]
        maps = v.assign[0, nearest].unflatten(-1, grid).numpy()
        mixture = torch.from_numpy(scene.mixture)[None]
        estimate = separator.separate(mixture, v.centers[:, nearest])[0].numpy()
    names = [pack.classes[c] for c in scene.classes]
    plots.demo(scene, maps, estimate, names, out)
    gain = si_sdr(scene.stems, estimate) - si_sdr(scene.stems, np.broadcast_to(scene.mixture, scene.stems.shape))
    for name, g in zip(names, gain, strict=True):
        print(f"  {name:<8} separated with {g:+.1f} dB SI-SDR over the mixture")
    print(out)


def compose(
    pack: Path | None, split: Split, sources: int, distractors: int, offscreen: bool, number: int, canvas: int, seed: int,
    out: Path,
) -> None:  # fmt: skip
    """Write scenes and their answers."""
    from PIL import Image

    if number < 1:
        raise InputError(f"number = {number}: expected at least one scene")
    material = _pack(pack, split)
    composer = Composer(material, Level(sources, distractors, offscreen), canvas, seed)
    table = []
    for i in run.progress(range(number), "compose", unit="scene"):
        scene, name = composer.scene(i), f"scene-{i:04d}"
        with atomic_path(out / f"{name}.png") as temporary:
            Image.fromarray(scene.image).save(temporary)
        peak = max(1.0, float(np.abs(scene.stems).max()), float(np.abs(scene.mixture).max()))  # files sum as the sounds do
        audio.save(out / f"{name}.wav", (scene.mixture / peak).astype(np.float32))
        for j, stem in enumerate(scene.stems):
            audio.save(out / f"{name}-stem{j}.wav", (stem / peak).astype(np.float32))
        names = [material.classes[c] for c in scene.classes]
        boxes, silent = scene.boxes.tolist(), scene.distractors.tolist()
        table.append({"name": name, "classes": names, "boxes": boxes, "distractors": silent, "gains": scene.gains})
    write_atomic(out / "scenes.json", json.dumps({"seed": seed, "split": split, "scenes": table}, indent=1) + "\n")
    print(f"{number} scenes with {sources} source(s): {out}")


def train(job: TrainJob, settings: Training, out: Path, resume: bool) -> None:
    """Train a localiser, and a separator where asked for; see the command's help."""
    checkpoint = run.checkpoint(out, resume)
    if job.checkpoint_every < 1 or job.scenes < settings.batch:
        raise InputError(f"checkpoint_every = {job.checkpoint_every}, scenes = {job.scenes}: too few; scenes fill a batch")
    device = parallel.join(run.choose_device(job.device))
    canvas = {"small": 64, "resnet18": 224, "pretrained": 160}[job.architecture]
    net = build(Architecture(job.architecture, canvas=canvas), settings.seed, job.weights).to(device)
    frozen = job.architecture == "pretrained"
    material = _pack(job.pack, "train")
    hardest = min(job.hardest, len(material.classes))
    numbers = range(1, hardest + 1)
    pools = {k: fill(_composer(material, k, net, settings.seed), job.scenes, net, frozen) for k in numbers}
    if job.videos is not None:
        clips, skipped = media.folder_clips(job.videos)
        for sentence in skipped:
            print(f"skipped: {sentence}")
        pools = video_pools(clips, net, fit_counter(pools, settings.seed), hardest, settings.batch, frozen)
        print(f"{len(clips)} videos, scenes by estimated number of sources: { ({k: len(p) for k, p in pools.items()}) }")
    val = fill(_composer(_pack(job.pack, "val"), hardest, net, settings.seed + 1), 120, net, frozen)
    bare = net.without_backbones() if frozen else net
    curriculum = make(job.order, job.steps, max(pools), job.patience)
    trainer = Trainer(bare, pools, curriculum, settings, lambda m: pair_accuracy(m, val, hardest))
    if resume:
        trainer.load(checkpoint)
    try:
        for loss in run.progress(trainer.run(), job.order, total=max(job.steps - trainer.step, 0), unit="step"):
            if trainer.step % settings.validate_every == 0 and parallel.leads():
                score = trainer.history.validation[-1][2]
                print(f"step {trainer.step:>6}  loss {loss:.4f}  validation pair accuracy {score:.3f}", flush=True)
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
        _train_separator(net, material, pools[1] if job.videos is None else None, job.separator_steps, settings.seed, out)


def evaluate(
    model: Path | None, weights: Weights, pack: Path | None, split: Split, scenes: int, seed: int, out: Path | None
) -> None:
    """Print pair accuracy and localisation for one to three sources."""
    net, material = _model(model, weights), _pack(pack, split)
    solo = solo_sounds(_composer(material, 1, net, seed), net)
    table: dict[str, dict[str, float]] = {}
    for k in (1, 2, 3):
        pool = fill(_composer(material, k, net, seed), scenes, net)
        query, scene = solo_queries(net, pool, solo, k), scene_scores(net, pool, k)
        table[f"{k} source(s)"] = {
            "pair accuracy": pair_accuracy(net, pool, k),
            "mean IoU": float(query.iou.mean()),
            "IoU@0.3": success_rate(query.iou, 0.3),
            "IoU@0.5": success_rate(query.iou, 0.5),
            "pointing": float(query.pointing.mean()),
            **{f"cIoU@0.5 {cut}": success_rate(v) for cut, v in scene.items()},
            **{f"AUC {cut}": auc(v) for cut, v in scene.items()},
        }
    _print_table(table, out)


def evaluate_annotations(
    model: Path | None, weights: Weights, annotations: Path, kind: str, clips: Path | None, out: Path | None
) -> None:
    """Print cIoU and AUC on an annotated data set, beside the whole-picture and the centre baselines."""
    if clips is None:
        raise InputError("annotated data need --clips, the folder of NAME.jpg beside NAME.wav")
    net, size = _model(model, weights), 224
    if kind == "flickr":
        entries, skipped = readers.flickr_xml(annotations)
    else:
        entries, skipped = (readers.vggss_json if kind == "vggss" else readers.dsol_json)(annotations), []
    maps, truths = [], []
    for entry in run.progress(entries, "eval", unit="clip"):
        try:
            picture, sound = read_picture(_beside(clips, entry.name, (".jpg", ".png", ".jpeg"))), _sound(clips, entry.name)
        except InputError as e:
            skipped.append(str(e))
            continue
        mel = audio.log_mel(torch.from_numpy(sound)[None], net.mel)
        image = apply.square(picture, net.architecture.canvas)[None]
        with torch.inference_mode():
            maps.append(net.localize(image, mel, 1, size=size).maps[0, 0].numpy())
        truths.append(entry.truth(size, size))
    for sentence in skipped:
        print(f"skipped: {sentence}")
    if not maps:
        raise InputError(f"none of the {len(entries)} annotated clips could be used ({len(skipped)} skipped)")
    print(f"{len(maps)} clips, {len(skipped)} skipped")
    _print_table(apply.evaluate_maps(maps, truths), out)


def localize(
    clip: Path, out: Path | None, sounds: int, every: float, model: Path | None, weights: Weights, table: Path | None
) -> None:
    """Write a video with the heat map."""
    out = clip.with_name(f"{clip.stem}-heat.mp4") if out is None else out
    if out.suffix.lower() not in media.SUFFIXES:
        raise InputError(f"{out} is no name of a video: use one that ends in {', '.join(media.SUFFIXES)}")
    read, net = media.read_clip(clip), _model(model, weights)
    heat = apply.localize_clip(read, net, sounds, every)
    media.repaint(read, out, lambda time, frame: apply.paint(frame, heat.at(time)))
    if table is not None:
        write_atomic(table, json.dumps({"clip": clip.name, "places": heat.places()}, indent=1) + "\n")
    quiet = f", {int(heat.silent.sum())} of {len(heat.times)} looks at silence" if heat.silent.any() else ""
    print(f"{read.seconds:.1f} s of video, {sounds} sound(s){quiet}: {out}")


def separate(
    clip: Path, out: Path | None, sounds: int, model: Path | None, separator: Path | None, weights: Weights
) -> None:
    """Write the sounds of a video one by one."""
    out = clip.with_name(f"{clip.stem}-sounds") if out is None else out
    read, net = media.read_clip(clip), _model(model, weights)
    masks = apply.shipped_separator() if separator is None else load_separator(separator)
    waves, maps = apply.separate_clip(read, net, masks, sounds)
    (middle,) = media.sample_frames(clip, [read.seconds / 2])
    for i, wave in enumerate(waves, 1):
        audio.save(out / f"sound-{i}.wav", wave)
        plots.picture(apply.paint(middle, maps[i - 1 : i]), out / f"sound-{i}.png")
    print(f"{len(waves)} sounds of {read.seconds:.1f} s: {out}")


def _train_separator(net: AVNet, pack: Pack, shown: Pool | None, steps: int, seed: int, out: Path) -> None:
    frozen = net.architecture.backbone == "pretrained"
    composer = _composer(pack, 1, net, seed)
    shown = fill(composer, 512, net, frozen) if shown is None else shown
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


def _pack(folder: Path | None, split: Split) -> Pack:
    if folder is None:
        return generate_pack(split)
    pack = load_pack(folder, split)
    if pack.skipped:
        print(f"{len(pack.skipped)} file(s) of {folder} cannot be read and are skipped: {', '.join(pack.skipped[:5])}")
    return pack


def _composer(pack: Pack, sources: int, net: AVNet, seed: int) -> Composer:
    silent = min(LEVELS[min(sources, 4)].distractors, len(pack.distractors))
    return Composer(pack, Level(sources, silent), net.architecture.canvas, 10 * seed + sources, net.mel)


def _model(path: Path | None, weights: Weights) -> AVNet:
    return apply.shipped_localizer() if path is None else load_model(path, weights)


def _beside(folder: Path, name: str, suffixes: tuple[str, ...]) -> Path:
    stem = Path(name).with_suffix("") if Path(name).suffix in (*suffixes, ".mp4") else Path(name)
    found = next((p for s in suffixes if (p := folder / f"{stem}{s}").is_file()), None)
    if found is None:
        raise InputError(f"{folder} holds no {stem}{suffixes[0]}")
    return found


def _sound(folder: Path, name: str) -> np.ndarray:
    """The two seconds in the middle."""
    from avcurriculum.packs import SAMPLES

    path = _beside(folder, name, (".wav", ".ogg", ".flac"))
    wave = audio.load(path)
    start = max((wave.size - SAMPLES) // 2, 0)
    wave = wave[start : start + SAMPLES]
    return loudness(audio.audible(np.pad(wave, (0, SAMPLES - wave.size)), str(path)))


def _print_table(table: dict[str, dict[str, float]], out: Path | None) -> None:
    width = max(len(name) for row in table.values() for name in row)
    print(" " * width + "".join(f"{name:>16}" for name in table))
    for name in next(iter(table.values())):
        print(f"{name:<{width}}" + "".join(f"{row[name]:>16.3f}" for row in table.values()))
    if out is not None:
        write_atomic(out, json.dumps(table, indent=1) + "\n")
