"""The verbs ``demo`` and ``compose``: scenes with known answers, and what small networks make of one."""

import json
from pathlib import Path

import numpy as np
import torch

from avcurriculum import audio, plots
from avcurriculum.metrics import si_sdr
from avcurriculum.network.model import Architecture, AVNet, build
from avcurriculum.options import ComposeOptions
from avcurriculum.scenes.composer import LEVELS, Composer, Level
from avcurriculum.scenes.film import FilmComposer
from avcurriculum.scenes.generated import generate_pack
from avcurriculum.scenes.packs import loudness
from avcurriculum.scenes.pools import fill
from avcurriculum.separation.conditions import assign
from avcurriculum.separation.mixing import train_separator, visual_conditions
from avcurriculum.separation.separate import Separator, SeparatorSettings, load_separator
from avcurriculum.training.curriculum import make
from avcurriculum.training.trainer import Trainer, Training, load_model
from avcurriculum.verbs.common import read_pack
from avcurriculum.video.apply import shipped
from claimkit import run
from claimkit.errors import InputError
from claimkit.files import write_atomic


def demo(out: Path, sources: int, steps: int, seed: int) -> None:
    """Draw what small networks make of a new generated scene: those that the package carries, or ones trained here."""
    run.picture(out)
    if not 2 <= sources <= 3 or 0 < steps < 3 or steps < 0 or seed < 0:
        what = f"sources = {sources}, steps = {steps}, seed = {seed}"
        raise InputError(f"{what}: the demo needs 2 or 3 sources, 0 or at least 3 steps, and no negative seed")
    run.limit_threads(1)
    net, separator = (
        demo_networks(steps, seed)
        if steps
        else (load_model(shipped("demo-localizer.pt")), load_separator(shipped("demo-separator.pt")))
    )
    held_out = generate_pack("test", seed=seed)
    scene = Composer(held_out, Level(sources, 1), seed=seed + 1000).scene(0)
    image = torch.from_numpy(scene.image)[None]
    alone = audio.log_mel(torch.from_numpy(np.stack([loudness(s) for s in scene.stems])), net.mel)
    with torch.inference_mode():
        v = net.centers(net.embed_image(image), sources + net.architecture.background)
        heard = net.centers(net.embed_audio(alone), 1).centers[:, 0]
        nearest = torch.from_numpy(assign(heard, v.centers[0][:, None]).thing)
        grid = net.embed_image(image).shape[1:3]
        maps = v.assign[0, nearest].unflatten(-1, grid).numpy()
        mixture = torch.from_numpy(scene.mixture)[None]
        estimate = separator.separate(mixture, v.centers[:, nearest])[0].numpy()
    names = [held_out.classes[c] for c in scene.classes]
    plots.demo(scene, maps, estimate, names, out)
    gain = si_sdr(scene.stems, estimate) - si_sdr(scene.stems, np.broadcast_to(scene.mixture, scene.stems.shape))
    for name, g in zip(names, gain, strict=True):
        print(f"  {name:<8} separated with {g:+.1f} dB SI-SDR over the mixture")
    print(out)


def demo_networks(steps: int, seed: int) -> tuple[AVNet, Separator]:
    """A localiser and a separator of generated scenes, trained for so many steps each; ready to be used."""
    torch.manual_seed(seed)
    net = build(Architecture(), seed)
    pack = generate_pack("train", seed=seed)
    pools = {k: fill(Composer(pack, LEVELS[k], seed=10 * seed + k), 512, net) for k in (1, 2, 3)}
    trainer = Trainer(net, pools, make("easy_to_hard", steps), Training(seed=seed))
    for _ in run.progress(trainer.run(), "localiser", total=steps, unit="step"):
        pass
    separator = Separator(SeparatorSettings(net.architecture.dim, ngf=4))
    train_separator(separator, pack, pools[1], visual_conditions(net, pools[1]), steps, batch=4, seed=seed)
    return net.eval(), separator.eval()


def compose(job: ComposeOptions, out: Path) -> None:
    """Write scenes and their answers."""
    job.check()
    material = read_pack(job.pack, job.split)
    if job.look == "film":
        composer = FilmComposer(material, job.sources, job.canvas, job.seed)
    else:
        composer = Composer(material, Level(job.sources, job.distractors, job.offscreen), job.canvas, job.seed)
    table = []
    for i in run.progress(range(job.number), "compose", unit="scene"):
        scene, name = composer.scene(i), f"scene-{i:04d}"
        plots.picture(scene.image, out / f"{name}.png")
        peak = max(1.0, float(np.abs(scene.stems).max()), float(np.abs(scene.mixture).max()))  # files sum as the sounds do
        audio.save(out / f"{name}.wav", (scene.mixture / peak).astype(np.float32))
        for j, stem in enumerate(scene.stems):
            audio.save(out / f"{name}-stem{j}.wav", (stem / peak).astype(np.float32))
        names = [material.classes[c] for c in scene.classes]
        boxes, silent = scene.boxes.tolist(), scene.distractors.tolist()
        table.append({"name": name, "classes": names, "boxes": boxes, "distractors": silent, "gains": scene.gains})
    write_atomic(out / "scenes.json", json.dumps({"seed": job.seed, "split": job.split, "scenes": table}, indent=1) + "\n")
    print(f"{job.number} scenes with {job.sources} source(s): {out}")
