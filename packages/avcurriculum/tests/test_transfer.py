"""Claim E3b: what its judge asks, and what its control and its second set are made of."""

import numpy as np
import pytest
import torch

from avcurriculum import audio
from avcurriculum.claims import transfer
from avcurriculum.scenes.composer import Composer
from avcurriculum.scenes.packs import SAMPLES
from avcurriculum.scenes.pools import Stream
from claimkit.assets import Assets
from claimkit.errors import InputError
from claimkit.experiment import Job


@pytest.mark.parametrize(
    ("learned", "recall", "shuffled", "kind"),
    [
        ((80.0, 70.0), 0.3, 0.12, "reproduced"),
        ((80.0, 64.0), 0.3, 0.12, "direction reproduced"),  # four points over mel statistics on the second set
        ((80.0, 70.0), 0.24, 0.12, "direction reproduced"),
        ((60.0, 70.0), 0.3, 0.12, "not reproduced"),  # no better than random weights
        ((80.0, 70.0), 0.3, 0.28, "not run"),  # pairs that say nothing align, too
    ],
)
def test_representation_needs_both_sets_both_baselines_and_recall(learned, recall, shuffled, kind):
    def values(seed):
        means = {"learned": learned, "random": (60.0, 55.0), "mel": (72.0, 60.0)}
        shift = 0.5 * (-1) ** seed
        accuracy = {a: [[m + (shift if a == "learned" else 0) for m in two]] * 2 for a, two in means.items()}
        return {
            "accuracy": accuracy,
            "recall": {"learned": [[recall, recall + 0.1]], "shuffled pairs": [[shuffled, 0.1]] * (seed == 0)},
        }

    verdict = transfer.judge([values(seed) for seed in range(4)])
    assert verdict.kind == kind and verdict.effect.value == pytest.approx(learned[0] - 60)
    assert transfer.judge([values(0)]).kind == transfer.judge([values(1), values(2)]).kind == "not run"  # fold, control


def test_what_the_second_set_and_the_control_are_made_of(packs, tmp_path):
    stream, wrong = (kind(Composer(packs["train"], 2)) for kind in (Stream, transfer._Shuffled))
    (seen, heard), (shown, other) = (x.draw(np.random.default_rng(0), 4) for x in (stream, wrong))
    assert torch.equal(seen, shown) and torch.equal(heard[:-1], other[1:]) and not torch.equal(heard, other)
    waves, classes = torch.arange(10.0)[:, None], np.repeat([0, 1], [6, 4])
    x, y, u, v = transfer._split(waves, classes, 3)
    assert list(y) == [0, 0, 0, 1, 1] == list(v) and sorted([*x[:, 0].tolist(), *u[:, 0].tolist()]) == list(range(10))
    loud = np.concatenate([np.full(3 * audio.RATE, 0.01), np.sin(np.arange(SAMPLES)), np.full(audio.RATE, 0.01)])
    audio.save(tmp_path / "a.wav", loud.astype(np.float32))
    cut = transfer._loudest(tmp_path / "a.wav")
    assert cut.shape == (SAMPLES,) and np.corrcoef(cut, np.sin(np.arange(SAMPLES)))[0, 1] > 0.999


def test_a_second_set_has_two_classes_of_which_one_may_lie_in_two_folders(tmp_path):
    (settings,) = (e.presets["full"] for e in transfer.EXPERIMENTS)
    job = Job(0, assets=Assets(tmp_path))
    wave = np.sin(np.arange(SAMPLES)).astype(np.float32)
    for name in ("", "cat-Part1", "cat-Part2"):
        (tmp_path / "animals" / name).mkdir(parents=True)
        with pytest.raises(InputError, match=r"animals holds \d wave files: expected a folder for each"):
            transfer._second(settings, job)
        if name:
            audio.save(tmp_path / "animals" / name / "a.wav", wave)
    (tmp_path / "animals" / "dog").mkdir()
    audio.save(tmp_path / "animals" / "dog" / "b.wav", wave)
    waves, classes = transfer._second(settings, job)
    assert waves.shape == (3, SAMPLES) and list(classes) == [0, 0, 1]
