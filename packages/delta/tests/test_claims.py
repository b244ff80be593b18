"""Every claim runs at preset smoke; judges say what their criterion says, on values made up for it."""

import os
from pathlib import Path

import numpy as np
import pytest

from claimkit.runner import reproduce
from delta.claims import exact, order
from delta.claims.protocol import FULL, Protocol, accuracies, measure


@pytest.mark.slow
def test_every_claim_runs_at_smoke(tmp_path):
    outcomes = {o.claim: o for o in reproduce("delta", preset="smoke", out=tmp_path)}
    assert list(outcomes) == ["C3", "C4", *(f"C{i}" for i in range(6, 17)), "D1"]
    assert not [o.error for o in outcomes.values() if o.record is None]
    assert (tmp_path / outcomes["C3"].record.picture).stat().st_size > 5_000


def runs(means, seeds=20, spread=0.5, alphas=(0.1,)):
    """Values of several seeds with these mean accuracies in percent, the same noise for all methods and a little each."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(seeds):
        common = rng.normal(0, 3)
        rows = [
            ["t", m, a, 0.5, (mean + common + rng.normal(0, spread)) / 100, 0.1, 0]
            for m, mean in means.items()
            for a in alphas
        ]
        values.append({"runs": rows})
    return values


@pytest.mark.parametrize(
    ("means", "kind"),
    [
        ({"l2": 80, "l2sp": 81, "delta": 82}, "reproduced"),
        ({"l2": 80, "l2sp": 79, "delta": 82}, "not reproduced"),
        ({"l2": 80, "l2sp": 82, "delta": 81}, "not reproduced"),
        ({"l2": 82, "l2sp": 81, "delta": 80}, "not reproduced"),
    ],
)
def test_the_order_is_judged_by_trend_and_by_both_differences(means, kind):
    verdict = order.judge_order(runs(means))
    assert verdict.kind == kind and "Page's test" in verdict.reason


def test_an_order_without_significance_is_a_direction():
    values = [{"runs": [["t", m, 0.1, 0.5, x / 100, 0.1, 0] for m, x in row.items()]} for row in (
        {"l2": 80, "l2sp": 80, "delta": 80.2}, {"l2": 80, "l2sp": 80.1, "delta": 80},
    )]  # fmt: skip
    assert order.judge_order(values).kind == "direction reproduced"
    assert order.judge_order(values[:1]).kind == "not run"


@pytest.mark.parametrize(
    ("gain", "spread", "kind"),
    [(1.0, 0.3, "reproduced"), (-1.0, 0.3, "not reproduced"), (0.0, 0.0, "not reproduced")],
)
def test_attention_is_judged_by_the_interval(gain, spread, kind):
    assert order.judge_attention(runs({"fm": 80, "delta": 80 + gain}, spread=spread)).kind == kind


def test_a_weight_chosen_by_chance_is_no_gain():
    """Both methods are alike at equal weights; one hit in one seed makes their choices differ, and with them the mean."""
    values = []
    for seed in range(20):
        rows = [["t", m, a, 0.9, test, 0.1, 0] for m in ("fm", "delta") for a, test in ((0.1, 0.87), (1.0, 0.85))]
        rows[1][3] += 0.1 * (seed == 0)  # fm at the large weight
        values.append({"runs": rows})
    assert [round(x.mean()) for x in accuracies(values)["t"].values()] == [85, 87]
    verdict = order.judge_attention(values)
    assert verdict.kind == "direction reproduced" and verdict.effect.value == 2 and verdict.effect.low == 0


def test_a_mean_of_zero_up_to_rounding_is_no_gain():
    shifts = (0.003, -0.001, -0.002, 0.0)
    values = runs({"fm": 80, "delta": 80}, seeds=4, spread=0)
    for v, shift in zip(values, shifts, strict=True):
        v["runs"][1][4] = v["runs"][0][4] + shift
    assert order.judge_attention(values).kind == "not reproduced"


def test_a_small_gain_is_a_direction():
    values = runs({"fm": 80, "delta": 80}, seeds=4, spread=0)
    for v, shift in zip(values, (0.004, -0.001, 0.001, -0.002), strict=True):
        v["runs"][1][4] = v["runs"][0][4] + shift
    assert order.judge_attention(values).kind == "direction reproduced"


def test_the_formula_is_judged_by_its_errors():
    good = {"relative_error": {"train": 1e-7, "eval": 1e-7}, "gap_error": 1e-6, "identical_in_eval": 0.0, "channels": 9}
    assert exact.judge([good]).kind == "reproduced"
    assert exact.judge([good | {"gap_error": 1e-4}]).kind == "not reproduced"
    assert exact.judge([good | {"relative_error": {"train": 1e-5, "eval": 0.0}}]).kind == "not reproduced"
    assert exact.judge([good | {"identical_in_eval": 1e-9}]).kind == "not reproduced"


def test_the_whole_grid_is_published_and_every_method_has_the_same_decay():
    small = next(e for e in order.EXPERIMENTS if e.claim.id == "C3").presets["small"]
    assert small.seeds == 20 and not small.short
    assert {t.seeds for t in FULL} == {5, 1_000}


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("target", FULL, ids=lambda t: t.name)
def test_the_full_tasks_run_on_the_real_files(target):
    folder = os.environ.get("CLAIMKIT_DATA")
    if not folder or not (Path(folder) / "weights/cifar10_resnet20.pt").exists():
        pytest.skip("needs CLAIMKIT_DATA with folders weights and datasets")
    from dataclasses import replace

    from claimkit.experiment import Job

    values = measure(Protocol(tasks=(replace(target, steps=2),), methods=("l2", "fm"), short=True), Job(0))
    assert all(0 <= x[0] <= 100 for m in accuracies([values]).values() for x in m.values())
