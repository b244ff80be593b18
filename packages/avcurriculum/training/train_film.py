"""Trains the shipped localiser of films: a teacher on frozen networks, and a small student, on scenes that look like films.

The teacher is the package's own network on frozen MobileNetV2 and YAMNet, trained by the curriculum on scenes composed as
films look. The student learns the teacher's positions (1 - cosine) on these scenes and on single pictures and sounds, then
goes through the curriculum itself on scenes that never come twice. The step with the best validation is kept.

    python train_film.py DATA MORE OUT.pt

MORE holds ``caltech/CLASS/*.jpg`` (pictures of Caltech-101 that the pack does not have) and ``animals/NAME*/*.wav``
(github:YashNita/Animal-Sound-Dataset): three classes of them are heard and seen, the others are silent, or off screen.
"""

import csv
import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate, normalize

from avcurriculum import audio
from avcurriculum.evaluation.composed import calibrate, pair_accuracy
from avcurriculum.network.model import Architecture, build
from avcurriculum.scenes.composer import centre_square
from avcurriculum.scenes.film import FilmComposer
from avcurriculum.scenes.packs import SAMPLES, load_pack, loudness, read_picture
from avcurriculum.scenes.pools import Stream, fill
from avcurriculum.training.curriculum import make
from avcurriculum.training.trainer import Trainer, Training, save_model

SEED, SCENES, CANVAS, LARGEST = 0, 1280, 160, 320
HELD_OUT, CHECKS = 160, 240
TEACHER_STEPS, DISTILL, CURRICULUM = 1500, 4000, 2400
TEACHER_BATCH, BATCH, STUDENT_BATCH = 64, 32, 48
NUMBERS = (1, 2, 3)
STUDENT = Architecture("small", widths=(24, 48, 96, 128), canvas=96)
HEARD_AND_SEEN = {
    "cat": (("Kedi",), ("wild_cat",)),
    "bird": (("Kus",), ("pigeon", "ibis")),
    "lion": (("Aslan",), ("cougar_face", "cougar_body")),
}
OFFSCREEN = ("Inek", "Koyun", "Kurbaga", "Esek", "Maymun")


def main(data: Path, more: Path, out: Path) -> None:
    """Train both, print the validation of each, write the student calibrated on validation scenes."""
    torch.set_num_threads(1)
    begin = time.process_time()
    weights = (data / "weights/mobilenet_v2_imagenet.pt", data / "weights/yamnet_audioset.pt")
    teacher, student = build(Architecture("pretrained", canvas=CANVAS), SEED, weights).eval(), build(STUDENT, SEED)
    pack, held_out = widened(data, more), load_pack(data / "av", "val", windows=2, seed=SEED)

    def scenes(net, split, seed, number, frozen=False):
        return {
            k: fill(FilmComposer(split, k, net.architecture.canvas, seed + k, net.mel), number, net, frozen) for k in NUMBERS
        }

    def fit(net, pools, held, steps, settings):
        def validate(m):
            return float(np.mean([pair_accuracy(m, held[k], k) for k in NUMBERS]))

        trainer = Trainer(net, pools, make("easy_to_hard", steps), settings, validate)
        for _ in trainer.run():
            if trainer.step % 100 == 0:
                score = trainer.history.validation[-1][2]
                print(f"step {trainer.step}, validation {score:.3f}, {time.process_time() - begin:.0f} CPU s", flush=True)
        net.eval()

    bare, large = teacher.without_backbones(), scenes(teacher, pack, 0, SCENES, True)
    settings = Training(TEACHER_BATCH, 1e-3, weight_decay=1e-5, seed=SEED, keep_best=True, validate_every=100)
    fit(bare, large, scenes(teacher, held_out, 900, HELD_OUT, True), TEACHER_STEPS, settings)
    with torch.inference_mode():
        seen = torch.cat([bare.embed_image(x).half() for k in NUMBERS for x in large[k].visual.split(128)])
        heard = torch.cat([bare.embed_audio(x).half() for k in NUMBERS for x in large[k].audio.split(128)])
    del large
    distill(student, teacher, pack, seen, heard)
    pools = {k: Stream(FilmComposer(pack, k, STUDENT.canvas, 50 + k, student.mel)) for k in NUMBERS}
    settings = Training(STUDENT_BATCH, 5e-4, seed=SEED, keep_best=True, validate_every=100, augment=True)
    fit(student, pools, scenes(student, held_out, 900, HELD_OUT), CURRICULUM, settings)
    print("absent sounds found on validation scenes:", calibrate(student, scenes(student, held_out, 900, CHECKS)))
    save_model(student, out, half=True, notes={"seed": SEED, "scenes": SCENES, "distillation": DISTILL})


