"""The arena's claims: controls and power first; the placebo takes the guard's longer step in the plain direction."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from claimkit.experiment import Job
from claimkit.transfer.arena import strokes
from claimkit.transfer.arena.tasks import SMOKE
from claimkit.transfer.data import from_arrays
from claimkit.transfer.loop import FineTuner, FineTuning
from claimkit.transfer.networks import SmallCNN, reinitialise
from claimkit.transfer.regularizers import L2SP, Regularizer, Step
from claimkit.transfer.tasks import Split
from dtnh.claims import arena, photographs
from dtnh.finetune.guarded import Guarded, RateBoost
from dtnh.penalties.distillation import FeatureMaps


def values(gain=0.0, boost=0.0, lag=0.0, seeds=12, spread=0.2, held=55.5, l2=60.0):
    """Made-up runs: the guard is ahead of the base by ``gain``, the boost by ``boost``; ``lag`` is the lagged guard's."""
    rng, made = np.random.default_rng(0), []
    for _ in range(seeds):
        common = rng.normal(0, 3)
        rows = [["t", m, 0.0, 0.5, (x + common) / 100, 0.1, 0] for m, x in (("scratch", 40), ("frozen", 55), ("l2", l2))]
        for name, alpha, base in (("l2sp", 0.3, 58.0), ("fm", 1e-2, 57.0), ("fm", 5e-2, held)):
            ways = {"plain": 0.0, "guard": gain, "boost": boost, "random": 0.0, "lagged": gain + lag}
            for how, extra in ways.items():
                if how != "lagged" or name == "fm":
                    score = base + common + extra + rng.normal(0, spread)
                    rows.append(["t", f"{name} {how}", alpha, 0.5, score / 100, 0.1, 0])
        made.append({"runs": rows})
    return made


def test_the_guard_is_judged_cell_by_cell_and_against_both_placebos():
    assert arena.judge_harmless(values(gain=0.2)).kind == "reproduced"
    lost = arena.judge_harmless(values(gain=-1))
    assert lost.kind == "not reproduced" and lost.effect.low < -0.5
    assert arena.judge_direction(values(gain=1)).kind == "reproduced"
    assert arena.judge_direction(values(gain=1, boost=1.02)).kind != "reproduced"
    assert arena.judge_direction(values(gain=-1)).kind == "not reproduced"
    assert arena.judge_lagged(values(lag=0.0, spread=0.1)).kind == "reproduced"
    late = arena.judge_lagged(values(lag=-0.4, spread=0.1))
    assert late.kind == "not reproduced" and "reaches" in late.reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"held": 59.0}, "fm at its largest weight 0.05 is at"),
        ({"l2": 54.0}, "frozen .* is not beaten"),
        ({"spread": 3.0}, "12 paired seeds have intervals wider"),
        ({"seeds": 1}, "One seed"),
    ],
)
def test_a_failed_control_or_too_few_seeds_decide_nothing(changes, reason):
    for judge in (arena.judge_harmless, arena.judge_direction, arena.judge_lagged):
        verdict = judge(values(**changes))
        assert verdict.kind == "not run" and re.search(reason, verdict.reason)


def test_every_way_runs_with_every_penalty(monkeypatch):
    monkeypatch.setattr(strokes, "source", lambda: reinitialise(SmallCNN(1, (8, 16), 40), 0).eval())
    runs = arena.measure(arena.Arena(targets=(SMOKE,)), Job(0))["runs"]
    ways = {m.split()[1] for m in (r[1] for r in runs) if " " in m}
    assert ways == {"plain", "guard", "boost", "random", "lagged"} and not any(r[6] for r in runs)
    assert {r[2] for r in runs if r[1] == "fm plain"} == {1e-2, 5e-2}


def test_every_arm_of_a_preset_has_one_rate_and_the_search_goes_beyond_it():
    for e in (*arena.EXPERIMENTS, *photographs.EXPERIMENTS):
        for preset in set(e.presets) - {"smoke"}:
            for target in e.presets[preset].targets:
                assert min(target.rates) < target.learning_rate < max(target.rates)
            weights = e.presets[preset].weights
            assert f"feature maps at weight {max(weights):g} within" in e.claim.criterion


