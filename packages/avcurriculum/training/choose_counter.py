"""What the counter of sources looks at, chosen on validation scenes: statistics of YAMNet's outputs and of the log-mel.

python choose_counter.py DATA OUT.json
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from avcurriculum.claims.common import HARDEST, PACK, PRETRAINED, WEIGHTS, composer
from avcurriculum.network.model import build
from avcurriculum.scenes.packs import load_pack
from avcurriculum.scenes.pools import audio_features
from avcurriculum.training.counting import statistics
from claimkit.files import atomic_path

SCENES = {"train": 512, "val": 240}
STRENGTHS = (1.0, 0.1, 0.01, 0.001)
"""Inverse strengths of the regularisation."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def of_channels(x: Tensor) -> np.ndarray:
    """The same statistics of YAMNet's outputs, ``(batch, channels, t, f)``."""
    return statistics(x.flatten(2).mT)


def quantiles(mel: Tensor) -> np.ndarray:
    """Quantiles, deviation, and mean change from frame to frame, of every band."""
    return torch.cat([*mel.quantile(torch.tensor(QUANTILES), 1), mel.std(1), mel.diff(dim=1).abs().mean(1)], 1).numpy()


CANDIDATES: dict[str, tuple[int, Callable[[Tensor], np.ndarray], tuple]] = {
    "YAMNet: mean, deviation, maximum": (1, of_channels, ()),
    "YAMNet: the same, 128 principal components": (1, of_channels, (PCA(128, random_state=0),)),
    "log-mel: mean, deviation, maximum": (0, statistics, ()),
    "log-mel: quantiles, deviation, change": (0, quantiles, ()),
}


def main(data: Path, out: Path) -> None:
    """Fit on the training scenes, print and write the rank correlations on the validation scenes."""
    torch.set_num_threads(1)
    model = build(PRETRAINED, 0, (data / WEIGHTS[0], data / WEIGHTS[1])).eval()
    sounds: dict[str, tuple[list[Tensor], list[Tensor]]] = {"train": ([], []), "val": ([], [])}
    for split, (mel, outputs) in sounds.items():
        pack = load_pack(data / PACK, split)  # type: ignore[arg-type]
        for k in range(1, HARDEST + 1):
            drawn = composer(pack, k, model)
            for first in range(0, SCENES[split], 16):
                mel.append(drawn.batch(range(first, first + 16)).features)
                outputs.append(audio_features(model, mel[-1]))
    number = {split: np.repeat(np.arange(1, HARDEST + 1), n) for split, n in SCENES.items()}
    found: dict[str, dict[str, float]] = {}
    for name, (kind, look, before) in CANDIDATES.items():
        x = {split: look(torch.cat(s[kind])) for split, s in sounds.items()}
        for strength in STRENGTHS:
            steps = StandardScaler(), *before, LogisticRegression(C=strength, max_iter=5000)
            guess = make_pipeline(*steps).fit(x["train"], number["train"]).predict(x["val"])
            correlation = round(float(spearmanr(number["val"], guess).statistic), 3)
            found.setdefault(name, {})[f"C = {strength:g}"] = correlation
            print(f"{name}, C = {strength:g}: {correlation}", flush=True)
    with atomic_path(out) as temporary:
        temporary.write_text(json.dumps({"rank correlation on validation scenes": found}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
