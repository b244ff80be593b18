"""Trains the shipped separators: mixes of two sounds of the development pack, and the shipped localiser that looks.

    python train_separator.py DATA LOCALIZER.pt OUT.pt [STEPS] [blind|told]

``told`` is conditioned on the visual centre that the rule of ``separation.conditions`` picks from the mixture, in
training as later; ``blind`` is told nothing, and its stems are given to the pictures by the same rule. Sounds are four
random windows of each clip. Every 250 steps the state is saved beside OUT.
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

SEED, SCENES, STEPS, WINDOWS = 0, 1024, 2500, 4


def main(data: Path, localizer: Path, out: Path, steps: int, blind: bool) -> None:
    """Train, print the gain on 100 held-out mixes of the validation and of the test split, write."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    begin = time.process_time()
    net = load_model(localizer)
    separator = Separator(SeparatorSettings(2 if blind else net.architecture.dim, blind=blind))
    for number, split in enumerate(("train", "val", "test")):
        pack = load_pack(data / "av", split, windows=WINDOWS if split == "train" else 0, seed=SEED)
        composer = Composer(pack, 1, net.architecture.canvas, 100 * number + 1, net.mel)
        shown = fill(composer, SCENES if split == "train" else 240, net)
        told = visual_conditions(net, shown)
        if split == "train":
            conditions = constant_conditions(torch.eye(2), by_class=False) if blind else told
            trainer = SeparatorTrainer(separator, pack, shown, conditions, steps, seed=SEED)
            checkpoint = out.with_suffix(".checkpoint")
            if checkpoint.exists():
                trainer.load(checkpoint)
            for _ in trainer.run():
                if len(trainer.losses) % 250 == 0:
                    trainer.save(checkpoint)
                    print(f"{len(trainer.losses)} steps, loss {np.mean(trainer.losses[-250:]):.4f}", flush=True)
            save_separator(separator, out, half=True)
            continue
        mixes = [draw_mix(pack, shown, np.random.default_rng([7, i])) for i in range(100)]
        waves = stems(pack, mixes)
        mixture = waves.sum(1)
        with torch.inference_mode():
            if blind:
                seen = seen_centers(net, shown)
                estimate = assigned_stems(net, separator, mixture, [seen[list(m.pictures)] for m in mixes])
            else:
                estimate = separator.separate(mixture, told(mixes, mixture))
        before = si_sdr(waves.numpy(), mixture[:, None].numpy())
        gain, swapped = (si_sdr(waves.numpy(), e.numpy()) - before for e in (estimate, estimate.flip(1)))
        best = np.maximum(gain.mean(1), swapped.mean(1))
        order = (np.nanmean(gain) + np.nanmean(swapped)) / 2, np.mean(gain.mean(1) >= swapped.mean(1))
        print(
            f"{split}: SI-SDR gain {np.nanmean(gain):.2f} dB; in the better order {np.nanmean(best):.2f}, in random order "
            f"{order[0]:.2f}; right order {order[1]:.2f}; {time.process_time() - begin:.0f} CPU s",
            flush=True,
        )


if __name__ == "__main__":
    number = int(sys.argv[4]) if len(sys.argv) > 4 else STEPS
    main(*map(Path, sys.argv[1:4]), steps=number, blind="blind" in sys.argv[5:])
