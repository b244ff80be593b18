"""C13 to C15: tasks whose controls fail are left out, the mean of the others is judged by its own interval."""

import numpy as np
import pytest

from claimkit.experiment import Job
from claimkit.transfer.arena import strokes
from claimkit.transfer.arena.tasks import SMOKE
from claimkit.transfer.networks import SmallCNN, reinitialise
from delta.claims import halves

MEANS = {"scratch": 40, "frozen": 55, "probe": 57, "l2": 60, "l2 at other rates": 60, "l2sp": 59, "fm": 60, "delta": 61}


def values(seeds=10, spread=0.3, frozen=(55, 55, 55), **changes):
    """Made-up runs of three tasks, ``fm`` and ``delta`` at a weight and at one that holds the features."""
    rng, made = np.random.default_rng(0), []
    for _ in range(seeds):
        rows = []
        for task, extractor in zip("abc", frozen, strict=True):
            for arm, mean in (MEANS | changes | {"frozen": extractor}).items():
                score = (mean + rng.normal(0, spread)) / 100
                rows.append([task, arm, 1e-3, mean / 100, score, 0.1, 0])
                if arm in ("fm", "delta"):
                    rows.append([task, arm, 5e-2, 0.3, 0.55, 0.1, 0])
        made.append({"runs": rows})
    return made


def test_the_mean_over_the_tasks_is_judged_by_seed():
    found = halves.judge_plain(values())
    assert found.kind == "reproduced" and found.effect.value == pytest.approx(1, abs=0.3)
    assert all(f"{task}, DELTA - l2 +" in found.reason for task in "abc")
    assert halves.judge_attention(values(fm=60.9)).kind in ("reproduced", "direction reproduced")
    assert halves.judge_simple(values(probe=63)).kind == "not reproduced"
    assert "DELTA - probe" in halves.judge_simple(values(probe=63)).reason
    assert halves.judge_plain(values(delta=59)).kind == "not reproduced"


def test_a_task_whose_controls_fail_is_left_out_and_named():
    found = halves.judge_plain(values(frozen=(55, 70, 55)))
    assert found.kind == "reproduced" and "b decides nothing" in found.reason and "b, DELTA" not in found.reason
    none = halves.judge_plain(values(frozen=(70, 70, 70)))
    assert none.kind == "not run" and none.effect is None


def test_too_few_seeds_decide_nothing():
    assert "are needed" in halves.judge_plain(values(spread=3.0)).reason
    assert "One seed" in halves.judge_plain(values(seeds=1)).reason


def test_every_arm_runs(monkeypatch):
    monkeypatch.setattr(strokes, "source", lambda: reinitialise(SmallCNN(1, (8, 16), 40), 0).eval())
    runs = halves.measure(halves.Arena(targets=(SMOKE,), short=True), Job(0))["runs"]
    assert {r[1] for r in runs} == MEANS.keys() - {"l2 at other rates"} and not any(r[6] for r in runs)
