"""The judges of Q9b and Q15 say what their criteria say, on values made up for them."""

import numpy as np
import pytest

from quasipotential.claims.escapes import leaving
from quasipotential.claims.solvers.ratios import judge


def values(jets=0.12, coarse=0.05, fine=0.8, error=1e-6, meshes=(1025, 209, 129, 513)):
    ratios = {"OLIM": 1.0, "jets": jets, "cubic, coarse": coarse, "cubic, fine": fine}
    spread = [0.97, 1.0, 1.03] * 3
    seconds = {name: [1.5 * r * (x if name != "OLIM" else 1.0) for x in spread] for name, r in ratios.items()}
    return [{"seconds": seconds, "error": dict.fromkeys(ratios, error), "meshes": list(meshes)}]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "reproduced"),
        ({"jets": 0.132}, "direction reproduced"),  # its mean is below the bar, its interval is not
        ({"fine": 1.2}, "direction reproduced"),
        ({"coarse": 0.07}, "direction reproduced"),
        ({"jets": 1.1}, "not reproduced"),
        ({"error": 2e-6}, "not reproduced"),
        ({"meshes": (257, 129, 65, 129)}, "not run"),
    ],
)
def test_judge(options, kind):
    verdict = judge(values(**options))
    assert verdict.kind == kind, verdict.reason
    if kind != "not run":
        assert verdict.effect.value == pytest.approx(options.get("jets", 0.12), rel=1e-3)


def stays(last=300, slopes=(0.2, 0.1, 0.1, 0.1)):
    wells = {}
    for well, slope in zip(("quiet", "noisy", "even, left", "even, right"), slopes, strict=True):
        mean = 10 * np.exp(slope * np.array([10, 20, 30, 40]))
        action = 0.2 if well == "quiet" else 0.1
        wells[well] = {"batches": [2, 4, 6, 8], "mean": mean.tolist(), "exits": [300, 300, 300, last], "action": action}
    return [{"step": 0.2, "wells": wells}]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "reproduced"),
        ({"slopes": (0.24, 0.1, 0.1, 0.1)}, "direction reproduced"),
        ({"slopes": (0.1, 0.1, 0.1, 0.1)}, "not reproduced"),
        ({"slopes": (0.2, 0.1, 0.1, 0.13)}, "not run"),
        ({"last": 0}, "not run"),  # a batch size from which nothing came out
    ],
)
def test_judge_of_exits(options, kind):
    verdict = leaving.judge(stays(**options))
    assert verdict.kind == kind, verdict.reason
