"""Q9b's judge says what its criterion says, on values made up for it."""

import pytest

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
