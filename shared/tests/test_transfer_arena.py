"""The arena: rivals by their formulas, splits that use every image, a source measured again, sets told by their digest."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy, log_softmax, softmax

from claimkit.assets import Assets
from claimkit.errors import InputError, NotAvailableError
from claimkit.experiment import Job
from claimkit.transfer.arena import strokes
from claimkit.transfer.arena.folders import SETS, FolderSet, above
from claimkit.transfer.arena.ring import measured_again, shots
from claimkit.transfer.arena.rivals import BSS, CoTuning, StochNorm2d, stochnorm
from claimkit.transfer.arena.tasks import HALF, SMOKE
from claimkit.transfer.baselines import penultimate
from claimkit.transfer.data import View, from_arrays, from_folder
from claimkit.transfer.networks import SmallCNN, create, reinitialise, replace_head
from claimkit.transfer.regularizers import Step

PLAIN = View(8, flip=False, mean=(0.0,), std=(1.0,))


@pytest.fixture
def images():
    g = torch.Generator().manual_seed(0)
    return from_arrays(torch.rand(60, 1, 8, 8, generator=g) * 1.0, torch.arange(60) % 3)


@pytest.fixture
def network():
    return reinitialise(SmallCNN(1, (4, 6), 5), 0).eval()


def step(model, x, y):
    return Step(model, dict(model.named_parameters()), "fc", cross_entropy(model(x), y), x, y)


def test_batch_spectral_shrinkage_is_the_smallest_singular_value_squared(images, network):
    x, y = images.x[:9], images.y[:9]
    features = penultimate(network, x)
    for k in (1, 3):
        penalty = BSS(0.5, k)
        with penalty.watch(network):
            value = penalty.penalty(step(network, x, y))
        assert value.item() == pytest.approx(
            0.5 * np.square(np.linalg.svd(features.detach().numpy())[1][-k:]).sum(), rel=1e-4
        )
    with pytest.raises(InputError, match="the head saw no input"):
        penalty.features()


def test_co_tuning_asks_for_the_source_classes_that_go_with_the_target_class(images, network):
    model, x, y = replace_head(reinitialise(SmallCNN(1, (4, 6), 5), 1), 3).eval(), images.x[:9], images.y[:9]
    penalty = CoTuning(network, images, PLAIN, 0.7)
    answers = softmax(network(images.x), 1)
    relation = torch.stack([answers[images.y == c].mean(0) for c in range(3)])
    torch.testing.assert_close(penalty.relation, relation.detach())
    with penalty.watch(model):
        value = penalty.penalty(step(model, x, y))
    expected = -0.7 * (relation[y] * log_softmax(network.fc(penultimate(model, x)), 1)).sum(1).mean()
    torch.testing.assert_close(value, expected)
    value.backward()
    assert model.conv1.weight.grad.abs().sum() > 0 and network.fc.weight.grad is None


def test_stochnorm_takes_each_channel_from_the_batch_or_from_the_running_statistics(images, network):
    with torch.no_grad():
        for m in network.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean += 0.3
    x = images.x[:16]
    before = network(x)
    plain = network.bn1
    changed = stochnorm(network)
    assert isinstance(changed.bn1, StochNorm2d) and torch.equal(changed(x), before)
    maps = changed.conv1(x).detach()
    moving = plain.eval()(maps)
    batch = nn.BatchNorm2d(4)(maps)
    torch.manual_seed(1)
    mixed = changed.bn1.train()(maps)
    by_moving = torch.tensor([torch.allclose(mixed[:, c], moving[:, c], atol=1e-5) for c in range(4)])
    by_batch = torch.tensor([torch.allclose(mixed[:, c], batch[:, c], atol=1e-5) for c in range(4)])
    assert (by_moving ^ by_batch).all() and by_moving.any() and by_batch.any()
    torch.testing.assert_close(changed.bn1.running_mean, 0.9 * plain.running_mean + 0.1 * maps.mean((0, 2, 3)))
    with pytest.raises(InputError, match="no BatchNorm2d"):
        stochnorm(nn.Linear(2, 2))


def test_every_image_trains_validates_or_tests_and_equal_seeds_split_alike(images):
    marked = from_arrays(torch.arange(60.0).view(60, 1, 1, 1), images.y)
    split, again, other = shots(marked, 3, 5), shots(marked, 3, 5), shots(marked, 4, 5)
    parts = [p.x.flatten() for p in (split.train, split.validation, split.test)]
    assert sorted(torch.cat(parts).tolist()) == list(range(60)) and [len(p) for p in parts] == [15, 12, 33]
    assert torch.equal(parts[0], again.train.x.flatten()) and not torch.equal(parts[0], other.train.x.flatten())
    assert [len(p) for p in (shots(marked, 0, 5, most=8).validation, shots(marked, 0, 5, most=8).test)] == [6, 18]
    assert torch.equal(torch.bincount(split.train.y), torch.tensor([5, 5, 5]))
    with pytest.raises(InputError, match="class '0' has 20 images: 19"):
        shots(marked, 0, 19)


def test_a_source_measured_again_begins_where_a_student_in_training_does(images, network):
    x = images.x * 3 + 1
    again = measured_again(network, x)
    torch.testing.assert_close(again.bn1.running_mean, network.conv1(x).mean((0, 2, 3)).detach())
    torch.testing.assert_close(again(x), again.train()(x), rtol=1e-2, atol=1e-2)
    assert again.bn1.momentum == 0.1 and not torch.equal(again.bn1.running_mean, network.bn1.running_mean)


@pytest.fixture
def pictures(tmp_path):
    for name in ("ant", "bee", "nothing"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (9, 9), (40 * i, 0, 0)).save(tmp_path / "set" / name / f"{i}.png")
    lines = [
        f"{n}/{i}.png {hashlib.sha256((tmp_path / 'set' / n / f'{i}.png').read_bytes()).hexdigest()}\n"
        for n in ("ant", "bee")
        for i in range(3)
    ]
    return tmp_path, hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_folder_is_the_recorded_set_or_refused(pictures):
    folder, digest = pictures
    known = FolderSet("set", 2, 6, digest, without=("nothing",))
    assert known.find(Assets(folder)) == (folder / "set", ("ant", "bee"))
    assert from_folder(folder / "set", 8, only=("bee", "ant")).classes == ("ant", "bee")
    with pytest.raises(InputError, match="no class folder 'wasp'"):
        from_folder(folder / "set", 8, only=("wasp", "ant"))
    Image.new("RGB", (9, 9), (1, 1, 1)).save(folder / "set" / "bee" / "0.png")
    with pytest.raises(InputError, match="holds 6 pictures of 2 classes with digest"):
        known.find(Assets(folder))
    with pytest.raises(NotAvailableError, match="'set'"):
        known.find(Assets(folder / "set"))


def test_a_set_may_come_in_parts_that_each_hold_all_classes(pictures):
    folder, _ = pictures
    for part in ("train", "test", "augmented"):
        for name in ("ant", "bee"):
            (folder / "flowers" / part / name).mkdir(parents=True)
            Image.new("RGB", (9, 9), (9, len(part), 0)).save(folder / "flowers" / part / name / f"{part}.png")
    files = [f"{part}/{n}/{part}.png" for part in ("test", "train") for n in ("ant", "bee")]
    lines = [f"{f} {hashlib.sha256((folder / 'flowers' / f).read_bytes()).hexdigest()}\n" for f in files]
    known = FolderSet("flowers", 2, 4, hashlib.sha256("".join(lines).encode()).hexdigest(), parts=("train", "test"))
    place, names = known.find(Assets(folder))
    images = known.read(place, 8, names)
    assert images.y.tolist() == [0, 1, 0, 1] and images.x[:, 1, 0, 0].tolist() == [5, 5, 4, 4]


def test_a_network_above_its_stem_gives_what_the_whole_one_gives():
    network = reinitialise(create("squeezenet1_1"), 0).train()
    pictures, view = from_arrays(torch.rand(5, 3, 72, 72), torch.arange(5) % 2), View(64)
    rest, maps = above(network, 6, pictures, view, rows=2)
    assert network.training and len(network.features) == 13 and next(iter(rest.features.named_children()))[0] == "6"
    torch.testing.assert_close(rest.eval()(maps.x), network.eval()(view.test(pictures.x)))
    assert not maps.x.requires_grad and torch.equal(maps.y, pictures.y) and rest.features[0] is not network.features[6]


def test_strokes_are_the_same_everywhere_and_differ_by_seed():
    drawn = strokes.alphabet(3, 4, strokes.BRUSH, 5)
    assert drawn.x.shape == (12, 1, 16, 16) and drawn.classes == ("0", "1", "2")
    assert strokes.digest(drawn) == strokes.digest(strokes.alphabet(3, 4, strokes.BRUSH, 5))
    assert strokes.digest(drawn) != strokes.digest(strokes.alphabet(3, 4, strokes.BRUSH, 6))
    inside = strokes.alphabet(20, 10, strokes.Hand(noise=0), 0).x.mean((0, 1))
    assert inside[6:10, 6:10].mean() > 3 * inside[0].mean()  # ink is in the middle


def test_a_seed_of_the_drawn_task_is_told_in_the_record(monkeypatch):
    monkeypatch.setattr(strokes, "source", lambda: reinitialise(SmallCNN(1, (4, 6), 40), 0).eval())
    job = Job(2)
    ring = SMOKE.ring(job)
    assert set(job.assets.used) == {"strokes"} and len(ring.split.train) == 50 and ring.settings.seed == 2
    assert ring.network().fc.weight.shape == (10, 6)


def test_targets_have_the_classes_that_their_source_has_not_learnt(tmp_path, monkeypatch):
    names = [f"n{i:02d}" for i in range(12)]
    lines = []
    for name in names:
        (tmp_path / "tiny" / name).mkdir(parents=True)
        for i in range(4):
            file = tmp_path / "tiny" / name / f"{i}.png"
            Image.new("RGB", (64, 64), (60 * i, 0, 0)).save(file)
            lines.append(f"{name}/{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n")
    digest = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    known = FolderSet("tiny", 12, 48, digest, learnt=6, side=64)
    learnt, others = known.halves(names[::-1])
    assert sorted(learnt + others) == names and (learnt, others) == known.halves(names) and learnt[0] == "n02"
    monkeypatch.setitem(SETS, "tiny-imagenet", known)
    (tmp_path / "weights").mkdir()
    torch.save(create("small-resnet").state_dict(), tmp_path / "weights" / "small-resnet_tiny-imagenet.pt")
    job = Job(3, assets=Assets(tmp_path))
    ring = replace(HALF, classes=3, per_class=2).ring(job)
    assert set(ring.split.train.classes) <= set(others) and ring.task == "tiny-imagenet, 2 a class"
    assert ring.split.train.x.shape == (6, 64, 16, 16) and set(job.assets.used) == {
        "tiny",
        "weights/small-resnet_tiny-imagenet.pt",
    }
    assert ring.network()(ring.split.train.x).shape == (6, 3)
