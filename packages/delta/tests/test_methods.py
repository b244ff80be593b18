"""The six methods and the one call that chooses everything."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from claimkit.errors import InputError
from claimkit.transfer.arena.curves import chosen, curves, doubts, seeds_needed
from claimkit.transfer.data import View, from_arrays
from claimkit.transfer.loop import FineTuning
from claimkit.transfer.networks import CifarResNet, SmallCNN, reinitialise
from claimkit.transfer.tasks import Task
from delta import fit
from delta.comparison import compare_task
from delta.methods import ALPHAS, regularizer

VIEW = View(8, flip=False, mean=(0,), std=(1,))


@pytest.fixture
def images():
    y = torch.arange(40) % 2
    return from_arrays(torch.randn(40, 1, 8, 8) + 2 * y[:, None, None, None], y)


@pytest.fixture
def source():
    return reinitialise(SmallCNN(1, (4, 8), 3), 0)


@pytest.mark.parametrize("method", list(ALPHAS))
@pytest.mark.parametrize("augment", [True, False])
def test_fit_learns_and_leaves_the_source_alone(images, source, method, augment):
    before = copy.deepcopy(source.state_dict())
    settings = FineTuning(40, 16, 0.05, augment=augment)
    found = fit(source, images, images, method, 1e-3, VIEW, settings)
    assert found.result.test.accuracy > 0.8
    assert (found.attention is not None) == (method == "delta")
    assert all(torch.equal(v, before[k]) for k, v in source.state_dict().items())
    moved = [k for k, p in found.model.named_parameters() if k in before and p.shape == before[k].shape
             and not torch.equal(p, before[k])]  # fmt: skip
    assert (not moved) == (method == "frozen")


def test_augmented_and_cached_training_agree_where_there_is_nothing_to_augment(images, source):
    settings = FineTuning(10, 16, 0.01, augment=False)
    cached = fit(source, images, images, "fm", 1e-3, VIEW, settings, cache=True)
    plain = fit(source, images, images, "fm", 1e-3, VIEW, settings, cache=False)
    assert cached.result.losses == pytest.approx(plain.result.losses, rel=1e-6)


def test_a_stronger_weight_keeps_features_closer(images, source):
    def distance(alpha):
        model = fit(source, images, images, "fm", alpha, VIEW, FineTuning(30, 16, 0.05)).model
        return sum(
            (a - b).square().sum().item() for a, b in zip(model.conv2.parameters(), source.conv2.parameters(), strict=True)
        )

    assert distance(0.1) < distance(1e-4)


def test_defaults_are_enough(images):
    model = reinitialise(CifarResNet(8), 0)
    colour = from_arrays(images.x.expand(-1, 3, -1, -1).repeat(1, 1, 4, 4), images.y)
    assert len(fit(model, colour, settings=FineTuning(2)).result.losses) == 2


def test_wrong_methods_are_refused(images, source):
    with pytest.raises(InputError, match="'delat' is none of scratch, frozen"):
        fit(source, images, method="delat")
    with pytest.raises(InputError, match="needs attention"):
        regularizer("delta", source, 0.1)


def test_equal_seeds_pair_methods_and_a_weight_of_zero_changes_nothing(images, source):
    task = Task("t", source, images, images, VIEW, per_class=10)
    settings = FineTuning(5, 8, 0.01, seed=3)
    l2 = compare_task(task, ["l2"], settings)
    assert l2 == compare_task(task, ["l2"], settings)
    runs = compare_task(task, ["l2", "l2sp", "fm", "delta"], settings)
    assert runs[0] == l2[0] and [len([r for r in runs if r[1] == m]) for m in ("l2", "l2sp", "fm", "delta")] == [1, 4, 5, 5]


def test_the_weight_is_chosen_on_validation_alone_and_the_smallest_of_equals():
    seeds = [[["t", "m", a, v, t, 0.0, 0] for a, v, t in ((1.0, 0.8, 0.9), (0.1, 0.8, 0.1), (0.01, 0.7, 1.0))]] * 2
    assert chosen(curves(seeds)["t"]["m"]) == 0.1


def test_negative_controls_tell_which_recorded_tasks_decide_nothing():
    record = json.loads((Path(__file__).parents[1] / "results" / "C3.full.json").read_text(encoding="utf-8"))

    def seeds(node):
        if isinstance(node, dict):
            yield from [node["runs"]] if "runs" in node else [r for v in node.values() for r in seeds(v)]
        elif isinstance(node, list):
            yield from (r for v in node for r in seeds(v))

    failed = {task: doubts(methods) for task, methods in curves(seeds(record)).items()}
    assert failed["tiny-imagenet, ResNet-20"] == []
    assert failed["flowers, MobileNetV2"] == [
        "fm at its largest weight 0.1 is at 23.5, frozen at 57.4",
        "delta at its largest weight 0.1 is at 23.0, frozen at 57.4",
        "frozen (57.4) is not beaten by l2 (50.4)",
    ]
    assert len(failed["flowers, SqueezeNet"]) == 2
    curve = {0.1: np.array([[0.5, 0.5], [0.5, 0.5]])}
    assert doubts({"l2": curve}) == [] and doubts({"l2": curve, "scratch": curve}) == [
        "scratch (50.0) is not beaten by l2 (50.0)"
    ]


def test_the_number_of_seeds_is_that_of_the_interval():
    pilot = np.array([1.0, -1.0, 0.5, -0.5, 0.0])
    n = seeds_needed(pilot)
    half = {k: 2.1788 * pilot.std(ddof=1) / k**0.5 for k in (n,)}  # t at 12 degrees of freedom
    assert n == 13 and half[n] <= 0.5 < 2.201 * pilot.std(ddof=1) / (n - 1) ** 0.5
