"""C13 to C16: every arm runs; the training of their source can be taken up again and gives the same weights."""

import importlib.util
from pathlib import Path

import pytest
import torch

from claimkit.experiment import Job
from claimkit.transfer.arena import strokes
from claimkit.transfer.arena.tasks import SMOKE
from claimkit.transfer.data import from_arrays
from claimkit.transfer.networks import SmallCNN, reinitialise
from delta.claims import halves


def test_every_arm_runs(monkeypatch):
    monkeypatch.setattr(strokes, "source", lambda: reinitialise(SmallCNN(1, (8, 16), 40), 0).eval())
    runs = halves.measure(halves.Arena(targets=(SMOKE,), short=True), Job(0))["runs"]
    assert {r[1] for r in runs} == {"scratch", "frozen", "l2", "probe", "l2sp", "fm", "delta"} and not any(
        r[6] for r in runs
    )


def test_features_that_are_held_are_told_from_features_that_move(monkeypatch):
    """C16 fails where held features learn more than frozen ones, and where plain L2 learns no more."""
    monkeypatch.setattr(strokes, "source", lambda: reinitialise(SmallCNN(1, (8, 16), 40), 0).eval())
    runs = halves.measure_held(halves.HELD["smoke"], Job(0))["runs"]
    assert [r[1] for r in runs] == ["frozen", "l2", "fm", "delta"]

    def kind(l2, fm, delta, seeds=3):
        rows = [["t", m, 0.1, 0.5, 0.5, x, 0] for m, x in (("frozen", 1.0), ("l2", l2), ("fm", fm), ("delta", delta))]
        noisy = [[[*r[:5], r[5] + 0.001 * k * (r[1] != "frozen"), 0] for r in rows] for k in range(seeds)]
        return halves.judge_held([{"runs": runs} for runs in noisy]).kind

    assert kind(0.45, 0.99, 1.02) == "reproduced"
    for losses in ((0.8, 0.99, 1.02), (0.45, 0.8, 1.02), (0.45, 0.99, 0.8), (0.45, 1.3, 1.02), (0.45, 0.99, 1.3)):
        assert kind(*losses) == "not reproduced"
    assert kind(0.45, 0.99, 1.02, seeds=1) == "not run"


@pytest.fixture
def source():
    where = Path(__file__).parents[1] / "training" / "source.py"
    spec = importlib.util.spec_from_file_location("delta_training_source", where)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_training_taken_up_again_gives_the_same_weights_and_ends_at_a_rate_of_zero(source, tmp_path, monkeypatch):
    monkeypatch.setattr(source, "BATCH", 8)
    images = from_arrays(torch.randint(0, 256, (16, 3, 64, 64), dtype=torch.uint8), torch.arange(16) % 4)
    whole, first, second = (source.Training(images) for _ in range(3))
    rates = []
    whole.optimizer.register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    for _ in range(source.EPOCHS):
        whole.advance()
    assert rates[-1] < 0.1 * max(rates)
    first.advance()
    first.save(tmp_path / "checkpoint.pt")
    second.load(tmp_path / "checkpoint.pt")
    first.advance(), second.advance()
    assert all(torch.equal(v, second.network.state_dict()[k]) for k, v in first.network.state_dict().items())
