"""Sound: files, short-time Fourier transforms, and log-mel features in batches.

A mixture's transform is the sum of its parts' transforms, so scenes are mixed from transforms that were computed once
(:func:`spectrum`), and only magnitude, mel and logarithm (:func:`log_mel_of`) remain to be done for each.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor

from claimkit.errors import InputError
from claimkit.files import atomic_path

RATE = 16_000
"""Samples a second of all sounds in the package."""
SILENCE = 1e-5
"""Sounds whose root mean square is below this are silent."""
PIECE = 1 << 17
"""Samples that are transformed at once on a processor: what stays in its cache."""


@dataclass(frozen=True)
class MelSpec:
    """A log-mel front end: windows of ``window`` samples every ``hop``, ``fft`` bins, ``bands`` triangles in [low, high] Hz.

    ``scale`` is the mel convention: ``slaney`` (librosa's default: linear below 1 kHz, triangles of unit area), ``htk``
    (2595 log10(1 + f/700), same triangles), or ``yamnet`` (htk's scale, triangles straight in mel, unnormalised, no DC).
    ``power`` is the exponent of the magnitude. ``log`` is ``db`` (10 log10, floor 80 dB below the loudest) or a number
    added before the natural logarithm. Centred windows reach over the ends into zeros.
    """

    window: int = 1024
    hop: int = 512
    fft: int = 1024
    bands: int = 64
    low: float = 0.0
    high: float = 8000.0
    scale: Literal["slaney", "htk", "yamnet"] = "slaney"
    power: float = 2.0
    log: Literal["db"] | float = 1e-6
    centered: bool = True

    def frames(self, samples: int) -> int:
        """Frames of so many samples."""
        return 1 + (samples if self.centered else samples - self.window) // self.hop


SMALL = MelSpec()
"""Of the small network: 64 ms windows every 32 ms."""
REFERENCE = MelSpec(window=160, hop=80, fft=160, power=1.0, log="db")
"""Of the authors' code: 10 ms windows every 5 ms, the mel of the magnitude, in dB."""
YAMNET = MelSpec(400, 160, 512, 64, 125.0, 7500.0, "yamnet", 1.0, 1e-3, False)
"""Of YAMNet: 25 ms windows every 10 ms."""


@functools.cache
def mel_matrix(spec: MelSpec) -> Float[Tensor, "bins bands"]:
    """Triangular mel filters, ``(fft // 2 + 1, bands)``, as librosa's for the scales ``slaney`` and ``htk``."""
    bins = np.linspace(0, RATE / 2, spec.fft // 2 + 1)
    corner = np.linspace(_to_mel(spec.low, spec.scale), _to_mel(spec.high, spec.scale), spec.bands + 2)
    if spec.scale == "yamnet":
        x, edges = _to_mel(bins, spec.scale), corner
    else:
        x, edges = bins, _to_hertz(corner, spec.scale)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rise = (x[:, None] - low) / (middle - low)
    fall = (high - x[:, None]) / (high - middle)
    weights = np.maximum(0, np.minimum(rise, fall))
    if spec.scale == "yamnet":
        weights[0] = 0
    else:
        weights *= 2 / (high - low)
    return torch.from_numpy(weights).float()


@functools.cache
def _halves(spec: MelSpec) -> list[tuple[int, int, Tensor]]:
    """The filters of the lower and of the upper half of the bands, each with the bins that it reaches: half the products."""
    found = []
    for part in mel_matrix(spec).split(-(-spec.bands // 2), 1):
        reached = part.any(1).nonzero()[:, 0]
        first, last = int(reached[0]), int(reached[-1]) + 1
        found.append((first, last, part[first:last].contiguous()))
    return found


def spectrum(wave: Float[Tensor, "*batch samples"], spec: MelSpec) -> Complex[Tensor, "*batch frames bins"]:
    """Short-time Fourier transform with a periodic Hann window, ``(..., frames, fft // 2 + 1)``; linear in the wave."""
    flat = wave.reshape(-1, wave.shape[-1])
    if not spec.centered:  # torch puts a short window in the middle of the frame: shift the wave so that frames start at 0
        left = (spec.fft - spec.window) // 2
        flat = torch.nn.functional.pad(flat, (left, spec.fft - spec.window - left))
    window = torch.hann_window(spec.window, dtype=wave.dtype, device=wave.device)
    out = torch.stft(flat, spec.fft, spec.hop, spec.window, window, spec.centered, pad_mode="constant", return_complex=True)
    return out.mT.reshape(*wave.shape[:-1], *out.mT.shape[1:])


def log_mel_of(stft: Complex[Tensor, "*batch frames bins"], spec: MelSpec) -> Float[Tensor, "*batch frames bands"]:
    """Log-mel features of a transform."""
    squares = torch.view_as_real(stft).square()
    energy = squares[..., 0] + squares[..., 1]
    if spec.power != 2:
        energy = energy.sqrt() if spec.power == 1 else energy ** (spec.power / 2)
    mel = torch.cat([energy[..., first:last] @ part.to(energy) for first, last, part in _halves(spec)], -1)
    if isinstance(spec.log, str):
        db = 10 * mel.clamp(min=1e-10).log10()
        return db.maximum(db.amax((-2, -1), keepdim=True) - 80)
    return (mel + spec.log).log()


def log_mel(wave: Float[Tensor, "*batch samples"], spec: MelSpec = SMALL) -> Float[Tensor, "*batch frames bands"]:
    """Log-mel features of waves at 16 kHz, ``(..., frames, bands)``; give many waves at once.

    >>> log_mel(torch.zeros(2, 32_000)).shape
    torch.Size([2, 63, 64])
    """
    if wave.shape[-1] < spec.fft:
        raise InputError(f"a sound of {wave.shape[-1]} samples is shorter than one window of {spec.fft}: give a longer one")
    flat = wave.reshape(-1, wave.shape[-1])
    pieces = flat.split(max(1, PIECE // wave.shape[-1])) if wave.device.type == "cpu" else [flat]
    out = torch.cat([log_mel_of(spectrum(piece, spec), spec) for piece in pieces])
    return out.reshape(*wave.shape[:-1], *out.shape[1:])


def load(path: Path) -> NDArray[np.float32]:
    """A sound file (any format of libsndfile) as mono at 16 kHz, ``(samples,)``.

    Raises:
        InputError: Not a sound file.
    """
    import soundfile

    try:
        data, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as e:
        raise InputError(f"{path} is not a sound file that can be read: {e}") from e
    return resample(data.mean(1), rate)


def resample(wave: NDArray[np.float32], rate: int, to: int = RATE) -> NDArray[np.float32]:
    """Change the sampling rate."""
    if rate == to:
        return wave
    import soxr

    return soxr.resample(wave, rate, to)


def save(path: Path, wave: NDArray[np.float32]) -> None:
    """Write a wave file at 16 kHz, 16 bit, whole or not at all; what exceeds [-1, 1] is scaled down, not clipped."""
    import soundfile

    peak = float(np.abs(wave).max(initial=0))
    with atomic_path(path) as temporary:
        soundfile.write(temporary, wave / max(peak, 1.0), RATE, subtype="PCM_16", format="WAV")


def rms(wave: NDArray[np.float32]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))) if wave.size else 0.0


def audible(wave: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    """The wave, unless it is silent.

    Raises:
        InputError: Silent.
    """
    if rms(wave) < SILENCE:
        raise InputError(f"{what} is silent: there is no sound to look for")
    return wave


def _to_mel(f, scale: str):
    if scale != "slaney":
        return 1127.0 * np.log1p(np.asarray(f) / 700.0)
    f = np.asarray(f, dtype=float)
    return np.where(f < 1000, f * 3 / 200, 15 + 27 * np.log(np.maximum(f, 1000) / 1000) / np.log(6.4))


def _to_hertz(m, scale: str):
    if scale != "slaney":
        return 700.0 * np.expm1(m / 1127.0)
    return np.where(m < 15, m * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (np.maximum(m, 15) - 15)))
