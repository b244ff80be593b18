"""Claim N18: every subset's picture, how one is chosen, and the verdict."""

import numpy as np
import pytest
import torch

from claimkit.experiment import Job
from photonet.claims.pictures import chosen, transfers
from photonet.network.architecture import PRESETS

NAMES = PRESETS["photonet"].transfers


def test_every_subset_comes_once_with_its_own_picture(network, picture):
    net = network("photonet")
    content, style = picture(48, 64)[0], picture(64, 48, seed=3)[0]
    with torch.inference_mode():
        found = dict(chosen.every(net, content, style))
        make = transfers.maker(net, content, style)
        assert len(found) == 1024
        for subset in (NAMES, (), ("T2", "stage1.T", "stage4.T"), ("T5", "stage5.T")):
            assert torch.allclose(found[frozenset(subset)], make(subset), atol=1e-5), subset


def test_names_of_subsets_read_back():
    for subset in (frozenset(NAMES), frozenset(), frozenset({"T1", "stage5.T"})):
        assert chosen.subset_of(chosen.named(subset, NAMES), NAMES) == subset
    assert chosen.named({"stage5.T", "T1"}, NAMES) == "T1 stage5.T"


def test_the_best_drawing_among_those_with_enough_style():
    style = {chosen.ALL: 0.40, "T1": 0.39, "T2": 0.41, "T3": 0.60}
    edges = {chosen.ALL: 0.80, "T1": 0.85, "T2": 0.90, "T3": 0.99}
    assert chosen.best(style, edges, 5) == ["T1", chosen.ALL]
    assert chosen.best(style, edges, 2, room=0.05) == ["T2", "T1"]


def value(style=0.40, edges=0.85, halo=0.5, control=0.6):
    noise = np.linspace(0.99, 1.01, 12)
    rows = {
        "style": {chosen.FOUND: style, chosen.ALL: 0.40, chosen.NONE: control},
        "edges": {chosen.FOUND: edges, chosen.ALL: 0.80, chosen.NONE: 0.95},
        "halo": {chosen.FOUND: halo, chosen.ALL: 0.90, chosen.NONE: 0.2},
    }
    last = {k: {n: (x * noise).tolist() for n, x in row.items()} for k, row in rows.items()}
    every = [chosen.named({n for b, n in enumerate(NAMES) if i >> b & 1}, NAMES) for i in range(1024)]
    first = {
        "style": {n: 0.5 - 0.1 * ("T3" in n.split() or n == chosen.ALL) for n in every},
        "edges": dict.fromkeys(every, 0.8),
    }
    about = {"winner": "T3", "sides": [32, 48, 64], "pairs": [1, 2, 12], "encoders": "An encoder."}
    return {"screened": first, "again": {"style": {"T3": 0.4, chosen.ALL: 0.4}}, "last": last, **about}


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, "reproduced"),
        ({"style": 0.43}, "direction reproduced"),
        ({"edges": 0.79}, "not reproduced"),
        ({"halo": 0.95}, "not reproduced"),
        ({"control": 0.39}, "not run"),
    ],
)
def test_the_chosen_subset_needs_drawing_halo_and_style(changed, kind):
    verdict = chosen.judge_chosen([value(**changed)])
    assert verdict.kind == kind
    assert "T3 -0.100 and +0.000, in 100%" in verdict.reason and "T1 +0.000 and +0.000, in 50%" in verdict.reason


def test_rounds_share_no_pair(monkeypatch):
    """Which pairs each round was asked for, by content and style."""
    seen: list[set[str]] = []
    s = chosen.Chosen(contents=2, styles=2, longest=32, screened=1, kept=2, sides=(32, 32, 32))

    def screened(net, pairs, look):
        seen.append({n for n, *_ in pairs})
        return {"style": {chosen.ALL: 0.4, "T1": 0.4}, "edges": {chosen.ALL: 0.8, "T1": 0.9}}

    monkeypatch.setattr(chosen, "screened", screened)
    found = chosen.measure(s, Job(0))
    assert found["pairs"] == [1, 2, 1] and len(seen[0]) == 1
    assert set(found["last"]["style"]) >= {chosen.FOUND, chosen.ALL, chosen.NONE, chosen.PHOTONAS, *chosen.BESIDE}
    assert set(found["again"]["style"]) == {chosen.ALL, "T1"} and len(found["last"]["halo"]["mk"]) == 1
