"""Trains the shipped separators: mixes of two sounds of the development pack, and the shipped localiser that looks.

    python train_separator.py DATA LOCALIZER.pt OUT.pt [STEPS] [blind|told]

``told`` is conditioned on the visual centre that the rule of ``separation.conditions`` picks from the mixture, in
training as later; ``blind`` is told nothing, and its stems are given to the pictures by the same rule. Sounds are four
random windows of each clip. Every SAVE_EVERY steps the state is saved beside OUT, and an interrupted run goes on from there.

A new separator is shipped when its mean SI-SDR gain on the validation mixes is above that of the one that is shipped,
which is measured beside it; the test mixes are for the model card alone.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from avcurriculum.metrics import si_sdr
from avcurriculum.scenes.composer import Composer
from avcurriculum.scenes.packs import load_pack
from avcurriculum.scenes.pools import fill
from avcurriculum.separation.conditions import assigned_stems
from avcurriculum.separation.mixing import (
    SeparatorTrainer,
    constant_conditions,
    draw_mix,
    seen_centers,
    stems,
    visual_conditions,
)
from avcurriculum.separation.separate import Separator, SeparatorSettings, save_separator
from avcurriculum.training.trainer import load_model
from avcurriculum.video.apply import shipped_separator

SEED, SCENES, STEPS, WINDOWS, MIXES = 0, 1024, 2500, 4, 100
HELD_OUT, SAVE_EVERY = 240, 250


def main(data: Path, localizer: Path, out: Path, steps: int, blind: bool) -> None:
    """Train, write, and print the gain of the new and of the shipped separator on held-out mixes."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    begin = time.process_time()
    net = load_model(localizer)
    separator = Separator(SeparatorSettings(2 if blind else net.architecture.dim, blind=blind))
    pack, shown = material(data, net, "train", SCENES, WINDOWS)
    conditions = constant_conditions(torch.eye(2), by_class=False) if blind else visual_conditions(net, shown)
    trainer = SeparatorTrainer(separator, pack, shown, conditions, steps, seed=SEED)
    checkpoint = out.with_suffix(".checkpoint")
    if checkpoint.exists():
        trainer.load(checkpoint)
    for _ in trainer.run():
        if len(trainer.losses) % SAVE_EVERY == 0:
            trainer.save(checkpoint)
            print(f"{len(trainer.losses)} steps, loss {np.mean(trainer.losses[-SAVE_EVERY:]):.4f}", flush=True)
    save_separator(separator.eval(), out, half=True)
    for split in ("val", "test"):
        held_out = material(data, net, split, HELD_OUT)
        for name, one in (("new", separator), ("shipped", shipped_separator())):
            print(f"{split}, {name}: {gains(net, one, *held_out)}; {time.process_time() - begin:.0f} CPU s", flush=True)


def material(data, net, split, scenes, windows=0):
    """A split's sounds, and scenes of one source that show its things."""
    pack = load_pack(data / "av", split, windows=windows, seed=SEED)
    seed = 100 * ("train", "val", "test").index(split) + 1
    return pack, fill(Composer(pack, 1, net.architecture.canvas, seed, net.mel), scenes, net)


def gains(net, separator, pack, shown):
    """SI-SDR over the mixture's, in the order that is looked for, the better and a random one; share in the right one."""
    mixes = [draw_mix(pack, shown, np.random.default_rng([7, i])) for i in range(MIXES)]
    waves = stems(pack, mixes)
    mixture = waves.sum(1)
    with torch.inference_mode():
        if separator.settings.blind:
            seen = seen_centers(net, shown)
            estimate = assigned_stems(net, separator, mixture, [seen[list(m.pictures)] for m in mixes])
        else:
            estimate = separator.separate(mixture, visual_conditions(net, shown)(mixes, mixture))
    before = si_sdr(waves.numpy(), mixture[:, None].numpy())
    gain, swapped = ((si_sdr(waves.numpy(), e.numpy()) - before).mean(1) for e in (estimate, estimate.flip(1)))
    return (
        f"SI-SDR gain {gain.mean():.2f} dB; in the better order {np.maximum(gain, swapped).mean():.2f}, in random order "
        f"{(gain + swapped).mean() / 2:.2f}; right order {(gain >= swapped).mean():.2f}"
    )


if __name__ == "__main__":
    number = int(sys.argv[4]) if len(sys.argv) > 4 else STEPS
    main(*map(Path, sys.argv[1:4]), steps=number, blind="blind" in sys.argv[5:])
