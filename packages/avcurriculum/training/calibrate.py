"""Sets the distance beyond which a sound is not in the picture, on composed scenes of the validation split.

    python calibrate.py DATA LOCALIZER.pt OUT.pt

The weights are not touched. What the limits do on the test split is printed.
"""

import sys
from pathlib import Path

import torch

from avcurriculum.evaluation.composed import calibrate, offscreen_distances
from avcurriculum.scenes.composer import LEVELS, Composer
from avcurriculum.scenes.packs import load_pack
from avcurriculum.scenes.pools import fill
from avcurriculum.training.trainer import load_model, save_model

SCENES = 240


def main(data: Path, localizer: Path, out: Path) -> None:
    """Calibrate, print, write."""
    torch.set_num_threads(1)
    net = load_model(localizer)

    def pools(split, seed):
        pack = load_pack(data / "av", split)
        side = net.architecture.canvas
        return {k: fill(Composer(pack, LEVELS[k], side, seed + k, net.mel), SCENES, net) for k in (1, 2, 3)}

    found = calibrate(net, pools("val", 100))
    for k, pool in pools("test", 200).items():
        own, other = offscreen_distances(net, pool, k)
        limit = net.offscreen[k - 1]
        print(
            f"{k} sound(s): limit {limit:.3f}, validation finds {found[k]:.2f} of absent sounds; test finds "
            f"{(other > limit).mean():.2f} and calls {(own > limit).mean():.2f} of those in the picture absent",
            flush=True,
        )
    save_model(net, out, half=True, notes=torch.load(localizer, weights_only=True)["notes"])


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
