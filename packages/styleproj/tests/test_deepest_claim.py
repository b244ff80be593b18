"""P13: its judge says what its criterion says, on values made up for it, and it runs at smoke; a dead level is revived."""

from pathlib import Path

import numpy as np
import pytest
import torch

from claimkit.errors import InputError
from claimkit.experiment import Job
from styleproj.claims.deepest import EXPERIMENTS, judge
from styleproj.claims.weights import AGAIN, BEFORE, COLOURS, MEASURES, NOW
from styleproj.networks.closed_form import first_above_zero, revive, shallower
from styleproj.networks.network import bias_of
from styleproj.networks.weights import load_network
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import photograph, square

BEFORE_IT = {"style": 0.2, "Gram": 0.3, "content": 0.7, "raw content": 1.0, "edges": 0.57, "weave": 1.0}
BEFORE_IT |= {"foreign": 0.005, "clipped": 0.02}


def values(again=BEFORE_IT, colours=0.6, alive=0.4, **changed):
    noise = 0.01 * np.random.default_rng(0).normal(size=16)
    rows = {
        NOW: BEFORE_IT | {"style": 0.18, "Gram": 0.28} | changed,
        BEFORE: BEFORE_IT,
        AGAIN: again,
        COLOURS: BEFORE_IT | {"Gram": colours},
    }
    measures = {n: {m: list(row[m] * (1 + (noise if n == NOW else 0 * noise))) for m in MEASURES} for n, row in rows.items()}
    shares = {NOW: [alive] * 16, BEFORE: [0.0] * 16}
    styles = [f"paintings/{i % 8}" for i in range(16)]
    return [{"measures": measures, "styles": styles, "alive": shares, "judge": "made up"}]


@pytest.mark.parametrize(
    ("changed", "kind", "missed"),
    [
        ({}, "reproduced", "nothing"),
        ({"Gram": 0.302}, "reproduced", "nothing"),  # 0.7 % farther in one distance, within the margin
        ({"Gram": 0.31}, "direction reproduced", "Gram kept"),
        ({"style": 0.2, "Gram": 0.3}, "not reproduced", "nearer"),
        ({"content": 0.71}, "reproduced", "nothing"),
        ({"content": 0.73}, "direction reproduced", "content"),
        ({"edges": 0.53}, "reproduced", "nothing"),
        ({"edges": 0.51}, "direction reproduced", "edges"),
        ({"weave": 1.3, "foreign": 0.02, "clipped": 0.04}, "direction reproduced", "weave, foreign, clipped"),
        ({"alive": 0.0}, "not reproduced", "alive"),
        ({"again": BEFORE_IT | {"weave": 1.0001}}, "not run", None),
        ({"colours": 0.2}, "not run", None),
    ],
)
def test_judge(changed, kind, missed):
    verdict = judge(values(**changed))
    assert verdict.kind == kind, verdict.reason
    assert missed is None or f"Missed: {missed}. " in verdict.reason


def test_it_runs_at_smoke_and_the_control_is_exact():
    (experiment,) = EXPERIMENTS
    found = experiment.measure(experiment.presets["smoke"], Job(0))
    assert found["measures"][AGAIN] == found["measures"][BEFORE]
    assert all(len(row[m]) == 4 and np.isfinite(row[m]).all() for row in found["measures"].values() for m in MEASURES)
    assert max(found["alive"][BEFORE] + found["alive"][NOW]) < 0.01  # what P13 found of both


def test_a_dead_level_is_revived_without_a_change_of_the_picture():
    network = load_network(Path("joint"))
    pictures = torch.stack([square(photograph(name), 64) for name in ("astronaut", "coffee", "chelsea")])
    levels = network.encode(pictures)
    with torch.no_grad():
        bias_of(network.decoder.conv4_1).fill_(-1000)
    before = network.decode(levels)
    assert first_above_zero(network, levels) == 0
    assert revive(network, pictures)
    assert torch.equal(network.decode(levels), before)
    assert first_above_zero(network, levels) > 0.1
    assert not revive(network, pictures)
    with torch.enable_grad():  # a gradient reaches what takes the level up
        weight = network.decoder.conv3_2.weight.requires_grad_()
        network.decode(levels).square().sum().backward()
    assert weight.grad is not None
    assert weight.grad[:, : weight.shape[0]].abs().max() > 0


def test_a_level_that_is_not_looked_at_can_be_left_out():
    joint = load_network(Path("joint"))
    pictures = torch.stack([square(photograph(name), 64) for name in ("astronaut", "coffee", "chelsea")])
    with torch.no_grad():
        bias_of(joint.decoder.conv4_1).fill_(-1000)
    smaller = shallower(joint, pictures)
    assert smaller.levels == (3,) and smaller.multiple == 4
    content, style = photograph("astronaut", 128), photograph("ihc", 96)
    after, before = (Stylizer(network).stylize(content, style) for network in (smaller, joint))
    torch.testing.assert_close(after, before, atol=1e-6, rtol=0)
    assert sum(p.numel() for p in smaller.parameters()) < 0.55 * sum(p.numel() for p in joint.parameters())
    with pytest.raises(InputError, match="handed over"):
        shallower(smaller, pictures)
    assert revive(joint, pictures)
    with pytest.raises(InputError, match="pictures would change"):
        shallower(joint, pictures)
