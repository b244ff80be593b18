"""The network, its curriculum, its training and its checkpoints."""

import numpy as np
import pytest
import torch

from avcurriculum.evaluation.composed import disjoint_partners, pair_hits, scene_scores, solo_queries
from avcurriculum.network.backbones import MobileNet, YAMNet, load_weights
from avcurriculum.network.baselines import CapsuleNet, Capsules, Pooled
from avcurriculum.network.cluster import Clusters
from avcurriculum.network.model import Architecture, build, dense_map, minima, read_out
from avcurriculum.scenes.composer import LEVELS, Composer
from avcurriculum.scenes.pools import fill, solo_sounds
from avcurriculum.training.counting import fit_counter, regroup
from avcurriculum.training.curriculum import ORDERS, Curriculum, Stage, make
from avcurriculum.training.trainer import Trainer, Training, load_model, save_model, train
from claimkit.errors import InputError

TINY = Architecture(widths=(4, 8, 8, 8), dim=8)


@pytest.fixture(scope="module")
def pools(packs):
    net = build(TINY)
    return {k: fill(Composer(packs["train"], LEVELS[k], seed=k), 24, net) for k in (1, 2, 3)}


def test_minima_by_hand_and_the_distance_is_the_mean_of_their_squares():
    v = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]])
    a = torch.tensor([[[0.0, 1.0], [3.0, 4.0]]])
    torch.testing.assert_close(minima(v, a), torch.tensor([[[1.0, 1e-5]]]))
    assert build(Architecture(dim=2)).distance(v, a).item() == pytest.approx(0.5)


def test_a_sound_is_where_its_nearest_cluster_is():
    centers = torch.tensor([[[0.0, 0.0], [1.0, 0.0]]])
    assign = torch.tensor([[[0.9, 0.1, 0.2, 0.0], [0.1, 0.9, 0.8, 1.0]]])
    found = read_out(Clusters(centers, assign), torch.tensor([[[0.9, 0.0], [0.1, 0.0]]]), (2, 2))
    assert found.assign.tolist() == [[1, 0]]
    torch.testing.assert_close(found.maps[0, 0], torch.tensor([[0.1, 0.9], [0.8, 1.0]]))
    torch.testing.assert_close(found.scene[0], torch.tensor([[0.9, 0.9], [0.8, 1.0]]))
    assert read_out(Clusters(centers, assign), torch.zeros(1, 1, 2), (2, 2), 6).maps.shape == (1, 1, 6, 6)


def test_localize_match_and_a_number_of_clusters_beyond_the_positions(pools):
    net = build(TINY).eval()
    images, sounds = pools[2].visual[:3], pools[2].audio[:3]
    found = net.localize(images, sounds, 2, size=64)
    assert found.maps.shape == (3, 2, 64, 64) and found.maps.min() >= 0 and found.maps.max() <= 1 + 1e-5
    assert net.match(images, sounds[:2], 1).shape == (3, 2)
    dense = dense_map(net.embed_image(images), torch.zeros(3, 1, 8))
    torch.testing.assert_close(dense.amax(), torch.tensor(1.0).neg().exp())
    with pytest.raises(InputError, match="K = 65 clusters of 64 positions"):
        net.localize(images, sounds, 1, k_visual=65)


def test_backbones_have_the_strides_they_promise(tmp_path):
    assert MobileNet()(torch.zeros(1, 3, 64, 64)).shape == (1, 320, 4, 4)
    assert YAMNet()(torch.zeros(1, 1, 98, 64)).shape == (1, 1024, 7, 4)
    assert YAMNet(dilated=False)(torch.zeros(1, 1, 98, 64)).shape == (1, 1024, 4, 2)
    net = build(Architecture("resnet18", canvas=64))
    assert net.embed_image(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)).shape == (1, 4, 4, 64)
    assert net.embed_audio(torch.zeros(1, 201, 64)).shape == (1, 13, 4, 64)
    torch.save({"x": torch.zeros(1)}, tmp_path / "w.pt")
    for path, sentence in (
        (tmp_path / "w.pt", "does not hold the weights of MobileNetV2"),
        (tmp_path / "no.pt", "does not exist"),
    ):
        with pytest.raises(InputError, match=sentence):
            MobileNet(path)
    (tmp_path / "bad.pt").write_bytes(b"?")
    with pytest.raises(InputError, match="not a file of weights"):
        load_weights(net, tmp_path / "bad.pt")
    with pytest.raises(InputError, match="need the weight files"):
        build(Architecture("pretrained"))


def test_orders_have_the_same_number_of_steps_and_the_stages_they_say():
    assert {make(order, 101).steps for order in ORDERS} == {101}
    assert [s.sources for s in make("hard_to_easy", 100).stages] == [(3,), (2,), (1,)]
    assert make("mixed", 10).stages[0].sources == (1, 2, 3)
    with pytest.raises(InputError, match="'random' is none of"):
        make("random", 10)  # type: ignore[arg-type]


def test_a_stage_ends_on_a_plateau(pools):
    stage = Stage((1,), 40, patience=2)
    assert not stage.plateau([4, 3, 2, 1]) and stage.plateau([1, 1, 1, 1]) and not stage.plateau([1, 1, 1])
    history = train(
        build(TINY), pools, Curriculum((Stage((1,), 500, patience=3), Stage((2,), 2))), Training(batch=8, warmup=0)
    )
    assert history.stage_ends[0] < 500 and len(history.loss) == history.stage_ends[0] + 2


