"""Claim N17: pictures of subsets of the transfers, what each adds, and the verdict."""

import numpy as np
import pytest
import torch

from claimkit.experiment import Job
from photonet.claims.common import judge, photo_pairs, style_distance
from photonet.claims.common import network as shipped
from photonet.claims.pictures import transfers
from photonet.network.architecture import Architecture

NAMES = Architecture("1" * 32).transfers


def test_pictures_of_subsets_are_the_networks(network, picture):
    """All transfers, none, and two of them, against networks that have those alone."""
    net = network("photonet")
    content, style = picture(48, 64)[0], picture(64, 48, seed=3)[0]
    make = transfers.maker(net, content, style)
    rest = [n for n in net.architecture.operators if n not in NAMES]
    for subset in (NAMES, (), ("T2", "stage4.T")):
        alone = network("photonet")
        alone.decoder.architecture = Architecture.of([*rest, *subset])
        assert torch.allclose(make(subset), alone(content[None], style[None], "ot")[0].clamp(0, 1), atol=1e-5), subset


def test_all_subsets_or_some():
    every = transfers.drawn(NAMES, 0, np.random.default_rng(0))
    assert len(every) == len(set(every)) == 1024 and frozenset(NAMES) in every and frozenset() in every
    some = transfers.drawn(NAMES, 400, np.random.default_rng(0))
    shares = [np.mean([n in x for x in some]) for n in NAMES]
    assert len(some) == 400 and min(shares) > 0.4 and max(shares) < 0.6


def value(style=None, edges=None, ends=(0.4, 0.6)):
    """Twelve pairs to which every transfer adds a little, and what is changed."""
    noise = np.linspace(0.8, 1.2, 12)
    gram, drawing = (dict.fromkeys(NAMES, x) for x in (-0.01, -0.001))
    added = {"style": gram | (style or {}), "edges": drawing | (edges or {}), "halo": dict.fromkeys(NAMES, 0.1)}
    rows = {k: {n: (x * noise).tolist() for n, x in row.items()} for k, row in added.items()}
    both = {k: {e: (x * noise).tolist() for e, x in zip(("all", "none"), ends, strict=True)} for k in transfers.KINDS}
    return {"added": rows, "ends": both, "longest": 96, "subsets": 4, "encoders": "An encoder."}


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, "reproduced"),
        ({"style": {"T4": 0.01}}, "direction reproduced"),
        ({"edges": {"T1": -0.03}}, "direction reproduced"),
        ({"style": dict.fromkeys(NAMES, 0.01)}, "not reproduced"),
        ({"ends": (0.6, 0.4)}, "not run"),
    ],
)
def test_each_transfer_has_to_earn_its_place(changed, kind):
    verdict = transfers.judge_transfers([value(**changed)])
    assert verdict.kind == kind
    if "edges" in changed:
        nearer, earn = verdict.reason.split(". What")[0].split("; of these at no loss of drawing: ")
        assert "T1" in nearer and "T1" not in earn.split(", ")


def test_what_is_added_is_with_minus_without(monkeypatch):
    """Of the empty subset alone: the picture with one transfer less the picture with none."""
    monkeypatch.setattr(transfers, "drawn", lambda names, count, rng: [frozenset()])
    s, job = transfers.Subsets(contents=1, styles=1, longest=64), Job(0)
    found = transfers.measure(s, job)
    net = shipped("photonet", job)
    ((_, content, style),) = photo_pairs(s, job)
    look, make = judge(s, job), transfers.maker(net, content, style)
    with torch.inference_mode():
        none, one = (style_distance(look(make(x)), look(style)) for x in ((), ("stage5.T",)))
    assert found["added"]["style"]["stage5.T"] == pytest.approx([one - none])
    assert found["ends"]["style"]["none"] == pytest.approx([none])
