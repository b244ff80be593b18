"""P12: its judge says what its criterion says, on values made up for it, and it runs at smoke."""

import numpy as np
import pytest

from claimkit.experiment import Job
from styleproj.claims.weights import AGAIN, BEFORE, COLOURS, EXPERIMENTS, JOINT, MEASURES, NOW, judge, looked_at
from styleproj.networks.weights import load_network
from styleproj.samples import photograph, square

SHIPPED = {"style": 0.2, "Gram": 0.4, "content": 0.8, "raw content": 1.0, "edges": 0.5, "weave": 1.1}
SHIPPED |= {"foreign": 0.02, "clipped": 0.09}
BETTER = {"content": 0.7, "edges": 0.6, "foreign": 0.01, "clipped": 0.02}


def values(again=SHIPPED, colours=0.6, **changed):
    rng = np.random.default_rng(0)
    rows = {
        NOW: SHIPPED | BETTER | changed,
        BEFORE: SHIPPED,
        AGAIN: again,
        JOINT: SHIPPED,
        COLOURS: SHIPPED | {"Gram": colours},
    }
    noise = dict.fromkeys(rows, 0 * rng.normal(size=16)) | {NOW: 0.01 * rng.normal(size=16)}
    measures = {n: {m: list(row[m] * (1 + noise[n])) for m in MEASURES} for n, row in rows.items()}
    return [{"measures": measures, "styles": [f"paintings/{i % 8}" for i in range(16)], "judge": "made up"}]


@pytest.mark.parametrize(
    ("changed", "kind", "missed"),
    [
        ({}, "reproduced", "nothing"),
        ({"style": 0.206, "Gram": 0.412}, "reproduced", "nothing"),  # 3 % worse, within the margin
        ({"style": 0.2098}, "not reproduced", "style"),  # the mean is within the margin, the interval is not
        ({"Gram": 0.43}, "not reproduced", "Gram"),
        ({"content": 0.8}, "not reproduced", "content"),
        ({"edges": 0.5}, "not reproduced", "edges"),
        ({"foreign": 0.02, "clipped": 0.09}, "not reproduced", "foreign, clipped"),
        ({"weave": 1.3}, "not reproduced", "weave"),
        ({"again": SHIPPED | {"weave": 1.1001}}, "not run", None),
        ({"colours": 0.3}, "not run", None),
    ],
)
def test_judge(changed, kind, missed):
    verdict = judge(values(**changed))
    assert verdict.kind == kind, verdict.reason
    assert missed is None or f"Missed: {missed}. " in verdict.reason
    assert verdict.effect is not None
    assert verdict.effect.value == pytest.approx(changed.get("style", 0.2) / 0.2 - 1, abs=0.01)


def test_it_runs_at_smoke_and_the_control_is_exact():
    (experiment,) = EXPERIMENTS
    found = experiment.measure(experiment.presets["smoke"], Job(0))["measures"]
    assert found[AGAIN] == found[BEFORE]
    assert all(len(row[m]) == 4 and np.isfinite(row[m]).all() for row in found.values() for m in MEASURES)
    assert len({tuple(row["Gram"]) for row in found.values()}) == 4


def test_a_picture_is_nothing_from_itself():
    x = square(photograph("astronaut"), 64)
    row = looked_at({"itself": x}, x, x, load_network().encoder)["itself"]
    assert [row[m] for m in ("style", "Gram", "content", "raw content", "foreign")] == pytest.approx([0] * 5, abs=1e-4)
    assert row["edges"] == pytest.approx(1)
