"""Writes the mel filters that the package carries, so that a command need not import librosa.

python store_filters.py OUT.npz
"""

import sys
from pathlib import Path

import numpy as np

from avcurriculum.audio import SMALL, YAMNET, compute_mel


def main(out: Path) -> None:
    """Compute and store."""
    np.savez_compressed(out, small=compute_mel(SMALL).numpy(), yamnet=compute_mel(YAMNET).numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
