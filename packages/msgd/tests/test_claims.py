"""Every claim runs at preset smoke; judges say what their criterion says, on values made up for it."""

import numpy as np
import pytest

from claimkit.errors import InputError
from claimkit.runner import reproduce
from msgd.claims import EXPERIMENTS, bias, convergence, cost, digits, fashion


@pytest.mark.slow
def test_every_claim_runs_at_smoke_or_says_why_not(tmp_path):
    outcomes = {o.claim: o for o in reproduce("msgd", preset="smoke", out=tmp_path)}
    assert list(outcomes) == [f"M{i}" for i in range(1, 13)]
    assert not [o.error for o in outcomes.values() if o.record is None]
    assert [c for c, o in outcomes.items() if o.record.evidence is None] == ["M7", "M12"]
    for o in outcomes.values():
        assert (o.record.picture is None) or (tmp_path / o.record.picture).stat().st_size > 5_000


def test_every_claim_is_measured_at_small_or_needs_data_or_more_minutes():
    missing = [e.claim.id for e in EXPERIMENTS if "small" not in e.presets]
    assert missing == [
        "M7",
        "M11",
        "M12",
    ]  # M7 and M12 need data; M11 takes a quarter of an hour; M10 asks the same of a smaller network


def classes(gap, worst, n=64):
    rng = np.random.default_rng(0)
    gd = 1 + 0.1 * rng.standard_normal(n)
    noise = 0.01 * rng.standard_normal(n)
    sgd = gd - gap + noise
    return [{"test_error": {"gd": list(gd), "sgd": list(sgd), "bernoulli": list(sgd + worst * gap), "gauss-cov": list(sgd)}}]


@pytest.mark.parametrize(
    ("gap", "worst", "kind"),
    [
        (0.2, 0.1, "reproduced"),
        (0.2, 0.4, "not reproduced"),
        (0.2, -0.4, "not reproduced"),
        (0.0, 0.0, "not run"),
        (-0.2, 0.0, "not run"),
    ],
)
def test_classes_are_judged_against_the_gap_and_without_a_gap_nothing_is_claimed(gap, worst, kind):
    verdict = bias.judge_classes(classes(gap, worst))
    assert verdict.kind == kind
    if gap <= 0:
        assert "no gap at this scale" in verdict.reason


def test_a_noisy_large_batch_must_be_at_sgd_while_the_plain_one_is_not():
    rng = np.random.default_rng(0)
    sgd = rng.standard_normal(64)

    def values(plain, noisy):
        spread = [0.1 * rng.standard_normal(64) for _ in range(2)]
        e = {
            "gd": sgd + 1,
            "sgd": sgd,
            "sgd, large batch": sgd + plain + spread[0],
            "noisy large batch": sgd + noisy + spread[1],
        }
        return [{"test_error": {k: list(v) for k, v in e.items()}}]

    assert bias.judge_large(values(0.5, 0.0)).kind == "reproduced"
    assert bias.judge_large(values(0.5, 0.3)).kind == "not reproduced"
    assert bias.judge_large(values(0.0, 0.0)).kind == "not run"


@pytest.mark.parametrize(
    ("strong", "control", "weak", "kind"),
    [
        (1, 0.5, 1, "reproduced"),
        (0.5, 0.5, 1, "not reproduced"),
        (1, 1, 1, "not reproduced"),
        (1, 0.5, 0.6, "not reproduced"),
    ],
)
def test_orders_are_judged_with_their_control(strong, control, weak, kind):
    etas = [0.1, 0.05, 0.025]
    series = {k: [e**s for e in etas] for k, s in (("s", strong), ("c", control), ("w", weak))}
    values = [{"etas": etas, "strong": series["s"], "fixed_intensity": series["c"], "weak": {"bernoulli": series["w"]}}]
    assert convergence.judge(values).kind == kind


