"""Trains the shipped separators: mixes of two sounds of the development pack, and the shipped localiser that looks.

    python train_separator.py DATA LOCALIZER.pt OUT.pt [STEPS] [blind|told]

``told`` is conditioned on the visual centre that the rule of ``separation.conditions`` picks from the mixture, in
training as later; ``blind`` is told nothing, and its stems are given to the pictures by the same rule. Sounds are four
random windows of each clip. Every SAVE_EVERY steps the state is saved beside OUT, and an interrupted run goes on from there.

A new separator is shipped when its SI-SDR gain on the validation mixes is above that of the shipped one on the same mixes:
when the 95 % interval of the mean difference lies above zero. One that is worse, or not told apart, is not. The test mixes
are for the model card alone.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch

from avcurriculum.metrics import audible_mean, si_sdr
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
from claimkit.statistics import paired_difference

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
        found = {name: gains(net, one, *held_out) for name, one in (("new", separator), ("shipped", shipped_separator()))}
        for name, pair in found.items():
            print(f"{split}, {name}: {described(*pair)}; {time.process_time() - begin:.0f} CPU s", flush=True)
        if split == "val":
            print(decision(found["new"][0], found["shipped"][0]), flush=True)


def material(data, net, split, scenes, windows=0):
    """A split's sounds, and scenes of one source that show its things."""
    pack = load_pack(data / "av", split, windows=windows, seed=SEED)
    seed = 100 * ("train", "val", "test").index(split) + 1
    return pack, fill(Composer(pack, 1, net.architecture.canvas, seed, net.mel), scenes, net)


def gains(net, separator, pack, shown):
    """SI-SDR over the mixture's of each mix, as assigned and in the other order; what is silent is left out."""
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
    both = (si_sdr(waves.numpy(), e.numpy()) - before for e in (estimate, estimate.flip(1)))
    return tuple(np.array([audible_mean(g) for g in gain]) for gain in both)


def described(gain, swapped):
    """The means in a sentence."""
    return (
        f"SI-SDR gain {audible_mean(gain):.2f} dB; in the better order {audible_mean(np.fmax(gain, swapped)):.2f}, in "
        f"random order {audible_mean((gain + swapped) / 2):.2f}; right order {(gain >= swapped).mean():.2f}"
    )


def decision(new, shipped):
    """What the rule says of the gains on the same mixes; a mix in which either has nothing but silence is left out.

    >>> decision(np.array([3.0, 5.0]), np.array([1.0, 2.0]))
    'new - shipped 2.5 [-3.85, 8.85] dB over 2 mixes: not told apart, the shipped one stays'
    """
    both = np.isfinite(new) & np.isfinite(shipped)
    gain = paired_difference(new[both], shipped[both], "new - shipped", "dB")
    told = "ship the new one" if (gain.low or 0) > 0 else "the shipped one stays, the new one is worse"
    told = told if (gain.low or 0) > 0 or (gain.high or 0) < 0 else "not told apart, the shipped one stays"
    return f"{gain} over {both.sum()} mixes: {told}"


if __name__ == "__main__":
    number = int(sys.argv[4]) if len(sys.argv) > 4 else STEPS
    main(*map(Path, sys.argv[1:4]), steps=number, blind="blind" in sys.argv[5:])
