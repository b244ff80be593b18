"""The separator, its masks, its checkpoints, ideal masks, and the factorisation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avcurriculum.metrics import si_sdr
from avcurriculum.network.model import Architecture, build
from avcurriculum.scenes.composer import Composer
from avcurriculum.scenes.pools import fill
from avcurriculum.separation import nmf
from avcurriculum.separation.mixing import (
    SeparatorTrainer,
    constant_conditions,
    draw_mix,
    stems,
    train_separator,
    visual_conditions,
)
from avcurriculum.separation.separate import (
    Separator,
    SeparatorSettings,
    analyse,
    ideal_masks,
    load_separator,
    mask_loss,
    save_separator,
    synthesise,
    unwarp,
    warp,
)
from claimkit.errors import InputError

TINY = SeparatorSettings(condition=8, depth=3, ngf=4, channels=4, rows=64)


def waves(batch=2, samples=16_000):
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(0))


def test_analysis_and_synthesis_give_the_sound_back():
    x = waves()
    spec = analyse(x)
    again = synthesise(spec.stft, torch.ones(2, 1, *spec.stft.shape[1:]), x.shape[-1])[:, 0]
    torch.testing.assert_close(again, x, atol=1e-5, rtol=0)


def test_unwarping_inverts_warping_of_what_is_smooth():
    rows = torch.linspace(0, 1, 512)[None, :, None].expand(1, 512, 5)
    torch.testing.assert_close(unwarp(warp(rows, 128)), rows, atol=1e-3, rtol=0)
    assert warp(rows, 128)[0, [0, -1], 0].tolist() == pytest.approx([0, 1], abs=1e-6)


@pytest.mark.parametrize("cond", ["linear", "film"])
def test_masks_follow_their_conditions_and_any_length_is_taken(cond):
    torch.manual_seed(0)
    separator = Separator(SeparatorSettings(8, 3, 4, 4, 64, cond)).eval()
    z = torch.randn(2, 3, 8)
    out = separator.separate(waves(samples=9_999), z)
    assert out.shape == (2, 3, 9_999)
    torch.testing.assert_close(separator.separate(waves(samples=9_999), z.flip(1)), out.flip(1), atol=1e-5, rtol=1e-4)


def test_mask_loss_by_hand_and_the_better_order_counts_when_blind():
    mixture = torch.full((1, 2, 1), 2.0)
    sources = torch.tensor([[[[2.0], [0.0]], [[0.0], [2.0]]]])
    logits = 50.0 * torch.tensor([[[[1.0], [-1.0]], [[-1.0], [1.0]]]])
    for masks, wrong in (("competing", 100 * np.log(3)), ("independent", 50 * np.log(3))):
        assert mask_loss(logits, sources, mixture, masks=masks).item() == pytest.approx(0, abs=1e-6)
        assert mask_loss(logits.flip(1), sources, mixture, masks=masks).item() == pytest.approx(wrong, rel=1e-5)
        assert mask_loss(logits.flip(1), sources, mixture, True, masks).item() == pytest.approx(0, abs=1e-6)


def test_the_masks_targets_by_value():
    """Independent masks are asked for where a source has more than half; competing ones where it is the loudest of three."""
    mixture, logits = torch.ones(1, 1, 1), torch.full((1, 3, 1, 1), 2.0)
    on, off = np.log1p(np.exp(-2.0)), np.log1p(np.exp(2.0))
    for shares, right in (((0.6, 0.3, 0.1), 1), ((0.4, 0.3, 0.3), 0), ((0.51, 0.51, 0.1), 2)):
        sources = torch.tensor(shares).view(1, 3, 1, 1)
        want = np.log(2) * (right * on + (3 - right) * off) / 3
        assert mask_loss(logits, sources, mixture, masks="independent").item() == pytest.approx(want, rel=1e-5)
    for shares, loudest in (((0.4, 0.3, 0.3), 0), ((0.1, 0.2, 0.3), 2)):
        logits = torch.tensor([0.0, 1.0, 3.0]).view(1, 3, 1, 1)
        want = np.log(2) * (np.log(1 + np.e + np.e**3) - logits[0, loudest].item())
        assert mask_loss(logits, torch.tensor(shares).view(1, 3, 1, 1), mixture).item() == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("sources", [2, 3])
def test_stems_sum_to_the_mixture_and_independent_ones_need_not(sources):
    torch.manual_seed(1)
    told = Separator(TINY).eval()
    x, z = waves(samples=9_999), 3 * torch.randn(2, sources, 8)
    with torch.inference_mode():
        torch.testing.assert_close(told.separate(x, z).sum(1), x, atol=1e-5, rtol=0)
        blind = Separator(SeparatorSettings(sources, 3, 4, 4, 64, blind=True)).eval()
        torch.testing.assert_close(blind.stems(x).sum(1), x, atol=1e-5, rtol=0)
        free = Separator(replace(TINY, masks="independent")).eval()
        free.load_state_dict(told.state_dict())
        assert (free.separate(x, z).sum(1) - x).abs().max() > 1e-3
    with pytest.raises(InputError, match="is told what to listen for"):
        told.stems(x)
    with pytest.raises(InputError, match="sizes positive"):
        SeparatorSettings(1, blind=True)


def test_an_interrupted_separator_goes_on_as_if_nothing_had_been(packs, tmp_path):
    net = build(Architecture(widths=(4, 8, 8, 8), dim=8)).eval()
    shown, by_place = fill(Composer(packs["train"], 1), 24, net), constant_conditions(torch.eye(2), False)

    def trainer():
        torch.manual_seed(0)
        separator = Separator(SeparatorSettings(2, 2, 2, 2, 32, blind=True))
        return SeparatorTrainer(separator, packs["train"], shown, by_place, 4, batch=2)

    whole, first, second = trainer(), trainer(), trainer()
    losses = list(whole.run())
    for _ in zip(range(2), first.run(), strict=False):
        pass
    first.save(tmp_path / "c.pt")
    second.load(tmp_path / "c.pt")
    list(second.run())
    assert second.losses == losses and len(losses) == 4 and not second.separator.training
    for a, b in zip(whole.separator.parameters(), second.separator.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    torch.save({}, tmp_path / "d.pt")
    with pytest.raises(InputError, match="not a checkpoint of this separator"):
        second.load(tmp_path / "d.pt")


def test_ideal_masks_and_the_factorisation_separate(packs):
    net = build(Architecture(widths=(4, 8, 8, 8), dim=8))
    shown = fill(Composer(packs["train"], 1), 40, net)
    mixes = [draw_mix(packs["train"], shown, np.random.default_rng(i)) for i in range(3)]
    s = stems(packs["train"], mixes)
    before = si_sdr(s.numpy(), s.sum(1, keepdim=True).numpy())
    for kind in ("ratio", "binary"):
        assert (si_sdr(s.numpy(), ideal_masks(s, kind).numpy()) - before).mean() > 8
    dictionaries = nmf.learn(packs["train"], components=4)
    found = nmf.separate(dictionaries, s.sum(1), [m.classes for m in mixes])
    torch.testing.assert_close(found.sum(1), s.sum(1), atol=1e-3, rtol=0)
    assert (si_sdr(s.numpy(), found.numpy()) - before).mean() > 3


def test_a_separator_that_diverges_is_not_trained_on(packs):
    shown = fill(Composer(packs["train"], 1), 16, build(Architecture()))
    separator = Separator(SeparatorSettings(2, depth=2, ngf=2))
    with torch.no_grad():
        separator.bias.fill_(torch.nan)
    with pytest.raises(InputError, match="loss at step 0 is nan"):
        train_separator(separator, packs["train"], shown, constant_conditions(torch.eye(2), by_class=False), 1, batch=2)


def test_a_separator_learns_is_saved_and_says_the_same(packs, tmp_path):
    torch.manual_seed(0)
    net = build(Architecture(widths=(4, 8, 8, 8), dim=8)).eval()
    shown = fill(Composer(packs["train"], 1), 60, net)
    separator = Separator(TINY)
    by_class = constant_conditions(torch.eye(8), True)
    fixed = [draw_mix(packs["train"], shown, np.random.default_rng([1, i])) for i in range(8)]
    sources = analyse(stems(packs["train"], fixed).flatten(0, 1), 64).magnitude.unflatten(0, (-1, 2))
    magnitude = analyse(stems(packs["train"], fixed).sum(1), 64).magnitude

    def loss():
        with torch.inference_mode():
            z = by_class(fixed, torch.zeros(0))
            return mask_loss(separator.train()(magnitude, z), sources, magnitude).item()

    before = loss()
    assert len(train_separator(separator, packs["train"], shown, by_class, 40, batch=4, learning_rate=5e-3)) == 40
    assert loss() < 0.95 * before
    separator.eval()
    mixes = [draw_mix(packs["train"], shown, np.random.default_rng(9))]
    mixture = stems(packs["train"], mixes).sum(1)
    z = visual_conditions(net, shown)(mixes, mixture)
    assert z.shape == (1, 2, 8) and torch.isfinite(z).all()
    save_separator(separator, tmp_path / "s.pt", half=True)
    again = load_separator(tmp_path / "s.pt")
    with torch.inference_mode():
        torch.testing.assert_close(again.separate(mixture, z), separator.separate(mixture, z), atol=2e-3, rtol=0)
    torch.save({}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="not a separator"):
        load_separator(tmp_path / "x.pt")
    with pytest.raises(InputError, match="shorter than one window"):
        separator.separate(torch.zeros(1, 99), z)
    with pytest.raises(InputError, match=r"expected \(batch, samples\)"):
        separator.separate(mixture, torch.zeros(1, 2, 5))
    with pytest.raises(InputError, match="rows must be a multiple"):
        SeparatorSettings(rows=100)
