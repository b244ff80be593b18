"""What the verb train promises: the best step is kept, chance is called chance, scenes are changed and pairs are not."""

import numpy as np
import pytest
import torch

from avcurriculum.audio import REFERENCE, SMALL, MelSpec
from avcurriculum.network.model import Architecture, build
from avcurriculum.scenes.composer import Composer
from avcurriculum.scenes.pools import Stream, fill
from avcurriculum.training.augment import GAIN_DB, augment_pictures, augment_sounds
from avcurriculum.training.curriculum import make
from avcurriculum.training.trainer import History, Trainer, Training
from avcurriculum.verbs.training import verdict
from claimkit.errors import InputError

TINY = Architecture(widths=(4, 8, 8, 8), dim=8)


def test_the_first_of_the_best_steps_is_kept_and_survives_a_checkpoint(packs, tmp_path):
    pools = {1: fill(Composer(packs["train"], 1), 16, build(TINY))}
    scores, seen = [0.3, 0.9, 0.9, 0.1], []

    def validate(net):
        seen.append({k: v.clone() for k, v in net.state_dict().items()})
        return scores[len(seen) - 1]

    def trainer(keep):
        settings = Training(batch=8, validate_every=2, warmup=0, keep_best=keep)
        return Trainer(build(TINY), pools, make("direct", 8, hardest=1), settings, validate)

    whole = trainer(True)
    list(whole.run())
    assert whole.best is not None and whole.best[:2] == (0.9, 4)
    assert all(torch.equal(v, seen[1][k]) for k, v in whole.model.state_dict().items())
    seen.clear()
    first, second = trainer(True), trainer(True)
    for _ in zip(range(5), first.run(), strict=False):
        pass
    first.save(tmp_path / "c.pt")
    second.load(tmp_path / "c.pt")
    list(second.run())
    assert all(torch.equal(v, whole.best[2][k]) for k, v in second.model.state_dict().items())
    seen.clear()
    last = trainer(False)
    list(last.run())
    assert last.best is None and all(torch.equal(v, seen[-1][k]) for k, v in last.model.state_dict().items())


def test_a_training_that_diverges_stops_in_one_sentence_and_keeps_its_weights(packs):
    net = build(TINY)
    pools = {1: fill(Composer(packs["train"], 1), 16, net)}
    trainer = Trainer(net, pools, make("direct", 8, hardest=1), Training(batch=8, warmup=0))
    run = trainer.run()
    next(run)
    kept = {k: v.clone() for k, v in net.visual_projection.state_dict().items()}
    with torch.no_grad():
        net.audio_projection[1].weight.fill_(torch.nan)
    with pytest.raises(InputError, match=r"loss at step 1 is nan: training has diverged"):
        next(run)
    assert all(torch.equal(v, kept[k]) for k, v in net.visual_projection.state_dict().items())


@pytest.mark.parametrize(
    ("scores", "pairs", "said"),
    [
        ([0.18, 0.47, 0.47, 0.12], 17, "NOTHING WAS LEARNED"),
        ([0.6] * 20, 40, "NOTHING WAS LEARNED"),
        ([0.5, 0.85, 0.8], 40, "best validation pair accuracy 0.850 at step 100"),
        ([1.0], 4, "NOTHING WAS LEARNED"),
        ([0.9], 0, "is not known"),
    ],
)
def test_chance_is_called_chance(scores, pairs, said):
    history = History(validation=[(50 * (i + 1), 0.0, s) for i, s in enumerate(scores)])
    assert said in verdict(history, pairs)


def test_pictures_are_flipped_and_cropped_and_keep_their_colours():
    x = torch.linspace(0, 255, 64).to(torch.uint8)
    images = x[None, None, :, None].expand(200, 64, 64, 3).contiguous()
    out = augment_pictures(images, np.random.default_rng(0))
    assert out.shape == images.shape and out.dtype == torch.uint8
    slope = (out[:, 32, -1, 0].int() - out[:, 32, 0, 0].int()).abs().float() / 255
    assert slope.min() > 0.65 and slope.max() <= 1 and 0.8 < slope.mean() < 0.9
    flipped = (out[:, 32, 0, 0] > out[:, 32, -1, 0]).float().mean()
    assert 0.4 < flipped < 0.6
    assert torch.equal(out, augment_pictures(images, np.random.default_rng(0)))


@pytest.mark.parametrize("spec", [SMALL, REFERENCE, MelSpec(power=1.0)])
def test_sounds_get_a_gain_as_the_front_end_has_it_and_masks_at_their_mean(spec):
    mel = torch.randn(300, 50, 40, generator=torch.Generator().manual_seed(0))
    out = augment_sounds(mel, spec, np.random.default_rng(0))
    shift = (out - mel).flatten(1).median(1).values
    unit = 1.0 if isinstance(spec.log, str) else spec.power * np.log(10) / 20
    assert 0.95 * GAIN_DB * unit < shift.abs().max() <= 1.01 * GAIN_DB * unit
    changed = ((out - mel - shift[:, None, None]).abs() > 1e-4).float().mean((1, 2))
    assert 0.1 < changed.mean() < 0.3 and changed.max() <= 0.37


def test_bfloat16_is_a_matter_of_training_and_near_to_full_precision(packs):
    net, stream = build(TINY), Stream(Composer(packs["train"], 1))
    pictures, sounds = stream.draw(np.random.default_rng(0), 8)
    for embed, x in ((net.embed_image, pictures), (net.embed_audio, sounds)):
        whole, rough = embed(x), embed(x, True)
        assert whole.dtype == rough.dtype == torch.float32 and not torch.equal(whole, rough)
        assert (whole * rough).sum(-1).mean() > 0.99  # of unit vectors: 1 - cosine is of the order of 2^-8
    runs = [
        Trainer(build(TINY), {1: stream}, make("direct", 9, hardest=1), Training(batch=8, warmup=0, bf16=half))
        for half in (False, True)
    ]
    types: list[torch.dtype] = []
    for part in (runs[1].model.visual, runs[1].model.audio):
        part[1].register_forward_hook(lambda *a: types.append(a[2].dtype))
    losses = [list(r.run()) for r in runs]
    assert types == [torch.bfloat16] * 18
    runs[1].model.match(pictures, sounds)
    assert types[18:] == [torch.float32] * 2, "what is trained is used in full precision"
    assert losses[0] != losses[1] and losses[0][0] == pytest.approx(losses[1][0], rel=0.02)
    assert all(p.dtype == torch.float32 for p in runs[1].model.parameters())
    assert runs[1].model.visual[1].weight.is_contiguous(memory_format=torch.channels_last)
