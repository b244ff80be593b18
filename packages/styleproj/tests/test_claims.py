"""Every claim runs at preset smoke; judges say what their criterion says, on values made up for it."""

import numpy as np
import pytest
import torch

from claimkit.runner import reproduce
from styleproj.claims import EXPERIMENTS, fidelity, fronts, kl, pictures, speed
from styleproj.operator.baselines import TRANSFORMS, adain_reference, efdm, histogram_matching
from styleproj.operator.projection import project

MINE = [f"P{i}" for i in (*range(1, 10), 20)]


@pytest.mark.slow
def test_every_claim_runs_at_smoke(tmp_path):
    outcomes = {o.claim: o for o in reproduce("styleproj", MINE, preset="smoke", out=tmp_path)}
    assert list(outcomes) == MINE
    assert not [o.error for o in outcomes.values() if o.record is None]
    for o in outcomes.values():
        assert o.record.evidence is not None, o.record.verdict.reason
        assert "slim" in o.record.verdict.reason, "every result says which encoder it used"
        assert (o.record.picture is None) or (tmp_path / o.record.picture).stat().st_size > 5_000


def test_every_claim_is_measured_at_small():
    peers = {"P14", "P15", "P16", "P17", "P18", "P19", "P21", "P22"}  # their weights are not ours to carry
    assert {e.claim.id for e in EXPERIMENTS if "small" not in e.presets} == peers


def test_the_baselines_are_what_they_are_called():
    x, s = torch.randn(2, 1, 6, 9, 9)
    s = 2 * s + 1
    assert torch.equal(efdm(x, s), project(x, s))
    torch.testing.assert_close(adain_reference(x, s), TRANSFORMS["AdaIN"](x, s, 1.0))
    torch.testing.assert_close(histogram_matching(x, s), project(x, s), rtol=1e-4, atol=1e-4)
    for name in ("WCT", "OT"):
        z = TRANSFORMS[name](x, s, 1.0)[0].flatten(1)
        torch.testing.assert_close(z.cov(), s[0].flatten(1).cov(), rtol=1e-3, atol=1e-3)
    for transform in TRANSFORMS.values():
        torch.testing.assert_close(transform(x, s, 0.0), x, rtol=1e-5, atol=1e-5)


def distances(projection, others):
    row = {"w1 largest": [projection], "ks largest": [projection], "w1 median": [others], "gram": [0.1, 0.2]}
    return [{"distances": {n: dict(row) for n in TRANSFORMS}, "encoder": "made up"}]


@pytest.mark.parametrize(
    ("projection", "others", "kind"), [(0.0, 0.3, "reproduced"), (1e-9, 0.3, "not reproduced"), (0.0, 0.0, "not run")]
)
def test_exact_means_zero_and_needs_a_gap(projection, others, kind):
    assert fidelity.judge_exact(distances(projection, others)).kind == kind


def test_channel_distances_see_a_shift_and_nothing_else():
    t = torch.randn(1, 3, 8, 8)
    same = fidelity.channel_distances(t.flip(-1), t)
    assert set(same.values()) == {0.0}
    moved = fidelity.channel_distances(t + 10 * t.std(), t)
    assert moved["ks largest"] == 1.0 and 8 < moved["w1 median"] < 12 and moved["skewness"] < 1e-4


def front(factor):
    rows = [[0.1, 0.5, 1.0]] * 3
    style = [[1.0, 0.6, 0.3]] * 3
    return {"content": rows, **{m: (factor * np.array(style)).tolist() for m in fronts.METRICS}}


@pytest.mark.parametrize(("factor", "kind"), [(0.9, "reproduced"), (1.04, "reproduced"), (1.2, "not reproduced")])
def test_fronts_are_compared_at_equal_content(factor, kind):
    curves = {n: front(factor if n == "projection" else 1.0) for n in TRANSFORMS}
    assert fronts.judge([{"curves": curves, "encoder": "made up"}]).kind == kind


def test_fronts_with_one_lost_measure_are_a_direction():
    curves = {n: front(0.9 if n == "projection" else 1.0) for n in TRANSFORMS}
    curves["projection"]["Gram"] = front(1.5)["Gram"]
    assert fronts.judge([{"curves": curves, "encoder": "made up"}]).kind == "direction reproduced"


