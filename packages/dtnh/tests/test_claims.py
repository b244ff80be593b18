"""Every claim runs at preset smoke; judges say what their criterion says, on values made up for it."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from claimkit.runner import reproduce
from claimkit.transfer.regularizers import L2SP, Step
from dtnh.claims import EXPERIMENTS, grid, never_hurts
from dtnh.claims.witness import Witness
from dtnh.finetune import embedded


def test_every_claim_runs_at_smoke(tmp_path):
    outcomes = {o.claim: o for o in reproduce("dtnh", preset="smoke", out=tmp_path)}
    assert list(outcomes) == [f"C{i}" for i in (1, 2, *range(5, 18))]
    assert not [o.error for o in outcomes.values() if o.record is None]
    for o in outcomes.values():
        assert o.record.evidence is not None
        if o.claim not in {"C7", "C8", "C10", "C11", "C13", "C14"}:  # those of C6, C9 and C12 hold them
            assert (tmp_path / o.record.picture).stat().st_size > 5_000
        digits = o.claim in {"C1", "C2", "C5", "C15", "C16", "C17"}
        assert set(o.record.evidence.data) == ({"scikit-learn digits"} if digits else {"strokes"})
    values = [s.values for s in outcomes["C1"].record.evidence.seeds]
    assert len(grid.markdown(values).splitlines()) == 2 + 8


def test_two_losses_are_compared_under_the_same_dropout():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(8, 3))
    x, y = torch.randn(6, 8), torch.arange(6) % 3
    parameters = dict(model.named_parameters())
    step = Step(model, parameters, [], cross_entropy(model(x), y), x, y)
    witness, nowhere = Witness(L2SP(model, 0.1), 0.01), [torch.zeros_like(p) for p in parameters.values()]
    before = torch.get_rng_state()
    assert len({witness._loss(step, nowhere) for _ in range(3)}) == 1
    assert torch.equal(torch.get_rng_state(), before)


def test_every_claim_has_the_presets_at_which_it_is_asked():
    at = {p: {int(e.claim.id[1:]) for e in EXPERIMENTS if p in e.presets} for p in ("smoke", "small", "full")}
    assert at["smoke"] == {1, 2, *range(5, 18)}
    assert at["small"] == {1, 2, 5, 9, 10, 11}  # C9 to C11 in place of C6 to C8, whose task decides nothing
    assert at["full"] == {1, 2, 5, *range(12, 18)}  # C12 to C14 on photographs, C15 to C17 at the right layers


def values(gain, seeds=8, spread=0.1, l2=95.0, **changes):
    """Made-up runs; ``gain`` is the guard's over the base by cell."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(seeds):
        runs = []
        for source in embedded.SOURCES:
            l2_run = {"task": "digits", "source": source, "base": "l2", "alpha": 1e-4, "how": "plain"}
            runs.append(l2_run | {"test": l2, "validation": l2, "train_loss": 0.1})
            for alpha in (0.1, 1.0):
                base = 90 + rng.standard_normal()
                cell = {"task": "digits", "source": source, "base": "l2sp", "alpha": alpha}
                ours = base + gain(source, alpha) + spread * rng.standard_normal()
                runs.append(cell | {"how": "plain", "test": base, "validation": base, "train_loss": 0.5})
                seen = {"conflict": 0.9, "alignment": 1.0, "differences": [-0.1] * 20, "conflict_curve": [0.9] * 20}
                seen |= {"how": "guard", "test": ours, "validation": ours, "train_loss": 0.4}
                runs.append(cell | seen | changes)
        made.append({"runs": runs})
    return made


@pytest.mark.parametrize(
    ("gain", "spread", "kind"),
    [
        (lambda s, a: 1.0, 0.1, "reproduced"),
        (lambda s, a: -0.2, 0.1, "reproduced"),
        (lambda s, a: 0.0, 0.7, "direction reproduced"),
        (lambda s, a: -1.0 if s == "inappropriate" and a == 1 else 1.0, 0.1, "not reproduced"),
    ],
)
def test_one_cell_that_loses_more_than_half_a_point_refutes(gain, spread, kind):
    verdict = never_hurts.judge_non_inferior(values(gain, spread=spread))
    assert verdict.kind == kind
    if kind == "not reproduced":
        assert "fails in 1 (digits, inappropriate, l2sp 1)" in verdict.reason and "negative in 1 " in verdict.reason
    assert "behind in" in verdict.reason  # plain L2 stands beside


def test_the_gain_must_grow_with_mismatch_and_weight():
    def grows(source, alpha):
        return alpha * (1.0 if source == "appropriate" else 2.0)

    assert never_hurts.judge_gain(values(grows)).kind == "reproduced"
    assert never_hurts.judge_gain(values(lambda s, a: alpha_only(a))).kind != "reproduced"
    assert never_hurts.judge_gain(values(lambda s, a: -grows(s, a))).kind == "not reproduced"
    assert never_hurts.judge_gain(values(grows, spread=8.0, seeds=4)).kind != "reproduced"


