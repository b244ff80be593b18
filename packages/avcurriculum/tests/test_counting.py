"""Numbers of sounds: what the counter hears, and what it must not."""

import numpy as np
import pytest
import torch

from avcurriculum import audio
from avcurriculum.scenes.pools import Pool
from avcurriculum.training.counting import FLOOR, SourceCounter, fit_counter, regroup, statistics
from claimkit.errors import InputError


def pool(mel):
    """Scene i has the visual feature i, the audio feature 10 i, i boxes, and i silent things."""
    n = len(mel)
    boxes, silent = ([np.full((i, 4), value) for i in range(n)] for value in (1, 2))
    number = torch.arange(n)[:, None]
    return Pool(number, 10 * number, mel, boxes, [(i,) for i in range(n)], silent, 8)


def test_statistics_by_value():
    mel = torch.tensor([[[0.0, 2.0], [4.0, 2.0], [2.0, 2.0]]])
    assert statistics(mel, level=True)[0].tolist() == pytest.approx([2, 2, 2, 0, 4, 2])
    loud = float(mel.exp().mean().log())
    assert statistics(mel)[0].tolist() == pytest.approx([2 - loud, 2 - loud, 2, 0, 4 - loud, 2 - loud], abs=1e-6)
    assert statistics(torch.tensor([[[0.0, -30.0], [0.0, -30.0]]]))[0, 1] == FLOOR


def test_the_counter_does_not_hear_the_level():
    wave = 0.1 * torch.randn(2, 32_000, generator=torch.Generator().manual_seed(0))
    quiet, loud = statistics(audio.log_mel(wave)), statistics(audio.log_mel(3 * wave))
    np.testing.assert_allclose(quiet, loud, atol=0.02)
    assert np.abs(statistics(audio.log_mel(wave), True) - statistics(audio.log_mel(3 * wave), True)).max() > 1


def test_a_counter_is_fitted_on_what_it_hears_later():
    """Two numbers that differ by the level alone are told apart by a counter of the level, and by no other."""
    mel = torch.randn(30, 6, 2, generator=torch.Generator().manual_seed(0))
    pools = {1: pool(mel), 2: pool(mel + 3)}
    assert fit_counter(pools, level=True).confusion(pools).tolist() == [[30, 0], [0, 30]]
    assert np.ptp(fit_counter(pools).confusion(pools), axis=0).max() == 0


def test_confusion_has_true_numbers_in_rows_and_regrouping_keeps_pictures_with_their_sounds():
    class Loudest:
        def predict(self, x):
            return np.where(x[:, 0] > 1.5, 2, 1)

    counter = SourceCounter(Loudest(), level=True)
    skew = {1: pool(torch.ones(3, 2, 2)), 2: pool(torch.tensor([1.0, 2.0, 1.0])[:, None, None].expand(-1, 2, 2))}
    assert counter.confusion(skew).tolist() == [[3, 0], [2, 1]], "rows are what is true"
    mel = torch.tensor([1.0, 1.0, 2.0, 2.0, 2.0, 1.0])[:, None, None].expand(-1, 2, -1)
    pools = {1: pool(mel[:3]), 2: pool(mel[3:])}
    assert counter.confusion(pools).tolist() == [[2, 1], [1, 2]]
    groups = regroup(pools, counter, least=1)
    assert {k: g.classes for k, g in groups.items()} == {1: [(0,), (1,), (2,)], 2: [(2,), (0,), (1,)]}
    for group in groups.values():
        numbers = [c for (c,) in group.classes]
        assert group.visual[:, 0].tolist() == numbers and group.audio[:, 0].tolist() == [10 * n for n in numbers]
        for boxes, value in ((group.boxes, 1), (group.distractors, 2)):
            assert [len(b) for b in boxes] == numbers and all((b == value).all() for b in boxes)
    assert len(regroup(pools, counter, least=3)) == 2
    with pytest.raises(InputError, match=r"only 3 scenes are estimated to have 1 source\(s\)"):
        regroup(pools, counter, least=4)
