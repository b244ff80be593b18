"""What a candidate is worth: how near its pictures are to the teacher's, and what it costs (1912.02398, P-step)."""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from claimkit.style.encoders import LevelEncoder
from claimkit.style.images import write_image
from claimkit.training.crops import Crops
from photonet.network.architecture import LENGTH, PRESETS
from photonet.network.auto_encoder import PhotoNet
from photonet.network.objective import objective
from photonet.samples import photograph
from stylenas.style.candidate import Candidate, CandidateNet

TRAINED_ON = ("china", "coffee", "motorcycle", "hubble", "retina")
JUDGED_ON = ("astronaut", "chelsea", "flower", "rocket")
"""Photographs that come with scikit-image and scikit-learn; no candidate is judged on what it was trained on."""
TRANSFORM = "wct-relative"


@dataclass(frozen=True)
class Judge:
    """Pairs of photographs, and what the teacher, PhotoNet with all operators, makes of them.

    Attributes:
        encoder: On whose levels L_p is measured.
        content: Shape ``(pairs, 3, size, size)``.
        style: The same shape.
        teacher: The same shape.
    """

    encoder: LevelEncoder
    content: Tensor
    style: Tensor
    teacher: Tensor

    @classmethod
    @torch.inference_mode()
    def of(cls, teacher: PhotoNet, size: int, pairs: int) -> "Judge":
        """Ask the teacher."""
        pictures = [square(photograph(n), size) for n in JUDGED_ON]
        chosen = [(a, b) for shift in (1, 2, 3) for a, b in zip(pictures, pictures[shift:] + pictures[:shift], strict=True)]
        content, style = (torch.stack(list(x)) for x in zip(*chosen[:pairs], strict=True))
        return cls(teacher.encoder, content, style, teacher(content, style, TRANSFORM).clamp(0, 1))

    @torch.inference_mode()
    def terms(self, network: CandidateNet, latency: bool = False) -> dict[str, float]:
        """``reconstruction`` (L_r), ``perception`` (L_p), ``quality`` (0.8 L_r + 0.1 L_p) and the costs.

        ``operators`` is the share of 32, ``macs`` that of the teacher's multiply-accumulates, ``latency``, if it is asked
        for, the median of five runs of one pair in seconds.
        """
        picture = network(self.content, self.style, TRANSFORM).clamp(0, 1)
        found = objective(network.architecture, [picture], [self.teacher], self.encoder)
        size = self.content.shape[-1]
        e, full = network.encoder, self.encoder
        teacher = Candidate(PRESETS["photonet"]).macs(size, size, full.channels, full.convolutions)
        terms = {
            "reconstruction": found.reconstruction,
            "perception": found.perceptual,
            "quality": 0.8 * found.reconstruction + 0.1 * found.perceptual,
            "operators": network.candidate.operators / LENGTH,
            "macs": network.candidate.macs(size, size, e.channels, e.convolutions) / teacher,
        }
        return terms | ({"latency": self.latency(network)} if latency else {})

    @torch.inference_mode()
    def latency(self, network: PhotoNet, runs: int = 5) -> float:
        """Median seconds of one pair, after one run that does not count."""
        content, style = self.content[:1], self.style[:1]
        taken = []
        for _ in range(runs + 1):
            start = time.perf_counter()
            network(content, style, TRANSFORM)
            taken.append(time.perf_counter() - start)
        return statistics.median(taken[1:])


def square(image: Tensor, size: int) -> Tensor:
    """The middle of a picture ``(3, h, w)``, shrunk to ``size``."""
    side = min(image.shape[1:])
    top, left = (image.shape[1] - side) // 2, (image.shape[2] - side) // 2
    middle = image[None, :, top : top + side, left : left + side]
    return F.interpolate(middle, size=(size, size), mode="bilinear", antialias=True, align_corners=False)[0]


def training_crops(files: Sequence[Path], count: int, size: int, seed: int = 0) -> Tensor:
    """Random crops ``(count, 3, size, size)`` of a user's photographs, or of those that are never judged on."""
    if files:
        return Crops(files, seed=seed).draw(count, size)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{n}.png" for n in TRAINED_ON]
        for path in paths:
            write_image(path, photograph(path.stem))
        return Crops(paths, seed=seed).draw(count, size)