def alpha_only(alpha):
    return 1 / alpha


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "reproduced"),
        ({"alignment": 0.99}, "not reproduced"),
        ({"differences": [0.1, -0.1]}, "not reproduced"),
        ({"train_loss": 0.6}, "not reproduced"),
        ({"differences": []}, "not run"),
    ],
)
def test_the_mechanism_needs_all_of_its_parts(changes, kind):
    verdict = never_hurts.judge_mechanism(values(lambda s, a: 1.0, **changes))
    assert verdict.kind == kind


def test_what_five_seeds_cannot_see_at_full_is_not_run_and_says_how_many_could():
    later = {e.claim.id: e for e in never_hurts.EXPERIMENTS[3:]}
    needed = {c: int(e.claim.power.lacking("full").split(": ")[1].split()[0]) for c, e in later.items()}
    assert needed == {"C15": 1110, "C16": 18, "C17": 413}
    for before, e in zip(never_hurts.EXPERIMENTS[:3], later.values(), strict=True):
        assert e.claim.criterion == before.claim.criterion and e.presets["full"] is before.presets["full"]


def test_one_seed_says_nothing():
    assert never_hurts.judge_non_inferior(values(lambda s, a: 1.0, seeds=1)).kind == "not run"
    assert never_hurts.judge_gain(values(lambda s, a: 1.0, seeds=1)).kind == "not run"


def test_the_interval_is_students():
    from scipy.stats import ttest_1samp

    x = np.array([0.1, 0.4, -0.2, 0.3])
    mean, low, high = never_hurts.interval(x)
    expected = ttest_1samp(x, 0).confidence_interval()
    assert (mean, low, high) == pytest.approx((x.mean(), expected.low, expected.high))
    assert never_hurts.interval(np.array([0.5, 0.5])) == (0.5, 0.5, 0.5)


def test_weights_are_chosen_on_validation():
    made = values(lambda s, a: a)
    for v in made:
        for r in v["runs"]:
            r["validation"] = -r["alpha"]
    chosen = grid.chosen_on_validation(made, "guard")
    assert all(np.array_equal(chosen[c[:3]], x["guard"]) for c, x in grid.cells(made).items() if c[3] == 0.1)


def test_the_witness_changes_nothing_and_sees_the_first_order():
    task = embedded.task("inappropriate")
    train = task.split(0).train

    def a_step(model):
        loss = cross_entropy(model(train.x), train.y)
        return Step(model, dict(model.named_parameters()), "fc", loss, train.x, train.y)

    nets = [task.network(0), task.network(0)]
    for net in nets:
        with torch.no_grad():
            net.get_parameter("conv1.weight").mul_(1.1)
    base = L2SP(task.source, 1.0)
    seen, plain = Witness(base, 1e-3, every=1), never_hurts_guard(base)
    seen.backward(a_step(nets[0]))
    plain.backward(a_step(nets[1]))
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))
    for name, buffer in nets[0].named_buffers():
        assert torch.equal(buffer, nets[1].get_buffer(name)), name
    info = seen.conflicts.last
    assert seen.alignment[0] == pytest.approx(1 + max(0.0, float(info.cos * info.reg_norm / info.grad_norm)), abs=1e-5)
    if info.conflict.item():
        expected = -1e-3 * float(info.coef * info.grad_norm**2)
        assert seen.differences[0] == pytest.approx(expected, rel=0.1)


def never_hurts_guard(base):
    from dtnh import Guarded

    return Guarded(base)


def test_embedded_sources_differ_in_what_they_know():
    for kind in embedded.SOURCES:
        task = embedded.task(kind)
        split = task.split(0)
        assert (len(split.train), len(split.validation), len(task.test)) == (50, 50, 696)
        assert not set(map(bytes, split.train.x.numpy())) & set(map(bytes, task.test.x.numpy()))
    with pytest.raises(ValueError, match="is none of appropriate"):
        embedded.source("best")


@pytest.mark.data
@pytest.mark.slow
def test_the_real_networks_run(tmp_path):
    folder = os.environ.get("CLAIMKIT_DATA")
    if not folder or not (Path(folder) / "datasets" / "tiny_imagenet30").is_dir():
        pytest.skip("needs CLAIMKIT_DATA with datasets/tiny_imagenet30 and weights")
    from claimkit.assets import Assets
    from claimkit.experiment import Job

    s = grid.Grid(tasks={"tiny-imagenet": ("inappropriate",)}, alphas={"l2sp": (0.3,)}, steps=2, batch=8)
    runs = grid.measure(s, Job(0, assets=Assets(Path(folder))))["runs"]
    assert [r["how"] for r in runs] == ["plain", "plain", "guard", "symmetric", "random"]
