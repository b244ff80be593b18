"""Mixes by value, conditions in the order of the pictures, and what a separator's measure says."""

import numpy as np
import pytest
import torch

from avcurriculum.evaluation import separation
from avcurriculum.evaluation.annotations import Annotated
from avcurriculum.evaluation.field import Sample
from avcurriculum.evaluation.separation import TwoSounds, measure_separation, mixes_of, pack_mixes
from avcurriculum.metrics import bss_eval, nsdr, si_sdr
from avcurriculum.network.model import Architecture, build
from avcurriculum.scenes.composer import Composer
from avcurriculum.scenes.pools import fill
from avcurriculum.separation import mixing
from avcurriculum.separation.conditions import assign
from avcurriculum.separation.mixing import constant_conditions, draw_mix, stems, visual_conditions
from avcurriculum.separation.separate import Separator, SeparatorSettings
from claimkit.errors import InputError

TINY = Architecture(widths=(4, 8, 8, 8), dim=8)


@pytest.fixture(scope="module")
def shown(packs):
    return fill(Composer(packs["train"], 1), 60, build(TINY).eval())


def test_a_mix_has_two_classes_gains_within_three_decibels_and_their_own_pictures(packs, shown):
    mixes = [draw_mix(packs["train"], shown, np.random.default_rng(i)) for i in range(200)]
    assert all(m.classes[0] != m.classes[1] for m in mixes)
    assert all(shown.classes[p] == (c,) for m in mixes for c, p in zip(m.classes, m.pictures, strict=True))
    db = 20 * np.log10([g for m in mixes for g in m.gains])
    assert -3 <= db.min() < -2.8 and 2.8 < db.max() <= 3 and abs(db.mean()) < 0.3
    assert {m.sounds for m in mixes} == {(i, j) for i in range(4) for j in range(4)}, "each draws its own sound"
    assert {i for m in mixes for i in m.sounds} == set(range(4)) and {c for m in mixes for c in m.classes} == set(range(8))
    m, pack = mixes[0], packs["train"]
    (pair,) = stems(pack, [m]).numpy()
    for wave, c, i, g in zip(pair, m.classes, m.sounds, m.gains, strict=True):
        np.testing.assert_allclose(wave, pack.sounds[pack.classes[c]][i] * g, rtol=1e-6)


def test_a_condition_is_the_row_of_the_class_or_of_the_place_and_a_picture_has_its_background(packs, shown):
    mixes, table = [draw_mix(packs["train"], shown, np.random.default_rng(i)) for i in range(6)], torch.eye(8)
    assert constant_conditions(table, True)(mixes, torch.zeros(6, 9)).argmax(-1).tolist() == [list(m.classes) for m in mixes]
    assert constant_conditions(table, False)(mixes, torch.zeros(6, 9)).argmax(-1).tolist() == [[0, 1]] * 6
    assert mixing.seen_centers(build(TINY).eval(), shown).shape == (60, 1 + TINY.background, 8)


@pytest.mark.parametrize(("masks", "blind"), [("independent", False), ("competing", True)])
def test_a_separator_is_trained_for_the_masks_that_it_has_at_a_rate_that_falls_to_zero(
    packs, shown, monkeypatch, masks, blind
):
    """The rate of the cosine at a quarter, half and the end of four steps."""
    told, real = [], mixing.mask_loss
    monkeypatch.setattr(mixing, "mask_loss", lambda *a: told.append(a[3:]) or real(*a))
    separator = Separator(SeparatorSettings(2, 2, 2, 2, 32, masks=masks, blind=blind))
    trainer = mixing.SeparatorTrainer(
        separator, packs["train"], shown, constant_conditions(torch.eye(2), False), 4, batch=2, learning_rate=0.01
    )
    rates = [trainer.optimizer.param_groups[0]["lr"] for _ in trainer.run()]
    assert rates == pytest.approx([0.01 * (1 + np.cos(np.pi * n / 4)) / 2 for n in (1, 2, 3, 4)])
    assert told == [(blind, masks)] * 4


