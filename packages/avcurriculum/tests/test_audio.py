"""Log-mel features against librosa, linearity of cached mixing, files."""

import warnings

import numpy as np
import pytest
import torch

from avcurriculum import audio
from claimkit.errors import InputError


def noise(n=32_000, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype(np.float32)


@pytest.mark.parametrize("spec", [audio.SMALL, audio.REFERENCE, audio.MelSpec(scale="htk", high=7000.0)])
def test_log_mel_equals_librosas(spec):
    import librosa

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 64 bands of 81 bins: some are empty, in librosa as here
        stft = librosa.stft(noise(), n_fft=spec.fft, hop_length=spec.hop, win_length=spec.window, pad_mode="constant")
        weights = librosa.filters.mel(
            sr=audio.RATE, n_fft=spec.fft, n_mels=spec.bands, fmin=spec.low, fmax=spec.high, htk=spec.scale == "htk"
        )
    mel = (weights @ np.abs(stft) ** spec.power).T
    want = librosa.power_to_db(mel) if spec.log == "db" else np.log(mel + spec.log)
    np.testing.assert_allclose(audio.log_mel(torch.from_numpy(noise()), spec), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("spec", [audio.SMALL, audio.YAMNET])
def test_the_filters_that_the_package_carries_are_librosas(spec):
    stored = audio.mel_matrix(spec)
    assert stored.shape == (spec.fft // 2 + 1, spec.bands) and (stored.sum(0) > 0).all()
    torch.testing.assert_close(stored, audio.compute_mel(spec), rtol=1e-6, atol=1e-9)
    other = audio.mel_matrix(audio.MelSpec(bands=40))
    assert other.shape == (513, 40)


def test_yamnets_front_end_starts_its_windows_at_the_first_sample():
    wave, spec = torch.from_numpy(noise()), audio.YAMNET
    frame = wave[160 * 3 : 160 * 3 + 400] * torch.hann_window(400)
    want = torch.fft.rfft(frame, 512).abs()
    torch.testing.assert_close(audio.spectrum(wave, spec)[3].abs(), want, rtol=1e-4, atol=1e-4)
    assert audio.log_mel(wave, spec).shape == (198, 64) == (spec.frames(32_000), spec.bands)
    assert audio.mel_matrix(spec)[0].sum() == 0


def test_a_mixture_of_cached_transforms_is_the_transform_of_the_mixture():
    a, b = (torch.from_numpy(noise(seed=s)) for s in (1, 2))
    mixed = 0.7 * audio.spectrum(a, audio.SMALL) + 1.3 * audio.spectrum(b, audio.SMALL)
    torch.testing.assert_close(mixed, audio.spectrum(0.7 * a + 1.3 * b, audio.SMALL), atol=1e-5, rtol=1e-5)


def test_a_batch_equals_its_parts():
    waves = torch.stack([torch.from_numpy(noise(seed=s)) for s in range(3)])
    torch.testing.assert_close(audio.log_mel(waves)[1], audio.log_mel(waves[1]))


def test_files_keep_the_sound_and_resampling_its_length(tmp_path):
    path = tmp_path / "a.wav"
    audio.save(path, noise(8000))
    assert np.abs(audio.load(path) - noise(8000)).max() < 1e-4
    import soundfile

    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32)
    soundfile.write(tmp_path / "b.flac", np.stack([tone, 0 * tone], 1), 44_100)
    read = audio.load(tmp_path / "b.flac")
    assert read.size == 16_000 and read.dtype == np.float32
    np.testing.assert_allclose(
        read[500:-500], 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)[500:-500], atol=2e-3
    )


def test_what_is_no_sound_is_named(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"no sound")
    with pytest.raises(InputError, match=r"a\.wav is not a sound file"):
        audio.load(path)
    with pytest.raises(InputError, match="is silent"):
        audio.audible(np.zeros(100, np.float32), "this")
    with pytest.raises(InputError, match="shorter than one window"):
        audio.log_mel(torch.zeros(10))
