"""Scores of scenes whose answers are planted: every number is known."""

import numpy as np
import pytest
import torch
from torch import nn

from avcurriculum.evaluation.composed import offscreen_distances, pair_hits, scene_scores, solo_queries
from avcurriculum.network.model import Architecture, AVNet
from avcurriculum.scenes.pools import Pool

COLORS = torch.tensor([[250, 0, 0], [0, 250, 0], [0, 0, 250], [120, 120, 120]], dtype=torch.uint8)
BOXES = np.array([[0, 0, 4, 4], [4, 0, 8, 4]]), np.array([[0, 4, 8, 8]])
GREY = 3


class Planted(AVNet):
    """Positions are the colours, one a pixel; a sound of class c is the colour c."""

    def __init__(self, background):
        super().__init__(Architecture(dim=3, background=background, canvas=8), nn.Identity(), nn.Identity(), (3, 3), None)
        self.wrong = False

    def embed_image(self, images):
        return images.float() / 250

    def embed_audio(self, features):
        return features[:, :, None]


def sounds(*classes):
    """Two positions, those of the classes' colours."""
    return (COLORS[list(classes)].float() / 250)[torch.arange(2) % len(classes)]


def scenes(classes, heard=None):
    """Two things above, grey below; ``heard`` in place of the classes."""
    pictures = COLORS[GREY].expand(len(classes), 8, 8, 3).clone()
    for picture, pair in zip(pictures, classes, strict=True):
        for c, (x0, y0, x1, y1) in zip(pair, BOXES[0], strict=True):
            picture[y0:y1, x0:x1] = COLORS[c]
    audio = torch.stack([sounds(*pair) for pair in (heard or classes)])
    n = len(classes)
    return Pool(pictures, audio, audio, [BOXES[0]] * n, classes, [BOXES[1]] * n, 8)


def test_pairs_are_right_where_the_own_sound_is_nearer():
    net = Planted(1)
    assert pair_hits(net, scenes([(0, 1), (2, GREY)] * 2), 2).tolist() == [1, 1, 1, 1]
    crossed = scenes([(0, 1), (2, GREY)], heard=[(2, GREY), (0, 1)])
    assert pair_hits(net, crossed, 2).mean() < 0.6


def test_a_sound_that_is_there_is_near_and_one_of_other_scenes_is_far():
    own, other = offscreen_distances(Planted(1), scenes([(0, 1), (2, GREY)] * 2), 2)
    assert len(own) == len(other) == 8 and own.max() < 1e-3 and other.max() > 1


def test_a_solo_sound_is_found_in_its_box_and_nowhere_else():
    net, pool = Planted(1), scenes([(0, 1), (1, 2)])
    solo = {c: sounds(c)[None] for c in range(3)}
    query = solo_queries(net, pool, solo, 2)
    assert query.scene.tolist() == [0, 0, 1, 1]
    assert query.iou.tolist() == pytest.approx([1] * 4) and query.pointing.tolist() == pytest.approx([1] * 4)
    assert query.cluster_pointing.tolist() == pytest.approx([1] * 4) and query.silent.tolist() == [0] * 4
    lost = solo_queries(net, pool, {c: sounds(GREY)[None] for c in range(3)}, 2)
    assert lost.silent.tolist() == [1] * 4 and lost.iou.max() < 0.01 and lost.pointing.max() == 0


def test_a_cluster_counts_where_it_has_more_than_half():
    """Three colours in two clusters: at a low sharpness the third is shared, and does not belong to what is found."""
    net, pool = Planted(0), scenes([(0, 1)])
    net.cluster.beta = 0.5
    query = solo_queries(net, pool, {c: sounds(c)[None] for c in range(2)}, 2)
    positions = net.embed_image(pool.visual)
    v = net.centers(positions, 2)
    for j in range(2):
        nearest = torch.cdist(sounds(j)[:1], v.centers[0]).argmin()
        mask = (v.assign[0, nearest] > 0.5).view(8, 8).numpy()
        x0, y0, x1, y1 = BOXES[0][j]
        truth = np.zeros((8, 8), bool)
        truth[y0:y1, x0:x1] = True
        assert query.iou[j] == pytest.approx((mask & truth).sum() / (mask | truth).sum())


def test_the_scene_is_both_boxes():
    found = scene_scores(Planted(1), scenes([(0, 1)]), 2)
    assert found == {"median": [1.0], "fixed": [1.0]}