def test_cost_is_judged_by_medians():
    ratios = {"batch-fisher / sgd": [1.0, 1.01, 9.0], "gauss-fisher / gd": [1.0] * 3, "bernoulli / sgd": [1.2] * 3}
    assert cost.judge([{"ratio": ratios}]).kind == "reproduced"
    assert cost.judge([{"ratio": ratios | {"bernoulli / sgd": [1.3] * 3}}]).kind == "not reproduced"


def test_fashion_needs_seeds_and_a_gap():
    def values(gap, seeds=8):
        rng = np.random.default_rng(0)
        for _ in range(seeds):
            gd = 0.75 + 0.01 * rng.standard_normal()
            yield {"test_accuracy": {"gd": gd, "sgd": gd + gap + 0.001 * rng.standard_normal(), "bernoulli": gd + gap}}

    assert fashion.judge(list(values(0.02))).kind == "reproduced"
    assert fashion.judge(list(values(0.0))).kind == "not run"
    assert fashion.judge(list(values(0.02, seeds=1))).kind == "not run"


def splits(rng, shift=0.0, gap=1.7, spread=0.5, n=20):
    """Made-up accuracies of M10: SGD gains the gap, all other classes are SGD plus a spread; one is shifted."""
    gd = 88 + rng.standard_normal(n)
    sgd = gd + gap + spread * rng.standard_normal(n)
    names = ("bernoulli", "gauss-fisher", "gauss-cov", "sparse-fisher", "sparse-cov", "batch-fisher", "batch-cov")
    scores = {"gd": gd, "sgd": sgd} | {k: sgd + spread * rng.standard_normal(n) for k in names}
    scores["bernoulli"] = scores["bernoulli"] + shift
    loss = dict.fromkeys(scores, 0.01)
    return [{"test_accuracy": {k: v[i] / 100 for k, v in scores.items()}, "train_loss": loss} for i in range(n)]


def test_the_judge_of_intervals_is_not_wrong_when_all_classes_are_equal():
    """Experiments of 20 splits: "not reproduced" in none of 12; "reproduced" in all 4 of the smallest spread.

    At the pilot's spread most are undecided (17 of 60 were reproduced, none was wrong): seven intervals must all be inside.
    """
    rng = np.random.default_rng(0)
    kinds = {spread: [digits.judge(splits(rng, spread=spread)).kind for _ in range(4)] for spread in (0.2, 0.5, 1.0)}
    assert not any("not reproduced" in k for k in kinds.values())
    assert kinds[0.2] == ["reproduced"] * 4


def test_the_judge_of_intervals_sees_a_class_that_is_elsewhere_and_no_gap():
    rng = np.random.default_rng(0)
    far = [digits.judge(splits(rng, shift)) for shift in (1.7, -1.7)]
    assert all(v.kind == "not reproduced" and "bernoulli" in v.reason for v in far)
    between = digits.judge(splits(rng, 0.4))
    assert between.kind == "not run" and "straddles 25 %" in between.reason and "bernoulli" in between.reason
    assert digits.judge(splits(rng, gap=0.0)).kind == "not run"
    assert digits.judge(splits(rng, n=5)).kind == "not run"
    bad = splits(rng)
    bad[3]["train_loss"] = {"sgd": float("nan")}
    with pytest.raises(InputError, match="diverged"):
        digits.judge(bad)


@pytest.mark.data
def test_fashion_runs_on_the_real_files(tmp_path):
    import os
    from pathlib import Path

    folder = os.environ.get("CLAIMKIT_DATA")
    if not folder or not (Path(folder) / "fashion_mnist").is_dir():
        pytest.skip("needs CLAIMKIT_DATA with a folder fashion_mnist")
    from claimkit.assets import Assets
    from claimkit.experiment import Job

    out = fashion.train(fashion.Fashion(classes=("sgd",), steps=20), Job(0, assets=Assets()))
    assert 0.05 < out["test_accuracy"]["sgd"] < 1
