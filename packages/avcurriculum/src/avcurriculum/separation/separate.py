"""Separation by looking: a U-Net over the mixture's spectrogram whose mask is chosen by what is seen (mix and separate).

The spectrogram's rows are warped to a logarithmic frequency axis; the U-Net gives channels f_c, and the condition z (the
visual cluster centre of the thing to be heard) weighs them: ``logit = sum_c w_c(z) f_c + b``, or, with ``cond="film"``,
scales and shifts the bottleneck. Masks of the sources of one mixture compete: ``mask = softmax over sources``, so that the
stems sum to the mixture. They multiply its transform, whose phase is kept.
"""

import math
from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, grid_sample, interpolate, leaky_relu, pad

from avcurriculum.network.backbones import read_tensors
from claimkit.errors import InputError
from claimkit.files import atomic_path

FFT, HOP = 1022, 256


@dataclass(frozen=True)
class SeparatorSettings:
    """Sizes of a :class:`Separator`; stored with its weights.

    ``masks`` compete (softmax over the sources of a mixture: the stems sum to it) or are independent (a sigmoid each, as in
    Sound-of-Pixels and in claim E4). A ``blind`` separator is told nothing: it has one stem a row of ``condition``.
    """

    condition: int = 64
    depth: int = 5
    ngf: int = 8
    channels: int = 16
    rows: int = 128
    cond: Literal["linear", "film"] = "linear"
    masks: Literal["competing", "independent"] = "competing"
    blind: bool = False

    def __post_init__(self) -> None:
        """Refuse a network that does not fit its rows."""
        if self.condition < 1 + self.blind or self.depth < 2 or self.ngf < 1 or self.rows % 2**self.depth:
            raise InputError(f"{self}: rows must be a multiple of 2^depth, sizes positive")


class Spectrogram(NamedTuple):
    """A mixture as the network sees it, and its transform."""

    stft: Complex[Tensor, "batch 512 frames"]
    magnitude: Float[Tensor, "batch rows frames"]
    """On the logarithmic frequency axis."""


class Separator(nn.Module):
    """Masks of a mixture for given conditions."""

    def __init__(self, settings: SeparatorSettings | None = None) -> None:
        super().__init__()
        self.settings = s = settings or SeparatorSettings()
        widths = [min(s.ngf * 2**i, s.ngf * 8) for i in range(s.depth)]
        self.down = nn.ModuleList(_down(a, b) for a, b in zip([1, *widths], widths, strict=False))
        ups = [s.channels, *widths[:-1]]
        self.up = nn.ModuleList(
            _up(widths[i] * (1 if i == s.depth - 1 else 2), ups[i], last=i == 0) for i in reversed(range(s.depth))
        )
        if s.cond == "linear":
            self.weight = nn.Linear(s.condition, s.channels)
        else:
            self.weight = nn.Linear(s.condition, 2 * widths[-1])
            self.mix = nn.Linear(s.channels, 1)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(
        self, magnitude: Float[Tensor, "batch rows frames"], conditions: Float[Tensor, "batch sources condition"]
    ) -> Float[Tensor, "batch sources rows frames"]:
        """Logits of the masks, one a condition."""
        s, frames = self.settings, magnitude.shape[-1]
        unit = 2**s.depth
        x = pad((magnitude + 1e-4).log().div(4)[:, None], (0, -frames % unit), value=math.log(1e-4) / 4)
        w = self.weight(conditions)
        if s.cond == "linear":
            logits = torch.einsum("bnc,bcft->bnft", w, self._unet(x)) / s.channels**0.5
        else:
            n = conditions.shape[1]
            features = self._unet(x.repeat_interleave(n, 0), w.flatten(0, 1))
            logits = self.mix(features.movedim(1, -1))[..., 0].unflatten(0, (-1, n))
        return logits[..., :frames] + self.bias

    def _unet(self, x: Tensor, film: Tensor | None = None) -> Tensor:
        skips = []
        for layer in self.down:
            x = layer(leaky_relu(x, 0.2) if skips else x)
            skips.append(x)
        if film is not None:
            scale, shift = film[..., None, None].chunk(2, 1)
            x = x * (1 + scale) + shift
        for i, layer in enumerate(self.up):
            x = layer(x.relu() if i == 0 else torch.cat([x, skips[-1 - i]], 1).relu())
        return x

    def separate(
        self, mixture: Float[Tensor, "batch samples"], conditions: Float[Tensor, "batch sources condition"]
    ) -> Float[Tensor, "batch sources samples"]:
        """Sounds of the conditioned sources; a mixture of any length of at least one window.

        Raises:
            InputError: Shapes that do not fit.
        """
        if mixture.ndim != 2 or conditions.ndim != 3 or conditions.shape[-1] != self.settings.condition:
            raise InputError(
                f"mixture {tuple(mixture.shape)}, conditions {tuple(conditions.shape)}: expected (batch, samples) and "
                f"(batch, sources, {self.settings.condition})"
            )
        if mixture.shape[-1] < FFT:
            raise InputError(f"a mixture of {mixture.shape[-1]} samples is shorter than one window of {FFT}")
        spec = analyse(mixture, self.settings.rows)
        logits = self(spec.magnitude, conditions)
        masks = logits.softmax(1) if self.settings.masks == "competing" else logits.sigmoid()
        return synthesise(spec.stft, unwarp(masks), mixture.shape[-1])

    def stems(self, mixture: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch sources samples"]:
        """Sounds of a blind separator, in an order that means nothing.

        Raises:
            InputError: The separator is not blind.
        """
        if not self.settings.blind:
            raise InputError("this separator is told what to listen for: give its conditions to `separate`")
        rows = torch.eye(self.settings.condition, dtype=mixture.dtype, device=mixture.device)
        return self.separate(mixture, rows.expand(len(mixture), -1, -1))


def analyse(mixture: Float[Tensor, "batch samples"], rows: int = 128) -> Spectrogram:
    """Transform and magnitude on the logarithmic axis."""
    stft = torch.stft(mixture, FFT, HOP, window=_window(mixture), pad_mode="constant", return_complex=True)
    return Spectrogram(stft, warp(stft.abs(), rows))


def synthesise(
    stft: Complex[Tensor, "batch bins frames"], masks: Float[Tensor, "batch sources bins frames"], samples: int
) -> Float[Tensor, "batch sources samples"]:
    """Waves of a masked mixture."""
    masked = (stft[:, None] * masks).flatten(0, 1)
    waves = torch.istft(masked, FFT, HOP, window=_window(masks), length=samples)
    return waves.unflatten(0, masks.shape[:2])


def warp(x: Float[Tensor, "batch bins frames"], rows: int) -> Float[Tensor, "batch rows frames"]:
    """Linear frequency to ``rows`` that are evenly spaced in its logarithm."""
    position = 2 * torch.logspace(0, -math.log10(21), rows, dtype=x.dtype, device=x.device).flip(0)
    return _sample(x, ((position - 2 / 21) / (2 - 2 / 21) * 2 - 1).clamp(-1, 1))


def unwarp(x: Float[Tensor, "*batch rows frames"]) -> Float[Tensor, "*batch 512 frames"]:
    """The inverse of :func:`warp` on the rows of a mask."""
    linear = torch.linspace(0, 1, FFT // 2 + 1, dtype=x.dtype, device=x.device)
    flat = x.flatten(0, -3)
    rows = (2 * (linear * 20 + 1).log() / math.log(21) - 1).clamp(-1, 1)  # beyond the last row there is only the padding
    return _sample(flat, rows).unflatten(0, x.shape[:-2])


def _sample(x: Tensor, rows: Tensor) -> Tensor:
    columns = torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype, device=x.device)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)
    return grid_sample(x[:, None], grid.expand(len(x), -1, -1, -1), align_corners=True)[:, 0]