def test_a_step_hears_the_sum_of_the_sounds_that_its_seed_draws(packs, shown, monkeypatch):
    """What conditions and loss are given: the mixture, and the magnitudes of both sounds and of their sum."""
    given, drawn, real = {}, [], mixing.mask_loss
    monkeypatch.setattr(mixing, "mask_loss", lambda *a: given.update(sources=a[1], mixture=a[2]) or real(*a))

    def conditions(mixes, mixture):
        drawn.append(mixes)
        given["heard"] = mixture
        return torch.eye(2).expand(len(mixes), 2, 2)

    def mixes_of_seed(seed):
        separator = Separator(SeparatorSettings(2, 2, 2, 2, 32))
        list(mixing.SeparatorTrainer(separator, packs["train"], shown, conditions, 1, batch=3, seed=seed).run())
        return drawn[-1]

    first = mixes_of_seed(1)
    assert first == mixes_of_seed(1) != mixes_of_seed(2)
    waves = stems(packs["train"], drawn[-1])
    assert torch.equal(given["heard"], waves.sum(1))
    torch.testing.assert_close(given["mixture"], mixing.analyse(waves.sum(1), 32).magnitude)
    for n in (0, 1):
        torch.testing.assert_close(given["sources"][:, n], mixing.analyse(waves[:, n], 32).magnitude)


