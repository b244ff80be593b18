"""P6b and P22: their judges say what their criteria say, and what they measure is measured."""

import pytest

from claimkit.experiment import Job
from styleproj.claims.ratios import EXPERIMENTS, judge, judge_costs, paces_of_studio


def values(small=0.06, large=0.07, noise=0.03):
    rounds = [1 - noise, 1.0, 1 + noise] * 3
    seconds = {
        side: {"AdaIN": [2.0] * 9, "projection": [2 * r * x for x in rounds]} for side, r in (("256", small), ("512", large))
    }
    return [{"seconds": seconds, "threads": 2, "encoder": "made up"}]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "reproduced"),
        ({"large": 0.099, "noise": 0.05}, "direction reproduced"),  # the mean is below the bar, the interval is not
        ({"small": 0.2}, "direction reproduced"),
        ({"small": 1.1}, "not reproduced"),
    ],
)
def test_judge(options, kind):
    verdict = judge(values(**options))
    assert verdict.kind == kind, verdict.reason
    assert verdict.effect.value == pytest.approx(max(0.06, 0.07, *(v for k, v in options.items() if k != "noise")), rel=1e-2)


def test_it_runs_at_smoke():
    experiment = EXPERIMENTS[0]
    found = experiment.measure(experiment.presets["smoke"], Job(0))
    assert set(found["seconds"]) == {"64"} and all(len(t) == 3 for t in found["seconds"]["64"].values())
    assert "Encoder: " in experiment.judge([found]).reason


@pytest.mark.parametrize(
    ("ratio", "pace", "instructions", "kind"),
    [
        (0.45, 30, "AVX2", "reproduced"),
        (0.495, 30, "AVX2", "direction reproduced"),  # the mean is below the bar, the interval is not
        (0.45, 24, "AVX2", "direction reproduced"),  # the median is at the bar, one call in four is below
        (0.6, 20, "AVX2", "not reproduced"),
        (0.45, 30, "AVX512", "not run"),
    ],
)
def test_judge_of_costs(ratio, pace, instructions, kind):
    rounds = [0.95, 1.0, 1.05] * 7
    seconds = {"MicroAST": [0.3] * 21, "styleproj": [0.3 * ratio * x for x in rounds]}
    paces = [pace * x for x in rounds]
    verdict = judge_costs([{"cpu seconds": seconds, "paces": paces, "instructions": instructions, "threads": 2}])
    assert verdict.kind == kind, verdict.reason


def test_paces_are_pictures_a_second():
    instructions, paces = paces_of_studio(32, 0.2, 1)
    assert instructions and len(paces) > 2 and sum(1 / p for p in paces) == pytest.approx(0.2, rel=0.5)
