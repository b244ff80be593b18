"""Every claim runs at preset smoke; judges say what their criterion says, on values made up for it."""

import numpy as np
import pytest

from claimkit.errors import InputError
from claimkit.runner import reproduce
from stylenas.claims import EXPERIMENTS, cost, efficiency, found, fronts, overhead, proxies, speed

weights = pytest.importorskip("photonet.weights")


@pytest.mark.slow
def test_every_claim_runs_at_smoke(tmp_path):
    if not weights.shipped().exists():
        pytest.skip("photonet ships no weights here")
    outcomes = {o.claim: o for o in reproduce("stylenas", preset="smoke", out=tmp_path)}
    assert list(outcomes) == [f"N{i}" for i in range(1, 12)]
    assert not [o.error for o in outcomes.values() if o.record is None]
    for o in outcomes.values():
        assert (o.record.picture is None) or (tmp_path / o.record.picture).stat().st_size > 5_000


def test_every_claim_is_measured_at_small_but_the_search_of_an_hour_and_what_it_found():
    assert [e.claim.id for e in EXPERIMENTS if "small" not in e.presets] == ["N9", "N10"]


def races(wins, n=10, gap=0.1):
    for i in range(n):
        lower = 1 - gap if i < wins else 1 + gap / 10
        yield {"best": {"evolution": [2.0, lower + 0.001 * i], "random": [2.0, 1 + 0.001 * i]}}


@pytest.mark.parametrize(
    ("wins", "n", "kind"),
    [
        (10, 10, "reproduced"),
        (8, 10, "reproduced"),
        (7, 10, "direction reproduced"),
        (0, 10, "not reproduced"),
        (5, 5, "not run"),
    ],
)
def test_evolution_must_win_eight_of_ten(wins, n, kind):
    assert efficiency.judge(list(races(wins, n))).kind == kind


def plane(quality, macs, latency):
    return {"quality": quality, "macs": macs, "latency": latency}


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (plane(0.1, 0.1, 0.1), "reproduced"),
        (plane(0.1, 0.3, 0.1), "direction reproduced"),
        (plane(0.1, 0.1, 9.0), "not reproduced"),
        (plane(9.0, 0.1, 0.1), "not reproduced"),
    ],
)
def test_a_front_is_judged_in_all_three_costs(found, kind):
    presets = {"photonet": plane(0.0, 1, 1), "photonas": plane(0.2, 0.4, 0.4), "best-of-log": plane(0.2, 0.2, 0.2)}
    values = {"presets": presets, "published": {"points": [[0.5, 0.5]], "front": {"0": found}}}
    assert fronts.judge([values]).kind == kind


@pytest.mark.parametrize(
    ("gap", "slower", "kind"),
    [
        (0.1, 1.0, "reproduced"),
        (0.001, 1.0, "direction reproduced"),
        (-0.1, 1.0, "not reproduced"),
        (0.1, 9.0, "not reproduced"),
    ],
)
def test_what_was_found_must_be_better_and_no_slower(gap, slower, kind):
    seconds = {n: dict.fromkeys(speed.WAYS, t) for n, t in {"stylenas": slower, "photonas": 2.0, "best-of-log": 1.0}.items()}
    values = [
        {"quality": {"stylenas": 0.5 - gap + x, "photonas": 0.6, "best-of-log": 0.5}, "seconds": seconds, "size": 256}
        for x in (0.0, 0.01, -0.01, 0.02, -0.02)
    ]
    assert found.judge(values).kind == kind
    assert found.judge(values[:1]).kind == "not run"


def test_proxies_are_judged_by_intervals():
    rng = np.random.default_rng(0)
    latency = rng.random(40)
    noisy = list(latency + 0.5 * rng.random(40))
    good = {"latency": list(latency), "macs": list(latency), "operators": noisy}
    assert proxies.judge_costs([good]).kind == "reproduced"
    assert proxies.judge_costs([good | {"operators": list(latency)}]).kind == "not reproduced"
    shared = {"shared": list(latency), "scratch": noisy}
    assert proxies.judge_trainings([shared]).kind == "reproduced"
    assert proxies.judge_trainings([{k: v[:19] for k, v in shared.items()}]).kind == "not run"
    assert proxies.judge_trainings([shared | {"scratch": list(rng.random(40))}]).kind == "not reproduced"


@pytest.mark.parametrize(("factor", "kind"), [(25, "reproduced"), (2, "direction reproduced"), (0.9, "not reproduced")])
def test_speed_is_judged_by_the_lower_quartile(factor, kind):
    names = [f"{n}: {how}" for n in speed.PRESETS for how in ("eager", "executor", "executor, style kept")]
    seconds = {n: [1.0] * 5 for n in names} | {"photonet: eager": [float(factor)] * 5}
    values = {
        "seconds": seconds,
        "transforms": {n: [0.1] * 5 for n in speed.PRESETS},
        "macs": dict.fromkeys(speed.PRESETS, 1),
    }
    assert speed.judge([values]).kind == kind


def test_costs_are_judged_by_their_bars():
    assert cost.judge_overhead([{"milliseconds": 19.0, "evaluations": 1, "copies": 1}]).kind == "reproduced"
    assert cost.judge_overhead([{"milliseconds": 21.0, "evaluations": 1, "copies": 1}]).kind == "not reproduced"
    assert cost.judge_scaling([{"efficiency": 0.86, "seconds": [2, 1]}]).kind == "reproduced"
    assert cost.judge_scaling([{"efficiency": 0.84, "seconds": [2, 1]}]).kind == "not reproduced"
    whole = {"minutes": 50, "objective": [4.0, 3.0, 2.0, 1.0], "best": "0", "presets": {"photonas": 1.5}}
    assert cost.judge_whole([whole]).kind == "reproduced"
    assert cost.judge_whole([whole | {"minutes": 70}]).kind == "direction reproduced"
    assert (
        cost.judge_whole([whole | {"objective": [1.0, 2.0, 3.0, 4.0], "presets": {"photonas": 0.5}}]).kind
        == "not reproduced"
    )


def test_a_front_needs_points():
    with pytest.raises(InputError):
        fronts.front_of([[1.0, float("nan")]])


@pytest.mark.parametrize(
    ("journal", "sqlite", "again", "kind"),
    [
        (0.5, 0.2, 1.0, "reproduced"),
        (1.2, 0.2, 1.0, "direction reproduced"),
        (1.2, 1.1, 1.0, "not reproduced"),
        (0.5, 0.2, 1.3, "not run"),
    ],
)
def test_the_overhead_is_judged_beside_a_plain_loop(journal, sqlite, again, kind):
    times = np.array([0.99, 1.0, 1.01, 1.0])
    rows = {f"{n}, {p}": (x * times).tolist() for p, o in (("journal", journal), ("sqlite", sqlite))
            for n, x in (("ours", o), ("plain", 1.0), ("again", again))}  # fmt: skip
    for name in ("plain, journal", "plain, sqlite"):
        rows[name] = [1.0, 0.995, 1.005, 1.0]
    verdict = overhead.judge([{"seconds": rows, "budget": 10}])
    assert verdict.kind == kind and verdict.effect.value == pytest.approx(max(journal, sqlite), rel=0.01)