def test_weights_on_features_follow_the_size_of_the_features(monkeypatch):
    monkeypatch.setattr(strokes, "source", lambda: reinitialise(SmallCNN(1, (8, 16), 40), 0).eval())
    large = arena.penalties(replace(SMOKE, feature_scale=1e-4).ring(Job(0)), arena.CLIPPED)
    assert [(name, pytest.approx(a)) for name, a in large] == [("l2sp", 0.3), ("bss", 1e-5), ("fm", 5e-7), ("fm", 5e-6)]
    assert large["bss", 1e-5]().eta == 1e-5 and large["l2sp", 0.3]().alpha == 0.3


def test_features_of_the_source_are_computed_once_for_all_arms(monkeypatch):
    monkeypatch.setattr(strokes, "source", lambda: reinitialise(SmallCNN(1, (8, 16), 40), 0).eval())
    ring = SMOKE.ring(Job(0))
    made = arena.penalties(ring, (1e-2, 5e-2))
    weak, strong = made["fm", 1e-2](), made["fm", 5e-2]()
    assert weak.cache is strong.cache and (weak.alpha, strong.alpha) == (1e-2, 5e-2)
    fresh = FeatureMaps(ring.source, weak.layers, 1e-2)
    first, again = (ring.run("fm", 1e-2, m) for m in (fresh, weak))
    assert first[3:] == pytest.approx(again[3:])


def test_the_boosted_sum_is_as_much_longer_as_the_guard_makes_the_loss_gradient():
    torch.manual_seed(0)
    model, x, y = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Linear(5, 3)), torch.randn(8, 4), torch.arange(8) % 3
    cross_entropy(model(x), y).backward()
    source = copy.deepcopy(model)
    with torch.no_grad():  # the pull then opposes the loss, and more
        for p, w in zip(source.parameters(), model.parameters(), strict=True):
            p += 0.1 * w.grad + 0.01 * torch.randn_like(p)

    def gradient(method):
        model.zero_grad()
        method.backward(Step(model, dict(model.named_parameters()), "1", cross_entropy(model(x), y), x, y))
        return torch.cat([p.grad.flatten() for p in model[0].parameters()])

    guarded = Guarded(L2SP(source, 5.0))
    d, plain, boosted = gradient(guarded), gradient(L2SP(source, 5.0)), gradient(RateBoost(L2SP(source, 5.0)))
    coef = float(guarded.conflicts.column("coef")[0])
    assert coef > 0.1
    torch.testing.assert_close(boosted, (1 + coef) * plain)
    assert not torch.allclose(boosted, d)


def test_the_loop_hands_its_optimizer_to_the_guard_and_moments_see_the_loss_alone():
    data = from_arrays(torch.rand(12, 1, 8, 8), torch.arange(12) % 3)
    model = reinitialise(SmallCNN(1, (4, 6), 3), 0)
    source = copy.deepcopy(model)
    for p in source.parameters():
        p.data += 1
    settings = FineTuning(2, 4, 1e-3, augment=False, optimizer="adamw")
    tuners = [FineTuner(copy.deepcopy(model), Split(data, data, data), strokes.VIEW, settings, r) for r in (
        Regularizer(), Guarded(L2SP(source, 10.0)), L2SP(source, 10.0))]  # fmt: skip
    for t in tuners:
        t.advance()
    plain, guarded, added = ([t.optimizer.state[p]["exp_avg"] for p in t.model.parameters()] for t in tuners)
    assert all(torch.equal(a, b) for a, b in zip(plain, guarded, strict=True))
    assert not torch.allclose(plain[0], added[0])
    assert not torch.equal(next(tuners[0].model.parameters()), next(tuners[1].model.parameters()))


def test_a_guarded_arm_whose_gradient_is_not_finite_counts_as_chance():
    ring = SMOKE.ring(Job(0))
    run = ring.run("l2sp guard", 1e38, Guarded(L2SP(ring.source, 1e38)), settings=replace(ring.settings, learning_rate=1e6))
    assert run[3:5] == [0.1, 0.1] and run[6] == 1
