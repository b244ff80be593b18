"""The arena's claims: controls and power come before a verdict, and a task or a spread that fails them decides nothing."""

import re

import numpy as np
import pytest

from claimkit.experiment import Job
from claimkit.transfer.arena import strokes
from claimkit.transfer.arena.tasks import SMOKE
from claimkit.transfer.networks import SmallCNN, reinitialise
from delta.claims import arena, pictures

MEANS = {"scratch": 40, "frozen": 55, "l2": 60, "fm": 61, "delta": 62, "probe": 57, "lp-ft": 61.5, "l2 at other rates": 60}


def values(seeds=20, spread=0.3, held=56.0, **changes):
    """Made-up runs of every arm, ``fm`` and ``delta`` at a chosen weight and at one that holds the features."""
    rng, made = np.random.default_rng(0), []
    for _ in range(seeds):
        common, rows = rng.normal(0, 3), []
        for arm, mean in (MEANS | changes).items():
            score = mean + common + rng.normal(0, spread)
            rows.append(["t", arm, 1e-3, mean / 100, score / 100, 0.1, 0])
            if arm in ("fm", "delta"):
                rows.append(["t", arm, 5e-2, 0.3, (held + common) / 100, 0.1, 0])
        made.append({"runs": rows})
    return made


def test_a_difference_is_judged_where_controls_and_power_allow():
    assert arena.judge_plain(values()).kind == "reproduced"
    assert arena.judge_attention(values()).kind == "reproduced"
    simple = arena.judge_simple(values())
    assert (
        simple.kind == "reproduced"
        and "Best on validation: lp-ft" in simple.reason
        and simple.effect.name == "DELTA - lp-ft"
    )
    assert arena.judge_simple(values(**{"lp-ft": 63})).kind == "not reproduced"
    assert arena.judge_plain(values(delta=60.1)).kind == "direction reproduced"
    assert arena.judge_plain(values(delta=59)).kind == "not reproduced"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"held": 30.0}, "fm at its largest weight 0.05 is at"),
        ({"held": 60.0}, "fm at its largest weight 0.05 is at"),
        ({"frozen": 61.0, "held": 61.0}, "frozen .* is not beaten by l2"),
        ({"scratch": 61.0}, "scratch .* is not beaten by l2"),
        ({"l2 at other rates": 61.0}, "l2 at a rate of 0.001 is 1.0 points better on validation"),
        ({"spread": 3.0}, "20 paired seeds have intervals wider than .* are needed"),
        ({"seeds": 1}, "One seed"),
    ],
)
def test_a_failed_control_or_too_few_seeds_decide_nothing(changes, reason):
    for judge in (arena.judge_plain, arena.judge_attention, arena.judge_simple):
        verdict = judge(values(**changes))
        assert verdict.kind == "not run" and re.search(reason, verdict.reason)


def test_every_arm_runs_and_the_largest_weight_is_among_them(monkeypatch):
    monkeypatch.setattr(strokes, "source", lambda: reinitialise(SmallCNN(1, (8, 16), 40), 0).eval())
    runs = arena.measure(arena.Arena(targets=(SMOKE,), short=True), Job(0))["runs"]
    assert {r[1] for r in runs} == {"scratch", "frozen", "fm", "delta", *arena.SIMPLE}
    assert all(r[2] == 5e-2 for r in runs if r[1] in ("fm", "delta")) and not any(r[6] for r in runs)


def probed(probe=70.0, spread=0.3, seeds=8, scratch=40.0):
    """Made-up runs of C12's arms; L2 is best on validation at another rate than that of the arms."""
    rng, made = np.random.default_rng(0), []
    arms = [("scratch", 1e-4, scratch), ("frozen", 0.0, 60), ("l2", 1e-4, 61), ("l2 at other rates", 0.008, 66)]
    for _ in range(seeds):
        rows = [*arms, ("probe", 0.01, probe), ("probe", 0.1, probe - 5)]
        made.append({"runs": [["t", a, w, m / 100, (m + rng.normal(0, spread)) / 100, 0.1, 0] for a, w, m in rows]})
    return made


def test_a_probe_is_judged_against_l2_at_its_best_rate():
    verdict = pictures.judge_probe(probed())
    assert verdict.kind == "reproduced" and abs(verdict.effect.value - 4) < 1
    assert "L2 at its best rate 66" in verdict.reason
    assert pictures.judge_probe(probed(probe=66.3)).kind == "direction reproduced"
    assert pictures.judge_probe(probed(probe=65)).kind == "not reproduced"
    for changes, reason in (
        ({"spread": 3.0}, "8 paired seeds have an interval wider"),
        ({"scratch": 60.5}, "nothing in the source"),
        ({"seeds": 1}, "One seed"),
    ):
        verdict = pictures.judge_probe(probed(**changes))
        assert verdict.kind == "not run" and reason in verdict.reason