def test_mixes_to_measure_on_are_those_of_their_seed(packs, shown):
    net = build(TINY).eval()
    first, again, other = (next(pack_mixes(net, packs["train"], shown, 1, seed)).waves for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()


def test_classes_without_a_scene_are_not_mixed(packs, shown):
    some = shown.take([i for i, c in enumerate(shown.classes) if c[0] in (2, 5)])
    assert {frozenset(draw_mix(packs["train"], some, np.random.default_rng(i)).classes) for i in range(9)} == {
        frozenset((2, 5))
    }


def test_conditions_are_in_the_order_of_the_pictures(packs, shown, monkeypatch):
    net = build(TINY).eval()
    mixes = [draw_mix(packs["train"], shown, np.random.default_rng(i)) for i in range(6)]
    heard = torch.nn.functional.normalize(torch.randn(6, 2, 8, generator=torch.Generator().manual_seed(1)), dim=-1)
    monkeypatch.setattr(mixing, "heard_centers", lambda *_: heard)
    z, seen = visual_conditions(net, shown)(mixes, torch.zeros(6, 9)), mixing.seen_centers(net, shown)
    swapped = 0
    for m, h, row in zip(mixes, heard, z, strict=True):
        cost = torch.cdist(h, seen[list(m.pictures)]).amin(-1).T  # (sounds, pictures)
        straight = bool(cost.trace() <= cost.flip(1).trace())
        swapped += not straight
        for n in (0, 1):
            sound, centers = h[n if straight else 1 - n], seen[m.pictures[n]]
            torch.testing.assert_close(row[n], centers[torch.cdist(sound[None], centers)[0].argmin()])
    assert 0 < swapped < 6, "both orders must occur for the test to mean anything"


class Oracle:
    """A separator that gives back what is put into it, in the same or in the other order."""

    settings = type("Settings", (), {"blind": True})()

    def __init__(self, waves):
        self.waves = torch.from_numpy(waves)

    def stems(self, mixture):
        torch.testing.assert_close(mixture, self.waves.sum(1))
        return self.waves


def test_a_separator_is_measured_as_assigned_and_between_its_bounds(packs, shown, monkeypatch):
    net, rng = build(TINY).eval(), np.random.default_rng(0)
    mixes = list(pack_mixes(net, packs["train"], shown, 4, 0))
    waves = np.stack([m.waves for m in mixes])
    estimate = (waves + 0.02 * rng.standard_normal(waves.shape)).astype(np.float32)
    estimate[2:] = estimate[2:, ::-1]
    monkeypatch.setattr(separation, "estimates", lambda *_: torch.from_numpy(estimate))
    found = measure_separation(net, Oracle(waves), mixes)
    assert found["assigned"]["right order"] == 0.5
    rows = [[*bss_eval(w, e), nsdr(w, e, w.sum(0))] for w, e in zip(waves, estimate, strict=True)]
    for name, row in zip(("sir", "sar", "nsdr"), np.transpose(rows, (1, 0, 2))[1:], strict=True):
        assert found["assigned"][name] == pytest.approx(row.mean(), abs=1e-6)
    before = si_sdr(waves, waves.sum(1, keepdims=True))
    straight, swapped = si_sdr(waves, estimate) - before, si_sdr(waves, estimate[:, ::-1]) - before
    assert found["assigned"]["si_sdr gain"] == pytest.approx(straight.mean(), abs=1e-4)
    assert found["better order"]["si_sdr gain"] == pytest.approx(np.maximum(straight, swapped).mean(), abs=1e-4)
    assert found["random order"]["si_sdr gain"] == pytest.approx((straight + swapped).mean() / 2, abs=1e-4)


def test_a_silent_stem_is_left_out_of_the_means_and_counted(packs, shown, monkeypatch):
    """Of four mixes one has a silent stem, and one has nothing else."""
    net, rng = build(TINY).eval(), np.random.default_rng(0)
    mixes = list(pack_mixes(net, packs["train"], shown, 4, 0))
    waves = np.stack([m.waves for m in mixes])
    estimate = (waves + 0.02 * rng.standard_normal(waves.shape)).astype(np.float32)
    estimate[1, 1] = estimate[2] = 0
    monkeypatch.setattr(separation, "estimates", lambda *_: torch.from_numpy(estimate))
    found = measure_separation(net, Oracle(waves), mixes)
    assert found["assigned"]["silent"] == 3 / 8 and found["assigned"]["right order"] == 1
    gain = si_sdr(waves, estimate) - si_sdr(waves, waves.sum(1, keepdims=True))
    want = np.mean([gain[0].mean(), gain[1, 0], gain[3].mean()])
    assert found["assigned"]["si_sdr gain"] == found["better order"]["si_sdr gain"] == pytest.approx(want, abs=1e-4)
    monkeypatch.setattr(separation, "estimates", lambda *_: torch.zeros(1, *waves.shape[1:]))
    nothing = measure_separation(net, Oracle(waves), mixes[:1])["assigned"]
    assert nothing["silent"] == 1 and np.isnan([nothing["nsdr"], nothing["right order"]]).all()


def test_blind_stems_go_to_the_pictures_that_are_nearest(packs, shown):
    net = build(TINY).eval()
    (mix,) = pack_mixes(net, packs["train"], shown, 1, 0)
    heard = separation.heard_centers(net, torch.from_numpy(mix.waves), 1)[:, 0]
    for order in ([0, 1], [1, 0]):
        seen = heard[order][:, None]  # things that look just like the sounds
        assert assign(heard, seen).thing.tolist() == order
        got = separation.estimates(net, Oracle(mix.waves[None]), [TwoSounds(mix.waves, seen)])
        np.testing.assert_allclose(got[0].numpy(), mix.waves[order])


def test_annotated_clips_are_mixed_with_the_next_of_another_class():
    net = build(TINY).eval()
    boxes, image = (np.array([[0, 0, 1, 1.0]]),), torch.zeros(64, 64, 3, dtype=torch.uint8)
    samples = [Sample(Annotated(str(i), boxes, (c,)), image, np.full(3, i, np.float32)) for i, c in enumerate("aabab")]
    assert [m.waves[:, 0].tolist() for m in mixes_of(net, samples)] == [[0, 2], [1, 4]]
    with pytest.raises(InputError, match="no two such clips"):
        list(mixes_of(net, samples[:2]))
