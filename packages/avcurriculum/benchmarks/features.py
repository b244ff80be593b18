"""Log-mel features of a batch against librosa clip by clip (equal to 1e-4), and scenes composed with their features."""

from pathlib import Path

import librosa
import numpy as np
import torch

from avcurriculum import audio
from avcurriculum.scenes.composer import LEVELS, Composer
from avcurriculum.scenes.generated import generate_pack
from claimkit import bench

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
CLIPS, SCENES = 64, 1000


def main():
    torch.set_num_threads(1)
    spec = audio.SMALL
    waves = (0.1 * np.random.default_rng(0).standard_normal((CLIPS, 80_000))).astype(np.float32)
    batch = torch.from_numpy(waves)

    def by_librosa(wave):
        settings = {"n_fft": spec.fft, "hop_length": spec.hop, "n_mels": spec.bands, "pad_mode": "constant"}
        return np.log(librosa.feature.melspectrogram(y=wave, sr=audio.RATE, fmax=spec.high, **settings).T + spec.log)

    np.testing.assert_allclose(audio.log_mel(batch[:4]).numpy(), [by_librosa(w) for w in waves[:4]], rtol=1e-4, atol=1e-4)
    candidates = {
        "log_mel of the batch": lambda: audio.log_mel(batch),
        "log_mel clip by clip": lambda: [audio.log_mel(w) for w in batch],
        "librosa clip by clip": lambda: [by_librosa(w) for w in waves],
    }
    bench.save(
        bench.alternate(f"log-mel of {CLIPS} clips of 5 s", candidates, rounds=9, cpu=True), RESULTS / "features.json"
    )
    composer = Composer(generate_pack("train"), LEVELS[3])

    def compose():
        for i in range(0, SCENES, 64):
            composer.batch(range(i, min(i + 64, SCENES)))

    def one_by_one():
        for i in range(SCENES):
            audio.log_mel(torch.from_numpy(composer.scene(i).mixture), composer.mel)

    title = f"{SCENES} scenes of 64 x 64 pixels, 3 sources, with features"
    candidates = {"Composer.batch": compose, "scene by scene": one_by_one}
    bench.save(bench.alternate(title, candidates, rounds=5, warmup=1, cpu=True), RESULTS / "scenes.json")


if __name__ == "__main__":
    main()
