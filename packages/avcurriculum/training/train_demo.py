"""Trains the two networks of `avcurriculum demo` on generated scenes; nothing is needed but the package.

python train_demo.py OUT_FOLDER [STEPS]
"""

import sys
from pathlib import Path

import torch

from avcurriculum.separation.separate import save_separator
from avcurriculum.training.trainer import save_model
from avcurriculum.verbs.scenes import demo_networks

SEED, STEPS = 0, 500


def main(out: Path, steps: int) -> None:
    """Train and write."""
    torch.set_num_threads(1)
    net, separator = demo_networks(steps, SEED)
    save_model(net, out / "demo-localizer.pt", half=True, notes={"seed": SEED, "steps": steps})
    save_separator(separator, out / "demo-separator.pt", half=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else STEPS)
