"""P6b: its judge says what its criterion says, and it runs at smoke."""

import pytest

from claimkit.experiment import Job
from styleproj.claims.ratios import EXPERIMENTS, judge


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
    (experiment,) = EXPERIMENTS
    found = experiment.measure(experiment.presets["smoke"], Job(0))
    assert set(found["seconds"]) == {"64"} and all(len(t) == 3 for t in found["seconds"]["64"].values())
    assert "Encoder: " in experiment.judge([found]).reason