def widened(data, more):
    """The training split with random windows, photographs as backgrounds, three more classes, and many silent things."""
    rng = np.random.default_rng(SEED)
    pack = load_pack(data / "av", "train", windows=6, seed=SEED)
    sounds, pictures = dict(pack.sounds), dict(pack.pictures)
    for name, (heard, seen) in HEARD_AND_SEEN.items():
        sounds[f"z{name}"] = windows(more / "animals", heard, rng, 3)
        pictures[f"z{name}"] = [p for s in seen for p in pictures_of(more / "caltech" / s)]
    used = {s for _, seen in HEARD_AND_SEEN.values() for s in seen}
    silent = {f"z{f.name}": pictures_of(f) for f in sorted((more / "caltech").iterdir()) if f.name not in used}
    away = {f"z{name}": windows(more / "animals", (name,), rng, 2) for name in OFFSCREEN}
    with (data / "images/photos.csv").open(newline="") as f:
        photos = [read_picture(data / "images" / row["file"]) for row in csv.DictReader(f) if row["split"] == "train"]
    return dataclasses.replace(
        pack,
        sounds=sounds,
        pictures=pictures,
        distractors={**pack.distractors, **silent},
        offscreen={**pack.offscreen, **away},
        backgrounds=[centre_square(p, min(*p.shape[:2], LARGEST)) for p in (*pack.backgrounds, *photos)],
    )


def pictures_of(folder):
    """All of a folder."""
    return [read_picture(p) for p in sorted(folder.glob("*.jpg"))]


def windows(folder, names, rng, number):
    """Random two seconds of every sound, without those that are nearly silent."""
    out = []
    for path in (p for name in names for p in sorted(folder.glob(f"{name}*/*.wav"))):
        wave = audio.load(path)
        wave = np.pad(wave, (0, max(0, SAMPLES - wave.size)))
        for start in rng.integers(0, wave.size - SAMPLES + 1, number):
            cut = wave[start : start + SAMPLES]
            if audio.rms(cut) > max(0.1 * audio.rms(wave), 1e-4):
                out.append(loudness(cut.astype(np.float32)))
    return out


def distill(student, teacher, pack, seen, heard):
    """Fit the student's positions to the teacher's, on the scenes that those are of, and on what the pack holds alone."""
    images, mels = [], []
    for k in NUMBERS:
        composer = FilmComposer(pack, k, CANVAS, k, student.mel)
        for first in range(0, SCENES, 64):
            batch = composer.batch(range(first, min(first + 64, SCENES)))
            images.append(shrink(batch.images))
            mels.append(batch.features)
    alone = [p for g in (*pack.pictures.values(), *pack.distractors.values(), pack.backgrounds) for p in g]
    large = torch.from_numpy(np.stack([centre_square(p, CANVAS) for p in alone]))
    waves = torch.from_numpy(np.stack([w for g in (*pack.sounds.values(), *pack.offscreen.values()) for w in g]))
    with torch.inference_mode():
        seen = torch.cat([seen, *(teacher.embed_image(x).half() for x in large.split(32))])
        heard = torch.cat([heard, *(teacher.embed_audio(audio.log_mel(w, teacher.mel)).half() for w in waves.split(32))])
    images, mels = torch.cat([*images, shrink(large)]), torch.cat([*mels, audio.log_mel(waves, student.mel)])
    optimizer = torch.optim.Adam(student.parameters(), 3e-3, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, DISTILL)
    rng = np.random.default_rng(SEED + 2)
    student.train()
    for _ in range(DISTILL):
        i, j = (torch.from_numpy(rng.choice(len(x), BATCH, replace=False)) for x in (images, mels))
        shown, target = images[i].float(), seen[i]
        if rng.random() < 0.5:
            shown, target = shown.flip(2), target.flip(2)
        gain = torch.from_numpy(rng.uniform(0.75, 1.25, (BATCH, 1, 1, 3))).float()
        v, a = student.embed_image((shown * gain).clamp(0, 255).byte()), student.embed_audio(mels[j])
        loss = sum((1 - (x * regrid(t, x.shape[1:3])).sum(-1)).mean() for x, t in ((v, target), (a, heard[j])))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    student.eval()


def shrink(images):
    """Pictures of the teacher's size at the student's."""
    x = interpolate(images.permute(0, 3, 1, 2).float(), STUDENT.canvas, mode="bilinear", antialias=True)
    return x.round().clamp(0, 255).byte().permute(0, 2, 3, 1)


def regrid(positions, size):
    """Unit vectors on another grid."""
    return normalize(interpolate(positions.float().permute(0, 3, 1, 2), size, mode="bilinear").permute(0, 2, 3, 1), dim=-1)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