def mask_loss(
    logits: Float[Tensor, "batch sources rows frames"],
    sources: Float[Tensor, "batch sources rows frames"],
    mixture: Float[Tensor, "batch rows frames"],
    free: bool = False,
    masks: Literal["competing", "independent"] = "competing",
) -> Float[Tensor, ""]:
    """Cross-entropy with the true masks, weighted by ``log1p`` of the mixture's magnitude.

    Competing masks are told which source is loudest at each place; independent ones whether ``source > mixture / 2``.

    Args:
        logits: Of the masks.
        sources: Magnitudes of the true sources.
        mixture: Magnitude of the mixture.
        free: Take the best order of the sources for each mixture (blind separation).
        masks: How they become masks.
    """
    n = logits.shape[1]
    orders = permutations(range(n)) if free else [tuple(range(n))]
    return torch.stack([_errors(logits[:, list(o)], sources, mixture, masks) for o in orders]).amin(0).mean()


def _errors(logits: Tensor, sources: Tensor, mixture: Tensor, masks: str) -> Float[Tensor, " batch"]:
    weight = mixture.log1p().clamp(1e-3, 10)
    if masks == "competing":
        return (weight * cross_entropy(logits, sources.argmax(1), reduction="none")).mean((1, 2))
    target = (sources > 0.5 * mixture[:, None]).to(logits)
    return (weight[:, None] * binary_cross_entropy_with_logits(logits, target, reduction="none")).mean((1, 2, 3))


def ideal_masks(
    sources: Float[Tensor, "batch sources samples"], kind: Literal["ratio", "binary"]
) -> Float[Tensor, "batch sources samples"]:
    """What the best masks of a kind would give: the ceiling."""
    mixture = sources.sum(1)
    magnitude = torch.stack([analyse(s).stft.abs() for s in sources.unbind(1)], 1)
    if kind == "ratio":
        masks = magnitude / magnitude.sum(1, keepdim=True).clamp(min=1e-8)
    else:
        masks = (magnitude >= magnitude.amax(1, keepdim=True)).to(magnitude)
    return synthesise(analyse(mixture).stft, masks, mixture.shape[-1])


def save_separator(separator: Separator, path: Path, half: bool = False) -> None:
    """Write weights and settings, whole or not at all."""
    state = {k: v.half() if half and v.is_floating_point() else v for k, v in separator.state_dict().items()}
    with atomic_path(path) as temporary:
        torch.save({"separator": asdict(separator.settings), "weights": state}, temporary)


def load_separator(path: Path) -> Separator:
    """Read what :func:`save_separator` wrote, in evaluation mode.

    Raises:
        InputError: Not such a file.
    """
    state = read_tensors(path)
    try:
        separator = Separator(SeparatorSettings(**state["separator"]))
        separator.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state["weights"].items()})
    except (KeyError, TypeError, RuntimeError) as e:
        raise InputError(f"{path} is not a separator of avcurriculum: give one that `avcurriculum train` wrote") from e
    return separator.eval()


def _window(like: Tensor) -> Tensor:
    return torch.hann_window(FFT, dtype=like.dtype if like.is_floating_point() else torch.float32, device=like.device)


def _down(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs))


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int, last: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=last)
        self.norm = nn.Identity() if last else nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)))


def _up(inputs: int, outputs: int, last: bool) -> nn.Module:
    return _Up(inputs, outputs, last)
