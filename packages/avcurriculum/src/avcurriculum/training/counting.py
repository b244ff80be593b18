"""How many sounds are in a mixture: the complexity that a curriculum needs, estimated from the sound alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum.scenes.pools import Pool
from claimkit.errors import InputError

FLOOR = -8.0
"""Of the logarithm of energy, below its mean over a sound."""


@dataclass(frozen=True)
class SourceCounter:
    """A linear classifier of the number of sources on statistics of the spectrogram; made by :func:`fit_counter`."""

    classifier: Any
    level: bool = False
    """Whether it also hears how loud a mixture is."""

    def estimate_sources(self, mel: Float[Tensor, "sounds frames bands"]) -> Int[NDArray, " sounds"]:
        """Number of sounds in each mixture, from its log-mel."""
        return self.classifier.predict(statistics(mel, self.level))

    def confusion(self, pools: Mapping[int, Pool]) -> Int[NDArray, "levels levels"]:
        """Rows are true numbers of sources, columns estimates, both ascending."""
        levels = sorted(pools)
        estimates = {k: self.estimate_sources(pools[k].mel) for k in levels}
        return np.array([[(estimates[k] == j).sum() for j in levels] for k in levels])


def statistics(mel: Float[Tensor, "batch frames bands"], level: bool = False) -> Float[NDArray, "batch statistics"]:
    """Mean, deviation and maximum of every band over time (chosen by ``training/choose_counter.py``).

    Composed mixtures are the louder the more sounds they have, which no film is bound to: the mean energy is taken out, and
    what is 35 dB below it is one floor. ``level`` leaves it in, as in the records of claim E5.
    """
    x = mel.float()
    if not level:
        loud = x.flatten(1).logsumexp(1) - math.log(x[0].numel())
        x = (x - loud[:, None, None]).clamp(min=FLOOR)
    return torch.cat([x.mean(1), x.std(1), x.amax(1)], 1).numpy()


def fit_counter(pools: Mapping[int, Pool], level: bool = False) -> SourceCounter:
    """Fit the counter on scenes whose numbers of sources are known.

    Args:
        pools: Number of sources to scenes; at least two numbers.
        level: As in :func:`statistics`.
    """
    if len(pools) < 2:
        raise InputError("a counter of sources needs scenes with at least two different numbers of sources")
    x = np.concatenate([statistics(p.mel, level) for p in pools.values()])
    y = np.concatenate([np.full(len(p), k) for k, p in pools.items()])
    return SourceCounter(fit_classifier(x, y), level)


def fit_classifier(x: Float[NDArray, "sounds statistics"], y: Int[NDArray, " sounds"]) -> Any:
    """The counter's classifier of :func:`statistics`: logistic regression on standardised values."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=5000)).fit(x, y)


def regroup(pools: Mapping[int, Pool], counter: SourceCounter, least: int = 64) -> dict[int, Pool]:
    """The same scenes, grouped by the estimated number of sources instead of the true one.

    Raises:
        InputError: The counter gives some number to fewer than ``least`` scenes.
    """
    estimates = {k: counter.estimate_sources(p.mel) for k, p in pools.items()}
    out = {}
    for level in sorted(pools):
        parts = [p.take(np.flatnonzero(estimates[k] == level)) for k, p in pools.items()]
        merged = Pool(
            torch.cat([p.visual for p in parts]),
            torch.cat([p.audio for p in parts]),
            torch.cat([p.mel for p in parts]),
            [b for p in parts for b in p.boxes],
            [c for p in parts for c in p.classes],
            [d for p in parts for d in p.distractors],
            parts[0].canvas,
        )
        if len(merged) < least:
            raise InputError(f"only {len(merged)} scenes are estimated to have {level} source(s): train the counter longer")
        out[level] = merged
    return out
