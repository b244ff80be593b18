"""Trains the shipped separator: mixes of two sounds of the development pack, told apart by the shipped localiser's centres.

python train_separator.py DATA LOCALIZER.pt OUT.pt [STEPS]
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from avcurriculum.metrics import si_sdr
from avcurriculum.mixing import draw_mix, stems, train_separator, visual_conditions
from avcurriculum.packs import load_pack
from avcurriculum.pools import fill, solo_sounds
from avcurriculum.scenes import Composer
from avcurriculum.separate import Separator, SeparatorSettings, save_separator
from avcurriculum.training import load_model

SEED, SCENES, STEPS = 0, 1024, 2500


def main(data: Path, localizer: Path, out: Path, steps: int) -> None:
    """Train, print the gain on 100 held-out mixes of the validation and of the test split, write."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    begin = time.time()
    net = load_model(localizer)
    separator = Separator(SeparatorSettings(net.architecture.dim))
    for number, split in enumerate(("train", "val", "test")):
        pack = load_pack(data / "av", split)
        composer = Composer(pack, 1, net.architecture.canvas, 100 * number + 1, net.mel)
        shown, solo = fill(composer, SCENES if split == "train" else 240, net), solo_sounds(composer, net)
        conditions = visual_conditions(net, shown, solo, heard=split != "train")
        if split == "train":
            train_separator(separator, pack, shown, conditions, steps, seed=SEED)
            save_separator(separator, out, half=True)
            continue
        mixes = [draw_mix(pack, shown, np.random.default_rng([7, i])) for i in range(100)]
        waves = stems(pack, mixes)
        with torch.inference_mode():
            estimate = separator.separate(waves.sum(1), conditions(mixes, waves.sum(1)))
        gain = si_sdr(waves.numpy(), estimate.numpy()) - si_sdr(waves.numpy(), waves.sum(1, keepdim=True).numpy())
        print(f"{split}: SI-SDR gain {np.nanmean(gain):.2f} dB, {time.time() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), steps=int(sys.argv[4]) if len(sys.argv) > 4 else STEPS)
