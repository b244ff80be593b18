"""Scenes composed as films look, and scenes that are never seen twice."""

import numpy as np
import pytest
import torch

from avcurriculum.network.model import Architecture, build
from avcurriculum.scenes.film import FilmComposer, FilmLook
from avcurriculum.scenes.pools import Stream, fill
from avcurriculum.training.curriculum import make
from avcurriculum.training.trainer import Trainer, Training
from claimkit.errors import InputError

TINY = Architecture(widths=(4, 8, 8, 8), dim=8)


def hidden_shares(boxes, canvas):
    """Share of each box that the edge or another box hides, counted on a picture into which all boxes are painted."""
    things = np.zeros((canvas, canvas), int)
    inside = [np.s_[y0:y1, x0:x1] for x0, y0, x1, y1 in boxes.clip(0, canvas)]
    for box in inside:
        things[box] += 1
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return 1 - np.array([(things[box] == 1).sum() for box in inside]) / area


@pytest.mark.parametrize("sources", [1, 3])
def test_things_are_shown_for_the_most_part_at_many_sizes_and_stems_sum_to_the_mixture(packs, sources):
    composer, look = FilmComposer(packs["train"], sources, 64, seed=sources), FilmLook()
    sides, silent, more = [], [], []
    for i in range(60):
        scene, plan = composer.scene(i), composer._plan(i)
        sides += [side / 64 for *_, side, _ in plan.tiles]
        silent.append(len(scene.distractors))
        more.append(len(scene.stems) - sources)
        assert scene.boxes.shape == (sources, 4) and len(set(scene.classes)) == sources
        assert scene.boxes.min() >= 0 and scene.boxes.max() <= 64 and (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
        whole = np.array([(x, y, x + s, y + s) for _, _, x, y, s, _ in plan.tiles])
        assert (hidden_shares(whole, 64) <= look.hidden).all()
        np.testing.assert_allclose(scene.stems.sum(0), scene.mixture, atol=1e-6)
    assert min(sides) < 0.25 and max(sides) > (0.7 if sources == 1 else 0.5)
    assert set(silent) == {0, 1, 2} and 0.1 < np.mean(more) < 0.5 and max(more) == 1
    assert (composer.scene(7).image == FilmComposer(packs["train"], sources, 64, seed=sources).scene(7).image).all()


def test_a_thing_is_opaque_within_and_blended_at_its_border(packs):
    """Beside the same scene without the thing: the middle of the box has its colours, the border is between the two."""
    composer = FilmComposer(packs["train"], 1, 64, seed=3, look=FilmLook((0.5, 0.5), silent=0, hidden=0.0, soft=0.2))
    plan = composer._plan(0)
    group, item, x, y, side, flipped = plan.tiles[0]
    image, empty = composer.scene(0).image.astype(float), composer._image(plan._replace(depth=())).astype(float)
    tile = composer._tile(group, item, side, flipped).astype(float)
    inside = np.s_[y + side // 4 : y + 3 * side // 4, x + side // 4 : x + 3 * side // 4]
    assert (image[inside] == tile[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4]).all()
    border = np.s_[y + side // 2, x : x + side // 5]
    ends = np.stack([empty[border], tile[side // 2, : side // 5]])
    assert (image[border] >= ends.min(0) - 1).all() and (image[border] <= ends.max(0) + 1).all()
    outside = np.ones((64, 64), bool)
    outside[y : y + side, x : x + side] = False
    assert (image[outside] == empty[outside]).all()


@pytest.mark.parametrize(("sources", "hidden"), [(5, 0.5), (3, 0.1), (1, 0.9)])
def test_nothing_is_hidden_more_than_allowed_however_crowded_or_near_the_edge(packs, sources, hidden):
    """Seven things, or a bound that is hard to keep: they become smaller, and none lies outside or is painted around."""
    composer = FilmComposer(packs["train"], sources, 160, seed=5, look=FilmLook(hidden=hidden))
    for i in range(60):
        plan = composer._plan(i)
        whole = np.array([(x, y, x + s, y + s) for _, _, x, y, s, _ in plan.tiles])
        assert hidden_shares(whole, 160).max() <= hidden
        assert (whole[:, 2:] > 0).all() and (whole[:, :2] < 160).all()
    assert composer.batch(range(2)).images.shape == (2, 160, 160, 3)


def test_the_front_thing_covers_the_one_behind(packs):
    composer = FilmComposer(packs["train"], 2, 64, look=FilmLook(silent=0, soft=0.01))
    plan = composer._plan(0)
    tiles = [(g, i, 10 + 10 * n, 20, 24, False) for n, (g, i, *_) in enumerate(plan.tiles)]
    for front in (0, 1):
        image = composer._image(plan._replace(tiles=tiles, depth=[1 - front, front]))
        tile = composer._tile(*tiles[front][:2], 24, False)
        assert (image[24:40, 22 + 2 * front : 32][:, 1:-1] == tile[4:20, 12 - 8 * front : 22 - 10 * front][:, 1:-1]).all()


@pytest.mark.parametrize(
    "look", [{"size": (0.5, 0.2)}, {"size": (0.0, 0.5)}, {"silent": -1}, {"hidden": 1.5}, {"offscreen": -0.1}]
)
def test_looks_out_of_range_are_refused(look):
    with pytest.raises(InputError, match="shares within"):
        FilmLook(**look)


def test_a_stream_gives_scenes_that_never_come_again_and_is_trained_on_like_a_pool(packs):
    composer = FilmComposer(packs["train"], 1, 32, seed=1)
    stream, rng = Stream(composer), np.random.default_rng(0)
    (a, sound), (b, _) = stream.draw(rng, 4), stream.draw(rng, 4)
    start = int(np.random.default_rng(0).integers(2**31 - 4))
    want = composer.batch(range(start, start + 4))
    assert torch.equal(a, want.images) and torch.equal(sound, want.features) and not torch.equal(a, b)
    net = build(TINY)
    trainer = Trainer(net, {1: stream}, make("direct", 2, hardest=1), Training(batch=4, warmup=0))
    assert len(list(trainer.run())) == 2 and np.isfinite(trainer.history.loss).all()
    pool = fill(composer, 8, net)
    seen, _ = pool.draw(np.random.default_rng(5), 8)
    assert sorted(x.sum().item() for x in seen) == sorted(x.sum().item() for x in pool.visual)
