"""Trains the shipped localiser: a small network taught by the curriculum, after it has been shown what a large one sees.

The teacher is the package's own network on frozen MobileNetV2 and YAMNet, trained by the curriculum on the development pack.
The student first learns the teacher's positions (1 - cosine), then goes through the curriculum itself.

    python train_small.py DATA OUT.pt
"""

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from avcurriculum.evaluation.composed import pair_accuracy, solo_queries
from avcurriculum.network.model import Architecture, build
from avcurriculum.scenes.composer import LEVELS, Composer
from avcurriculum.scenes.packs import load_pack
from avcurriculum.scenes.pools import fill, solo_sounds
from avcurriculum.training.curriculum import make
from avcurriculum.training.trainer import Training, save_model, train

SEED, SCENES, STEPS, DISTILL = 0, 1024, 400, 1500
STUDENT = Architecture("small", widths=(24, 48, 96, 128))


def main(data: Path, out: Path) -> None:
    """Train teacher and student, print what each does on the validation and test scenes, write the student."""
    torch.set_num_threads(1)
    begin = time.time()
    weights = (data / "weights/mobilenet_v2_imagenet.pt", data / "weights/yamnet_audioset.pt")
    teacher = build(Architecture("pretrained", canvas=160), SEED, weights).eval()
    student = build(STUDENT, SEED)
    packs = {s: load_pack(data / "av", s) for s in ("train", "val", "test")}

    def pool(split, k, n, model, frozen):
        number = list(packs).index(split)
        canvas = model.architecture.canvas
        return fill(Composer(packs[split], LEVELS[k], canvas, 100 * number + k, model.mel), n, model, frozen)

    large = {k: pool("train", k, SCENES, teacher, True) for k in (1, 2, 3)}
    bare = teacher.without_backbones()
    train(bare, large, make("easy_to_hard", STEPS), Training(learning_rate=1e-3, seed=SEED))
    print(f"teacher trained, {time.time() - begin:.0f} s", flush=True)
    small = {k: pool("train", k, SCENES, student, False) for k in (1, 2, 3)}
    held_out = {(s, k): pool(s, k, 240, student, False) for s in ("val", "test") for k in (1, 2, 3)}
    solo = {s: solo_sounds(Composer(packs[s], 1, mel=student.mel), student) for s in ("val", "test")}

    def report(name, split):
        for k in (1, 3):
            query = solo_queries(student, held_out[split, k], solo[split], k)
            print(
                f"{name}, {split}, {k} source(s): pair accuracy {pair_accuracy(student, held_out[split, k], k):.3f}, "
                f"IoU@0.3 {(query.iou >= 0.3).mean():.3f}, mean IoU {query.iou.mean():.3f}, "
                f"pointing {query.pointing.mean():.3f}, {time.time() - begin:.0f} s",
                flush=True,
            )

    distill(student, bare, small, large)
    report("after distillation", "val")
    train(student, small, make("easy_to_hard", STEPS), Training(learning_rate=5e-4, warmup=20, seed=SEED))
    report("after the curriculum", "val")
    report("shipped", "test")
    notes = {"seed": SEED, "scenes": SCENES, "steps": STEPS, "distillation": DISTILL, "seconds": round(time.time() - begin)}
    save_model(student.eval(), out, half=True, notes=notes | {"architecture": str(dataclasses.asdict(STUDENT))})


def distill(student, teacher, small, large):
    """Fit the student's positions to the teacher's, scene by scene; the grids are brought together bilinearly."""
    rng = np.random.default_rng(SEED)
    optimizer = torch.optim.Adam(student.parameters(), 3e-3, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, DISTILL)
    student.train()
    for _ in range(DISTILL):
        k = int(rng.integers(1, 4))
        chosen = torch.from_numpy(rng.choice(SCENES, 32, replace=False))
        pairs = (
            (student.embed_image(small[k].visual[chosen]), teacher.embed_image(large[k].visual[chosen])),
            (student.embed_audio(small[k].audio[chosen]), teacher.embed_audio(large[k].audio[chosen])),
        )
        loss = sum((1 - torch.cosine_similarity(s, regrid(t, s), dim=-1)).mean() for s, t in pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    student.eval()


def regrid(teacher, student):
    """The teacher's map on the student's grid."""
    size = student.shape[1:3]
    return interpolate(teacher.detach().permute(0, 3, 1, 2), size, mode="bilinear").permute(0, 2, 3, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
