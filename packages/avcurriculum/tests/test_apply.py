"""What a user's video is told: windows of sound, identity of sounds, one place each, what is not in the picture."""

import numpy as np
import pytest
import torch
from torch import nn

from avcurriculum import audio
from avcurriculum.audio import RATE
from avcurriculum.evaluation.composed import calibrate, offscreen_distances
from avcurriculum.network.model import Architecture, AVNet, build
from avcurriculum.scenes.composer import LEVELS, Composer
from avcurriculum.scenes.pools import fill
from avcurriculum.separation import conditions
from avcurriculum.training.trainer import load_model, save_model
from avcurriculum.video import apply

TINY = Architecture(widths=(4, 8, 8, 8), dim=8)


def noise(seconds, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(int(seconds * RATE))).astype(np.float32)


def pictures(n, seed=1):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.repeat(rng.integers(0, 255, (1, 64, 64, 3), np.uint8), n, 0))


def test_every_look_hears_the_two_seconds_around_it():
    """A burst from 3.0 to 3.5 s: heard exactly by the looks from 2 to 4.5 s, the ends left out."""
    wave = np.zeros(8 * RATE, np.float32)
    wave[3 * RATE : int(3.5 * RATE)] = noise(0.5)
    times = np.arange(0, 8, 0.25)
    heat = apply.track(build(TINY).eval(), pictures(len(times)), wave, times, 1)
    assert times[~heat.silent].tolist() == [t for t in times if 2 < t < 4.5]
    assert not heat.maps[heat.silent].any() and heat.maps[~heat.silent].any((1, 2, 3)).all()


def test_one_sound_is_heard_anew_and_several_are_the_same_all_along(monkeypatch):
    net, asked = build(TINY).eval(), []
    real = apply.assign
    monkeypatch.setattr(apply, "assign", lambda heard, seen: asked.append(heard) or real(heard, seen))
    wave, times = np.concatenate([noise(3), np.sin(np.arange(3 * RATE) / 9).astype(np.float32)]), np.array([1.0, 5.0])
    apply.track(net, pictures(2), wave, times, 1)
    assert not torch.allclose(asked[0], asked[1])
    window = torch.from_numpy(wave[4 * RATE : 6 * RATE])[None]
    torch.testing.assert_close(asked[1], conditions.heard_centers(net, window, 1)[0])
    heat = apply.track(net, pictures(2), wave, times, 2)
    torch.testing.assert_close(asked[2], conditions.clip_centers(net, wave, 2))
    assert len(asked) == 5 and torch.equal(asked[3], asked[4]), "once for the clip, then what it was given at every look"
    np.testing.assert_allclose(heat.maps[0], heat.maps[1], atol=1e-5)


class Colours(AVNet):
    """Positions are the colours of an 8 x 8 picture."""

    def __init__(self):
        super().__init__(Architecture(dim=3, background=0, canvas=8), nn.Identity(), nn.Identity(), (3, 3), audio.SMALL)

    def embed_image(self, images):
        return images.float() / 250


