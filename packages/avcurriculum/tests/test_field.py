"""A localiser on annotated pictures: maps with known answers, negatives, the ranking of its own sounds."""

import numpy as np
import pytest
import torch

from avcurriculum import audio, metrics
from avcurriculum.evaluation import field
from avcurriculum.evaluation.annotations import Annotated
from avcurriculum.evaluation.clips import read_samples
from avcurriculum.evaluation.field import Sample
from avcurriculum.network.cluster import Clusters
from avcurriculum.network.model import Architecture, build
from avcurriculum.video import media
from avcurriculum.video.apply import square
from claimkit.errors import InputError

TINY = Architecture(widths=(4, 8, 8, 8), dim=8)
LEFT, RIGHT = np.array([[0, 0, 0.5, 1.0]]), np.array([[0.5, 0, 1, 1.0]])


def looked(entry, heard, left=(1.0, 0.0), right=(0.0, 1.0)):
    """A picture whose left half is one cluster and whose right half is another."""
    assign = torch.zeros(1, 2, 8, 8)
    assign[:, 0, :, :4] = assign[:, 1, :, 4:] = 1
    clusters = Clusters(torch.tensor([[left, right]]), assign.flatten(2))
    return field._Looked(entry, clusters, torch.tensor([heard]), np.ones((224, 224)), np.eye(224), (8, 8))


@pytest.fixture
def planted(monkeypatch):
    """Three pictures: the sound is found twice, and is in the wrong half once; the last two ask one picture."""
    pairs = [
        looked(Annotated("a", (LEFT,), ("x",)), (0.9, 0.0)),
        looked(Annotated("b_x", (RIGHT,), ("y",), group="b"), (0.0, 0.8)),
        looked(Annotated("b_y", (LEFT,), ("z",), group="b"), (0.0, 0.7)),
    ]
    queue = iter(pairs)
    monkeypatch.setattr(field, "_look", lambda net, sample: next(queue))
    monkeypatch.setattr(field, "_hear", lambda net, wave: torch.tensor([[5.0, 5.0]]))
    return pairs


def test_known_maps_give_known_numbers(planted):
    scores = field.measure(build(TINY).eval(), [None] * 3)
    model, center = scores.localization["model"], scores.localization["center"]
    assert model["cIoU median"] == pytest.approx(2 / 3, abs=0.02) and model["cIoU@0.5 median"] == pytest.approx(2 / 3)
    assert model["pointing"] == pytest.approx(2 / 3, abs=0.02) and model["IIoU"] == 0
    assert center["cIoU@0.5 median"] == 0 and center["pointing"] == pytest.approx(0.5)
    assert scores.localization["whole picture"]["cIoU median"] == pytest.approx(0.5)
    assert [row["name"] for row in scores.rows] == ["a", "b_x", "b_y"] and scores.rows[2]["median"] < 0.1
    assert scores.sweep["fixed"][0.5][1] == pytest.approx(2 / 3)
    for name, row in scores.localization.items():
        assert np.mean(scores.paired[name]["cIoU"]) == pytest.approx(row["cIoU median"])
        assert np.mean(scores.paired[name]["pointing"]) == pytest.approx(row["pointing"])
    asked = {"b": scores.paired["center"]["cIoU"][1:]}
    assert center["IAUC"] == pytest.approx(metrics.interactive_auc(asked)), "at the median cut"
    assert center["cIoU median"] != pytest.approx(center["cIoU max"]), "the cut of the paired values is told apart"


def test_a_prior_of_things_is_a_candidate_and_has_its_share_of_the_model(planted, monkeypatch):
    """What is seen most is the right half, whatever sounds: alone it is right once in three."""
    things = np.zeros((224, 224))
    things[:, 112:] = 1
    queue = iter([x._replace(things=things) for x in planted] * 2)
    monkeypatch.setattr(field, "_look", lambda net, sample: next(queue))
    net = build(TINY).eval()
    none, all_ = (field.measure(net, [None] * 3, prior=p) for p in (0.0, 1.0))
    assert none.localization["things"]["cIoU@0.5 median"] == pytest.approx(1 / 3)
    assert all_.localization["model"] == all_.localization["things"] and none.localization["model"]["pointing"] > 0.6
    assert all_.listening["silence"]["lit area"] == none.listening["silence"]["lit area"] == 0
    with pytest.raises(InputError, match=r"prior = 1.5: expected a share"):
        field.measure(net, [], prior=1.5)


def test_a_sound_that_is_far_from_everything_is_told_by_its_confidence(planted):
    listening = field.measure(build(TINY).eval(), [None] * 3).listening
    assert set(listening) == {"silence", "noise", "off-screen", "own sound"}
    for kind in ("silence", "noise"):
        assert listening[kind]["max-F1"] == pytest.approx(2 * (2 / 3) * 1 / (2 / 3 + 1)), (
            "all are found, one in the wrong place"
        )
        assert listening[kind]["LocAcc"] == pytest.approx(2 / 3)
        assert listening[kind]["lit area"] == 0 and listening[kind]["area score"] == 1
        right = listening[kind]["cIoU at threshold"]
        assert 0 < right < 1 and listening[kind]["F"] == pytest.approx(2 * right / (right + 1))
    assert 0 < listening["silence"]["threshold"] < np.exp(-0.1)


