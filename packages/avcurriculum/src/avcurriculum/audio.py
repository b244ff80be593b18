"""Sound: files, short-time Fourier transforms, and log-mel features in batches.

A mixture's transform is the sum of its parts' transforms, so scenes are mixed from transforms that were computed once
(:func:`spectrum`), and only magnitude, mel and logarithm (:func:`log_mel_of`) remain to be done for each.
"""

import functools
import importlib.resources
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import NDArray
from torch import Tensor

from claimkit.errors import InputError
from claimkit.files import AnyPath, atomic_path

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
    """Mel filters, ``(fft // 2 + 1, bands)``: librosa's for the scales ``slaney`` and ``htk``.

    Those of :data:`SMALL` and :data:`YAMNET` were made by the same lines once (``training/store_filters.py``) and lie in the
    package: importing librosa takes about as long as importing torch. A band narrower than a bin is empty, as in librosa.
    """
    with np.load(Path(str(importlib.resources.files("avcurriculum") / "data" / "filters.npz"))) as stored:
        for name, known in (("small", SMALL), ("yamnet", YAMNET)):
            if replace(spec, log=known.log, power=known.power, window=known.window, hop=known.hop) == known:
                return torch.from_numpy(stored[name])
    return compute_mel(spec)


def compute_mel(spec: MelSpec) -> Float[Tensor, "bins bands"]:
    """The filters of :func:`mel_matrix`, computed."""
    import librosa

    if spec.scale == "yamnet":
        mel = functools.partial(librosa.hz_to_mel, htk=True)
        edges, x = (
            np.linspace(mel(spec.low), mel(spec.high), spec.bands + 2),
            mel(librosa.fft_frequencies(sr=RATE, n_fft=spec.fft)),
        )
        rise, fall = (x[:, None] - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - x[:, None]) / np.diff(edges)[1:]
        weights = np.maximum(0, np.minimum(rise, fall))
        weights[0] = 0
        return torch.from_numpy(weights).float()
    bank = {"n_fft": spec.fft, "n_mels": spec.bands, "fmin": spec.low, "fmax": spec.high, "htk": spec.scale == "htk"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(np.ascontiguousarray(librosa.filters.mel(sr=RATE, **bank).T))


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


def load(path: AnyPath) -> NDArray[np.float32]:
    """A sound file of any format that libsndfile reads (WAV, FLAC, Ogg, MP3, AIFF ...), as mono at 16 kHz, ``(samples,)``.

    Raises:
        InputError: Not a sound file.
    """
    import librosa
    import soundfile

    try:
        with soundfile.SoundFile(path) as file, warnings.catch_warnings():  # opened here: a broken one is closed, too
            warnings.simplefilter("ignore")  # that what librosa would read other files with is deprecated
            return librosa.load(file, sr=RATE, mono=True)[0]
    except (soundfile.LibsndfileError, librosa.ParameterError, OSError) as e:  # librosa's: samples that are not finite
        raise InputError(f"{path} is not a sound file that can be read: {e}") from e


def save(path: AnyPath, wave: NDArray[np.float32]) -> None:
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
        InputError: Silent, or not finite.
    """
    if not np.isfinite(wave).all():
        raise InputError(f"{what} has samples that are not finite: the file is broken")
    if rms(wave) < SILENCE:
        raise InputError(f"{what} is silent: there is no sound to look for")
    return wave
