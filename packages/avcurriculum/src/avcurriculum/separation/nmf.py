"""Separation by non-negative matrix factorisation: a dictionary of spectra a class, learned from sounds of known class."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum.scenes.packs import Pack
from avcurriculum.separation.separate import analyse, synthesise

Dictionaries = list[Float[NDArray, "components bins"]]
FRAMES = 500
"""Frames a class that dictionaries are learned from."""


def learn(pack: Pack, seed: int = 0, components: int = 8) -> Dictionaries:
    """Spectra of each class of a pack."""
    from sklearn.decomposition import NMF

    out = []
    for name in pack.classes:
        stft = analyse(torch.from_numpy(np.stack(pack.sounds[name])), 8).stft
        spectra = stft.abs().transpose(1, 2).flatten(0, 1).numpy()
        chosen = np.random.default_rng(seed).permutation(len(spectra))[:FRAMES]
        settings: Any = {"init": "nndsvda", "solver": "mu", "beta_loss": "kullback-leibler", "max_iter": 60, "tol": 0}
        settings["n_components"] = components
        model = NMF(random_state=seed, **settings)
        model.fit(spectra[chosen] + 1e-8)
        out.append(model.components_)
    return out


def separate(
    dictionaries: Dictionaries,
    mixtures: Float[Tensor, "batch samples"],
    classes: Sequence[tuple[int, ...]],
    rounds: int = 60,
) -> Float[Tensor, "batch sources samples"]:
    """Sounds of known classes: the activations of their joint dictionary, then masks of what each part explains."""
    out = []
    for mixture, present in zip(mixtures, classes, strict=True):
        stft = analyse(mixture[None], 8).stft
        v = stft[0].abs().T.numpy() + 1e-8
        w = np.concatenate([dictionaries[c] for c in present])
        h = np.full((len(v), len(w)), v.mean())
        for _ in range(rounds):  # multiplicative updates of the Kullback-Leibler divergence with the spectra kept
            h *= (v / (h @ w + 1e-12)) @ w.T / (w.sum(1) + 1e-12)
        size = [len(dictionaries[c]) for c in present]
        ends = np.cumsum([0, *size])
        parts = np.stack([h[:, a:b] @ w[a:b] for a, b in pairwise(ends)])
        masks = torch.from_numpy((parts / (parts.sum(0) + 1e-12)).transpose(0, 2, 1)).float()
        out.append(synthesise(stft, masks[None], mixture.shape[-1])[0])
    return torch.stack(out)