def test_what_is_less_sure_than_negatives_is_not_lit_and_other_sounds_are_those_of_other_classes(planted, monkeypatch):
    """Noise is nearer to a thing than any own sound: above its threshold nothing is left of the pictures' own maps."""
    told, real = [], metrics.detections
    monkeypatch.setattr(metrics, "detections", lambda *a: told.append(a) or real(*a))
    monkeypatch.setattr(field, "_hear", lambda net, wave: torch.tensor([[0.95, 0.0]]))
    noise = field.measure(build(TINY).eval(), [None] * 3).listening["noise"]
    assert noise["threshold"] == pytest.approx(np.exp(-0.05)) and noise["cIoU at threshold"] == noise["F"] == 0
    assert told[0][1][:3] == pytest.approx(np.exp([-0.1, -0.2, -0.3])), "how sure it is of its own sounds"
    others = [o[0].tolist() for o in field._others(planted)]
    np.testing.assert_allclose(others, [[0.0, 0.8], [0.9, 0.0], [0.9, 0.0]], rtol=1e-6)


def test_an_entry_without_a_box_counts_as_nothing_and_a_negative_is_no_positive(monkeypatch):
    none = (np.zeros((0, 4)),)
    pairs = [
        looked(Annotated("a", (LEFT,), ("x",)), (0.9, 0.0)),
        looked(Annotated("e", none, ("x",)), (0.9, 0.0)),
        looked(Annotated("n", none, sound="z", negative=True), (0.0, 0.1)),
    ]
    queue = iter(pairs)
    monkeypatch.setattr(field, "_look", lambda net, sample: next(queue))
    monkeypatch.setattr(field, "_hear", lambda net, wave: torch.tensor([[5.0, 5.0]]))
    scores = field.measure(build(TINY).eval(), [None] * 3)
    assert scores.localization["model"]["cIoU median"] == pytest.approx(0.5, abs=0.02) and len(scores.rows) == 2
    assert "listed" in scores.listening and "off-screen" not in scores.listening, "both pictures show one class"
    with pytest.raises(InputError, match="nothing can be measured"):
        field.measure(build(TINY).eval(), [])


def test_the_own_sound_is_ranked_among_all():
    net = build(TINY).eval()
    own = [looked(Annotated(str(i), (LEFT,)), h) for i, h in enumerate(((0.9, 0.0), (5.0, 5.0), (0.5, 0.0)))]
    # to every picture the sounds are at 0.01, large, 0.25: ranks of the own ones 0, 2 and 1 of two others
    assert field.own_rank(net, own) == pytest.approx((0 + 1 + 0.5) / 3)
    assert field.own_rank(net, own[:1] * 4) == pytest.approx(0.5), "ties count half"


@torch.no_grad()
def test_a_picture_and_its_sound_are_looked_at_as_the_command_does():
    net = build(TINY).eval()
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    wave = (0.1 * np.random.default_rng(1).standard_normal(32_000)).astype(np.float32)
    seen = field._look(net, Sample(Annotated("a", (LEFT,)), image, wave))
    found = net.localize(image[None], audio.log_mel(torch.from_numpy(wave)[None]), 1, size=224)
    map_, absolute = field._map(seen, seen.heard)
    np.testing.assert_allclose(map_, found.maps[0, 0], atol=1e-5)
    np.testing.assert_allclose(absolute, map_ * np.exp(-float(found.dist[0, 0])), atol=1e-5)
    assert metrics.confidence(absolute) <= 1


def test_a_video_is_looked_at_in_its_middle_and_heard_around_it(clip):
    """The clip lasts three seconds, its last is silent: the two around the middle have sound for one and a half."""
    net, missing = build(TINY).eval(), []
    (sample,) = read_samples([Annotated("clip", (LEFT,))], clip.parent, net, missing)
    (middle,) = media.sample_frames(clip, [1.5])
    assert torch.equal(sample.image, square(middle, 64)) and not missing
    rate = float(media.read_clip(clip).rate)
    (early,) = read_samples([Annotated("clip", (LEFT,), frame=round(rate / 2))], clip.parent, net, missing)
    (half,) = media.sample_frames(clip, [round(rate / 2) / rate])
    assert torch.equal(early.image, square(half, 64)) and not torch.equal(early.image, sample.image), "frames are counted"
    assert audio.rms(sample.wave) == pytest.approx(0.1), "as loud as in training"
    assert audio.rms(sample.wave[:24_000]) > 0.05 and audio.rms(sample.wave[25_000:]) < 0.005
