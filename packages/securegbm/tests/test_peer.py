"""Claim S11's verdicts, and what it counts of our own trees."""

import numpy as np
import pytest

from securegbm.claims import peer
from securegbm.claims.cost import make_table


def table(paillier, okamoto, weak=50.0, ours=1.0):
    return {
        "cpu_seconds": {
            "securegbm": ours,
            "ZPaillier 2048": weak,
            "ZPaillier 3072": paillier,
            "OU 2048": 5.0,
            "OU 3072": okamoto,
        }
    }


@pytest.mark.parametrize(
    ("paillier", "okamoto", "kind"),
    [
        ((150, 151, 149), (25, 26, 24), "reproduced"),
        ((150, 151, 149), (15, 16, 14), "direction reproduced"),
        ((150, 151, 149), (10, 21, 40), "direction reproduced"),
        ((19, 19, 19.5), (15, 16, 14), "not reproduced"),
    ],
)
def test_both_schemes_decide(paillier, okamoto, kind):
    found = peer.judge([table(float(one), float(other), weak=10.0) for one, other in zip(paillier, okamoto, strict=True)])
    assert found.kind == kind
    assert found.effect is not None
    assert found.effect.value == pytest.approx(min(np.mean(paillier), np.mean(okamoto)))


def test_nothing_is_decided_without_the_peer_or_when_a_stronger_key_costs_nothing():
    missing = peer.judge([{"missing": True}])
    assert missing.kind == "not run"
    assert "pip install sf-heu" in missing.reason
    assert peer.judge([table(150.0, 30.0, weak=149.0)] * 2).kind == "not run"


def test_requests_and_rows_are_those_of_the_trees():
    """A tree of two leaves asks for the root alone; further leaves ask for the smaller child of each split."""
    s = peer.Peer(rows=300, columns=2, trees=2)
    values, labels = make_table(300, 0, 2, 2)
    requests, summed = peer.counts(s, values, labels)
    assert 2 <= requests <= 30
    assert 300 < summed < 300 * requests / 2 + 300
