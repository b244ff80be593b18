"""Every claim runs at preset smoke; judges say what their criterion says, on values made up for it."""

import numpy as np
import pytest

from claimkit.errors import InputError
from claimkit.experiment import Job
from claimkit.runner import reproduce
from stylenas.claims import EXPERIMENTS, confirmed, cost, efficiency, found, fronts, overhead, proxies, speed

weights = pytest.importorskip("photonet.weights")


@pytest.mark.slow
def test_every_claim_runs_at_smoke(tmp_path):
    if not weights.shipped().exists():
        pytest.skip("photonet ships no weights here")
    outcomes = {o.claim: o for o in reproduce("stylenas", preset="smoke", out=tmp_path)}
    assert set(outcomes) == {f"N{i}" for i in range(1, 14)}
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


def test_workers_that_wait_are_told_from_processors_that_are_in_each_others_way():
    crowded = {"busy": [10.0, 15.0], "seconds": [10.1, 7.6]}
    found = cost.judge_waiting([crowded])
    assert found.kind == "reproduced"
    assert found.effect.value == pytest.approx(15 / 15.2)
    assert "1.50 times as long" in found.reason
    assert "1.33 times as fast" in found.reason
    assert cost.judge_scaling([crowded | {"efficiency": 0.66}]).kind == "not reproduced"
    assert cost.judge_waiting([{"busy": [10.0, 10.0], "seconds": [10.1, 5.6]}]).kind == "not reproduced"
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


def confirmation(named=0.06, log=0.07, drawn=0.12, slow=1.0):
    """Objectives of five networks with ten fresh seeds that move them alike, and seconds."""
    noise = np.linspace(-0.01, 0.01, 10)
    rows = {
        confirmed.NAMED: named,
        confirmed.LUCKIEST: 0.065,
        confirmed.DRAWN: drawn,
        "photonas": 0.08,
        "best-of-log": log,
    }
    own = [0.001 * np.sin(i + np.arange(10)) for i in range(len(rows))]
    objective = {n: (x + noise + y - y.mean()).tolist() for (n, x), y in zip(rows.items(), own, strict=True)}
    seconds = dict.fromkeys(rows, 1.0) | {confirmed.NAMED: slow}
    genomes = {confirmed.NAMED: "01", confirmed.LUCKIEST: "10"}
    about = {"genomes": genomes, "once": [0.2, 0.05], "size": 256}
    return {"objective": objective, "quality": objective, "seconds": seconds, **about}


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, "reproduced"),
        ({"log": 0.0602}, "direction reproduced"),
        ({"log": 0.05}, "not reproduced"),
        ({"slow": 2.0}, "not reproduced"),
        ({"drawn": 0.06}, "not run"),
    ],
)
def test_what_was_confirmed_is_judged_with_fresh_seeds(changed, kind):
    verdict = confirmed.judge([confirmation(**changed)])
    assert verdict.kind == kind and "best of the search is +0.0150 from what it promised" in verdict.reason


def test_the_confirmed_network_is_the_one_of_the_lowest_mean(monkeypatch):
    """Seeds of search, confirmation and judgement are three sets, and what is named is the confirmation's first."""
    asked: list[tuple[str, int]] = []

    class Space:
        operators, name = ("a", "b"), "made up"

        def __init__(self, **_):
            pass

        def canonical(self, genome):
            return genome

        def evaluate(self, genome):
            return {"reconstruction": 0.1 * int(genome, 2), "perception": 0.0, "operators": 0.0, "quality": 0.0}

        def confirm(self, genome, seed):
            asked.append((genome, seed))
            worse = 5.0 if genome == "00" else 0.0
            return {"reconstruction": worse + int(genome, 2), "perception": 0.0, "operators": 0.0, "quality": 0.0}

    monkeypatch.setattr(confirmed, "StyleSpace", Space)
    monkeypatch.setattr(confirmed, "genome_of", lambda name: "10" if name == "photonas" else "11")
    monkeypatch.setattr(confirmed, "photonet_bits", lambda genome: genome)
    timed = {f"{g}: {speed.KEPT}": [1.0] for g in ("00", "01", "10", "11")}
    monkeypatch.setattr(speed, "measure", lambda s, job, names: {"seconds": timed})
    found = confirmed.measure(confirmed.Confirmed(budget=4, count=3, again=2, fresh=2), Job(0))
    assert found["genomes"][confirmed.NAMED] == "01" and found["genomes"][confirmed.LUCKIEST] == "00"
    assert {s for _, s in asked} == {1, 2, 101, 102}
    assert [row[0] for row in found["confirmed"]] == ["01", "10", "00"]