def test_a_sound_follows_what_it_was_given_wherever_that_goes(monkeypatch):
    """Red and blue change sides halfway; both sounds are a little nearer to red, the first one more so."""
    heard = torch.tensor([[0.7, 0.0, 0.3], [0.6, 0.0, 0.4]])
    monkeypatch.setattr(apply, "clip_centers", lambda *_: heard)
    images = torch.zeros(8, 8, 8, 3, dtype=torch.uint8)
    images[:4, :, :4, 0] = images[:4, :, 4:, 2] = images[4:, :, 4:, 0] = images[4:, :, :4, 2] = 250
    heat = apply.track(Colours().eval(), images, noise(8), np.arange(8.0), 2)
    left = heat.maps[..., :4].mean((2, 3))
    np.testing.assert_allclose(left[:, 0], [1, 1, 1, 1, 0, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(left[:, 1], [0, 0, 0, 0, 1, 1, 1, 1], atol=1e-3)
    net = Colours().eval()
    net.offscreen = (9.0, 0.5)  # to red the first sound has sqrt(0.18), to blue the second has sqrt(0.72)
    assert apply.track(net, images, noise(8), np.arange(8.0), 2).absent.tolist() == [[False, True]] * 8


def test_a_prior_of_things_takes_its_share_of_the_maps_of_what_sounds(monkeypatch):
    """White beside grey: most is to be seen on the white side, and the share says how much of that shows."""
    monkeypatch.setattr(apply, "heard_centers", lambda *_: torch.full((2, 1, 3), 0.4))
    net, wave = Colours().eval(), np.concatenate([noise(4), np.zeros(4 * RATE, np.float32)])
    images = torch.full((2, 8, 8, 3), 100, dtype=torch.uint8)
    images[:, :, :4] = 250
    images = images.permute(0, 3, 1, 2).float() / 250  # as features: the network has no backbone
    np.testing.assert_allclose(net.objects(images)[0].mean(0), [1] * 4 + [0] * 4, atol=1e-6)
    net.embed_image = lambda x: x.permute(0, 2, 3, 1)
    times = np.array([1.0, 7.0])
    plain, half, full = (apply.track(net, images, wave, times, 1, prior=p).maps for p in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half[0], (plain[0] + full[0]) / 2, atol=1e-6)
    np.testing.assert_allclose(full[0, 0].mean(0), [1] * 4 + [0] * 4, atol=1e-6)
    assert not full[1].any(), "silence is not lit, whatever there is to see"


def test_two_sounds_are_never_given_one_place():
    heard = torch.tensor([[0.0, 0.0], [0.4, 0.0], [0.2, 0.0]])
    seen = torch.tensor(
        [[[0.1, 0.0], [9.0, 9.0]], [[2.0, 0.0], [0.9, 0.0]], [[0.0, 5.0], [0.0, 6.0]], [[7.0, 7.0], [1.2, 0.0]]]
    )
    found = conditions.assign(heard, seen)
    assert found.thing.tolist() == [0, 1, 3], "0.1 + 0.5 + 1.0: less than any other three things"
    torch.testing.assert_close(found.center, torch.tensor([[0.1, 0.0], [0.9, 0.0], [1.2, 0.0]]))
    torch.testing.assert_close(found.distance, torch.tensor([0.1, 0.5, 1.0]))


def test_a_sound_beyond_the_calibrated_distance_is_not_in_the_picture():
    net, times = build(TINY).eval(), np.array([1.0, 2.0])
    near = apply.track(net, pictures(2), noise(4), times, 1)
    assert not near.absent.any() and near.places()[0]["in_picture"] == [True]
    net.offscreen = (1e-3,)
    far = apply.track(net, pictures(2), noise(4), times, 1)
    assert far.absent.all() and not far.maps.any() and far.places()[0]["center"] == [None]
    assert far.places()[0]["in_picture"] == [False]
    assert not apply.track(net, pictures(2), noise(4), times, 2).absent.any(), "two sounds were not calibrated"


def test_the_limit_is_passed_by_a_twentieth_of_what_is_there_and_is_kept_with_the_model(packs, tmp_path):
    net = build(TINY).eval()
    pools = {k: fill(Composer(packs["val"], LEVELS[k], seed=k), 40, net) for k in (1, 2)}
    found = calibrate(net, pools)
    for k, pool in pools.items():
        own, other = offscreen_distances(net, pool, k)
        assert len(own) == 40 * k and (own > net.offscreen[k - 1]).mean() == pytest.approx(0.05, abs=0.02)
        assert found[k] == (other > net.offscreen[k - 1]).mean()
    save_model(net, tmp_path / "m.pt")
    assert load_model(tmp_path / "m.pt").offscreen == net.offscreen


def test_the_centres_of_a_clip_come_from_all_of_it_and_from_no_silence():
    net = build(TINY).eval()
    wave = np.concatenate([noise(2), np.zeros(4 * RATE, np.float32)])
    torch.testing.assert_close(conditions.clip_centers(net, wave, 1), conditions.clip_centers(net, wave[: 3 * RATE], 1))
    assert conditions.clip_centers(net, noise(0.5), 2).shape == (2, 8)
    long = np.tile(noise(2), 100)
    assert torch.isfinite(conditions.clip_centers(net, long, 2)).all()
    assert audio.rms(long) > 0