@pytest.mark.parametrize(
    ("kl_change", "edge_change", "kind"),
    [(-0.1, 0.1, "reproduced"), (-0.1, -0.1, "direction reproduced"), (0.1, 0.1, "not reproduced")],
)
def test_the_kl_term_is_judged_on_the_term_and_on_edges(kl_change, edge_change, kind):
    rng = np.random.default_rng(0)
    base = rng.random(8)
    changes = dict(zip(kl.QUANTITIES, (kl_change, 0.0, edge_change, 0.0), strict=True))
    rows = {q: [list(base), list(base + c + 0.01 * rng.standard_normal(8))] for q, c in changes.items()}
    values = [{"weights": [0.0, 10.0], "quantities": rows, "encoder": "made up"}] * 3
    assert kl.judge(values).kind == kind


def trained_at(style_loss, kl_change, edge_change, bend=0.0, seeds=6):
    """A front of four trainings on straight lines, but for the second, and one beside it; a little noise between seeds."""
    rng = np.random.default_rng(0)
    front = np.array([1.4, 1.5, 1.6, 1.7])
    line = {"KL": 0.5 - 0.1 * front, "edges (SSIM)": 0.3 + 0.1 * front, "content loss": front, "style loss": front}
    at = {"KL": 0.5 - 0.1 * style_loss + kl_change, "edges (SSIM)": 0.3 + 0.1 * style_loss + edge_change}
    at |= {"content loss": 1.0, "style loss": style_loss}
    line["KL"][1] -= bend
    runs = []
    for _ in range(seeds):
        noise = {q: 1e-4 * rng.standard_normal((5, 1)) * (q in kl.ASKED) for q in line}
        rows = {q: (np.append(x, at[q])[:, None] + noise[q] + [[-0.1, 0.1]]).tolist() for q, x in line.items()}
        runs.append({"styles": [1.0, 0.5, 0.25, 0.12], "quantities": rows, "encoder": "made up"})
    return runs


@pytest.mark.parametrize(
    ("style_loss", "kl_change", "edge_change", "bend", "kind"),
    [
        (1.56, -0.02, 0.01, 0.0, "reproduced"),
        (1.56, -0.02, -0.01, 0.0, "direction reproduced"),
        (1.56, 0.0, 0.01, 0.0, "not reproduced"),
        (1.56, 0.02, 0.01, 0.0, "not reproduced"),
        (1.39, -0.02, 0.01, 0.0, "not run"),
        (1.71, -0.02, 0.01, 0.0, "not run"),
        (1.64, -0.02, 0.01, 0.012, "not run"),
        (1.64, -0.02, 0.01, 0.009, "reproduced"),
    ],
)
def test_the_kl_term_is_judged_at_equal_style_loss(style_loss, kl_change, edge_change, bend, kind):
    verdict = kl.judge_equal(trained_at(style_loss, kl_change, edge_change, bend))
    assert verdict.kind == kind, verdict.reason
    if kind != "not run":
        assert verdict.effect.value == pytest.approx(kl_change, abs=5e-4), "what the style loss alone gives is taken off"


def test_a_style_loss_outside_the_front_is_counted_by_seeds():
    runs = trained_at(1.5, 0.0, 0.0)
    runs[2] = trained_at(1.8, 0.0, 0.0)[0]
    assert "At 1 of 6 seeds" in kl.judge_equal(runs).reason
    for run in (runs := trained_at(1.56, -0.02, 0.01)):
        run["quantities"]["style loss"][1] = [1.3, 1.3]
    assert kl.judge_equal(runs).kind == "not run", "the control has no neighbours"


@pytest.mark.parametrize(
    ("projection", "kind"), [(1.0, "reproduced"), (1.3, "direction reproduced"), (30.0, "not reproduced")]
)
def test_speed_is_judged_by_ratios(projection, kind):
    seconds = {"projection": projection, "projection, style cached": 0.5, "AdaIN": 0.8, "WCT": 4.0, "EFDM": 12.0}
    value = {
        "seconds": {k: [v] * 5 for k, v in seconds.items()},
        "shape": [1, 1, 1],
        "zeros": 0.5,
        "threads": 1,
        "encoder": "m",
    }
    assert speed.judge_operators([value]).kind == kind


def test_steadiness_is_the_ratio_of_changes():
    steady = pictures.Steadiness()
    assert steady.ratio is None
    for i in range(3):
        steady.add(torch.full((3, 2, 2), 0.1 * i), torch.full((3, 2, 2), 0.3 * i))
    assert steady.ratio == pytest.approx(3)