@pytest.mark.parametrize("loss", ["infonce", "contrastive", "maxmargin"])
def test_training_is_deterministic_and_the_loss_falls(pools, loss):
    settings = Training(batch=16, learning_rate=5e-3, warmup=2, loss=loss, scale=3.0)
    runs = [train(build(TINY), pools, make("easy_to_hard", 24), settings).loss for _ in range(2)]
    assert runs[0] == runs[1]
    assert np.mean(runs[0][6:12]) < np.mean(runs[0][:4])


def test_a_resumed_run_equals_one_that_was_not_interrupted(pools, tmp_path):
    def trainer():
        return Trainer(build(TINY), pools, make("easy_to_hard", 12), Training(batch=8, validate_every=4), lambda net: 0.5)

    whole = trainer()
    assert len(list(whole.run())) == 12
    first = trainer()
    for _, _ in zip(range(7), first.run(), strict=False):
        pass
    first.save(tmp_path / "c.pt")
    second = trainer()
    second.load(tmp_path / "c.pt")
    list(second.run())
    assert second.history.loss == whole.history.loss
    assert [v[0] for v in second.history.validation] == [4, 8, 12]
    for a, b in zip(second.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    torch.save({}, tmp_path / "d.pt")
    with pytest.raises(InputError, match="not a checkpoint"):
        second.load(tmp_path / "d.pt")


def test_a_saved_model_says_the_same(pools, tmp_path):
    net = build(TINY, seed=3).eval()
    save_model(net, tmp_path / "m.pt")
    again = load_model(tmp_path / "m.pt")
    images, sounds = pools[1].visual[:2], pools[1].audio[:2]
    torch.testing.assert_close(again.match(images, sounds), net.match(images, sounds))
    torch.save({"weights": {}}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="not a model of avcurriculum"):
        load_model(tmp_path / "x.pt")


def test_settings_and_pools_that_cannot_be_trained_are_refused(pools):
    with pytest.raises(InputError, match="batch = 1"):
        Training(batch=1)
    with pytest.raises(InputError, match="a pool of at least 8 scenes with 4"):
        Trainer(build(TINY), pools, make("direct", 5, hardest=4), Training(batch=8))
    with pytest.raises(InputError, match="a stage needs"):
        Stage((), 1)


def test_evaluation_has_an_entry_a_query_and_its_control_is_chance(packs, pools):
    net = build(TINY).eval()
    solo = solo_sounds(Composer(packs["train"], 1), net)
    query = solo_queries(net, pools[3], solo, 3)
    assert len(query.iou) == 3 * len(pools[3]) and (np.bincount(query.scene) == 3).all()
    assert all(not set(pools[3].classes[i]) & set(pools[3].classes[j]) for i, j in disjoint_partners(pools[3]))
    assert 0.1 < pair_hits(net, pools[3], 3).mean() < 0.9
    assert len(scene_scores(net, pools[3], 3)["median"]) == len(pools[3])


def test_features_of_a_frozen_backbone_stand_for_its_pictures(packs):
    net = build(TINY).eval()
    composer = Composer(packs["val"], 2)
    pixels, features = fill(composer, 4, net), fill(composer, 4, net, backbones=True)
    bare = net.without_backbones()
    torch.testing.assert_close(bare.embed_image(features.visual), net.embed_image(pixels.visual), atol=5e-3, rtol=0)
    torch.testing.assert_close(bare.embed_audio(features.audio), net.embed_audio(pixels.audio), atol=5e-3, rtol=0)


def test_capsules_assign_every_position_and_baselines_are_trained(pools):
    u = torch.randn(2, 9, 8, generator=torch.Generator().manual_seed(0))
    capsules, assign = Capsules(8, clusters=4)(u)
    torch.testing.assert_close(assign.sum(1), torch.ones(2, 9))
    assert capsules.norm(dim=-1).max() <= 1
    for make_head in (Pooled, lambda net: Pooled(net, attention=True), CapsuleNet):
        net = build(TINY)
        head = make_head(net)
        history = train(net, pools, make("direct", 4), Training(batch=8), head=head)
        assert np.isfinite(history.loss).all()
        v, a = net.embed_image(pools[1].visual[:2]), net.embed_audio(pools[1].audio[:2])
        assert head.maps(v, a).shape == (2, 8, 8) and head.similarity(v, a).abs().max() <= 1 + 1e-5


def test_sources_are_counted_from_the_sound(packs):
    net = build(TINY)
    train_pools = {k: fill(Composer(packs["train"], LEVELS[k], seed=k), 120, net) for k in (1, 3)}
    counter = fit_counter(train_pools)
    confusion = counter.confusion({k: fill(Composer(packs["val"], LEVELS[k], seed=k), 60, net) for k in (1, 3)})
    assert np.trace(confusion) > 0.7 * confusion.sum()
    groups = regroup(train_pools, counter, least=8)
    assert sum(len(p) for p in groups.values()) == 240
    with pytest.raises(InputError, match="at least two different"):
        fit_counter({1: train_pools[1]})
