"""What localisation is compared with: maps that nobody learned, pooled attention, and the capsule clustering of DMC."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from avcurriculum.network.model import AVNet


def random_map(size: int, rng: np.random.Generator, grid: int = 8) -> Float[NDArray, "size size"]:
    """Uniform values on a coarse grid, bilinear."""
    coarse = torch.from_numpy(rng.uniform(size=(1, 1, grid, grid)))
    return interpolate(coarse, size=size, mode="bilinear")[0, 0].numpy()


def center_map(size: int, width: float = 0.25) -> Float[NDArray, "size size"]:
    """A Gaussian in the middle, its deviation a share of the side."""
    x = (np.arange(size) + 0.5) / size - 0.5
    return np.exp(-(x[:, None] ** 2 + x**2) / (2 * width**2))


def whole_map(size: int) -> Float[NDArray, "size size"]:
    """The whole picture."""
    return np.ones((size, size))


def saliency_map(image: NDArray[np.uint8], grid: int = 8) -> Float[NDArray, "size size"]:
    """Energy of the brightness gradient, averaged on a coarse grid, bilinear."""
    grey = torch.from_numpy(image.astype(np.float32).mean(-1))[None, None]
    dy, dx = torch.gradient(grey[0, 0])
    energy = interpolate((dx**2 + dy**2)[None, None], size=(grid, grid), mode="area")
    return interpolate(energy, size=image.shape[0], mode="bilinear")[0, 0].numpy()


def grid_oracle(truth: NDArray[np.bool_], grid: int) -> Float[NDArray, "size size"]:
    """The true box seen through the grid of positions: the bound that the grid sets to any map's IoU."""
    area = interpolate(torch.from_numpy(truth.astype(np.float32))[None, None], size=(grid, grid), mode="area")
    return interpolate(area, size=truth.shape[0], mode="bilinear")[0, 0].numpy()


class Pooled(nn.Module):
    """Max-pooled similarity of one audio vector with every visual position (as in EZ-VSL), on an :class:`AVNet`.

    The map is the cosine of each position; ``attention`` pools by a softmax instead of the maximum.
    """

    def __init__(self, net: AVNet, attention: bool = False, temperature: float = 0.1) -> None:
        super().__init__()
        self.net, self.attention, self.temperature = net, attention, temperature

    def similarity(self, visual: Tensor, audio: Tensor) -> Float[Tensor, "images sounds"]:
        """Pooled cosine of all pairs of embedded pictures ``(B, h, w, d)`` and sounds ``(B', t, f, d)``."""
        maps = torch.einsum("bnd,cd->bcn", visual.flatten(1, 2), self.sound(audio))
        if self.attention:
            return (maps.div(self.temperature).softmax(-1) * maps).sum(-1)
        return maps.amax(-1)

    def sound(self, audio: Tensor) -> Float[Tensor, "sounds dim"]:
        """One unit vector a sound: the mean where attention, else the maximum over positions."""
        flat = audio.flatten(1, 2)
        return normalize(flat.mean(1) if self.attention else flat.amax(1), dim=-1)

    def maps(self, visual: Tensor, audio: Tensor) -> Float[Tensor, "batch h w"]:
        """Cosine of each position of each picture with its sound."""
        return torch.einsum("bhwd,bd->bhw", visual, self.sound(audio))


class Capsules(nn.Module):
    """The older clustering of DMC (arXiv 1807.03094, authors' code): routing to K capsules, the same for both modalities.

    ``u_hat_ik = W_k u_i``; three rounds of ``s = softmax_k(b)``, ``o_k = sum_i s_ik u_hat_ik`` and, but for the last,
    ``b_ik = o_k / |o_k| . u_hat_ik``. Inputs and outputs are squashed by ``tanh(10 |x|) x / |x|``. Cluster k of one modality
    is compared with cluster k of the other by the cosine.
    """

    def __init__(self, dim: int, clusters: int = 10, width: int = 16, rounds: int = 3) -> None:
        super().__init__()
        self.clusters, self.rounds = clusters, rounds
        self.weight = nn.Linear(dim, clusters * width, bias=False)

    def forward(self, u: Float[Tensor, "batch positions dim"]) -> tuple[Tensor, Tensor]:
        """Capsules ``(batch, K, width)`` and assignments ``(batch, K, N)``."""
        hat = self.weight(_squash(u)).unflatten(-1, (self.clusters, -1))
        s = hat.new_full(hat.shape[:3], 1 / self.clusters)
        for _ in range(self.rounds - 1):
            o = torch.einsum("bnk,bnkw->bkw", s, hat)
            s = torch.einsum("bkw,bnkw->bnk", normalize(o, dim=-1), hat).softmax(-1)
        return _squash(torch.einsum("bnk,bnkw->bkw", s, hat)), s.mT

    def similarity(self, visual: Tensor, audio: Tensor) -> Float[Tensor, "images sounds"]:
        """``sum_k cos(o^v_k, o^a_k)`` of all pairs of capsules."""
        return torch.einsum("bkw,ckw->bc", normalize(visual, dim=-1), normalize(audio, dim=-1))


class CapsuleNet(nn.Module):
    """DMC on the same projections as an :class:`AVNet`, trained and read out like :class:`Pooled`."""

    def __init__(self, net: AVNet) -> None:
        super().__init__()
        self.net = net
        self.capsules = Capsules(net.architecture.dim)

    def similarity(self, visual: Tensor, audio: Tensor) -> Float[Tensor, "images sounds"]:
        """Of all pairs of embedded pictures and sounds, per capsule, in [-1, 1]."""
        v, a = (self.capsules(x.flatten(1, 2))[0] for x in (visual, audio))
        return self.capsules.similarity(v, a) / self.capsules.clusters

    def maps(self, visual: Tensor, audio: Tensor) -> Float[Tensor, "batch h w"]:
        """Assignment to the capsule that agrees best with the sound's."""
        (v, s), (a, _) = self.capsules(visual.flatten(1, 2)), self.capsules(audio.flatten(1, 2))
        best = (normalize(v, dim=-1) * normalize(a, dim=-1)).sum(-1).argmax(-1)
        return s[torch.arange(len(s)), best].unflatten(-1, visual.shape[1:3])


def _squash(x: Tensor) -> Tensor:
    length = x.norm(dim=-1, keepdim=True)
    return torch.tanh(10 * length) * x / (length + 1e-8)
