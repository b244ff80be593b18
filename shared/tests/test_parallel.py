"""Two processes that torchrun starts leave the weights of one."""

import os
import subprocess
import sys
import weakref

import pytest
import torch

from claimkit.errors import InputError
from claimkit.training import parallel

SCRIPT = """
import sys, torch
from claimkit.training import parallel
from claimkit.transfer.data import View, from_arrays
from claimkit.transfer.loop import FineTuning, finetune
from claimkit.transfer.networks import SmallCNN, reinitialise
from claimkit.transfer.regularizers import L2SP
from claimkit.transfer.tasks import Split

torch.set_num_threads(1)
x = torch.randn(24, 8, 8, generator=torch.Generator().manual_seed(0)).numpy()
images = from_arrays(x, [i % 3 for i in range(24)])
model = reinitialise(SmallCNN(1, (4, 8), 3), 0)
for m in model.modules():  # a share's statistics are not the batch's
    if isinstance(m, torch.nn.BatchNorm2d):
        m.eval().train = lambda mode=True: m
split = Split(images, images.take(images.y[:0]), images)
view = View(8, pad=1, flip=False, mean=(0.0,), std=(1.0,))
result = finetune(model, split, view, FineTuning(6, 8, 0.1), L2SP(model, 0.1))
if parallel.leads():
    torch.save({"state": model.state_dict(), "losses": list(result.losses)}, sys.argv[1])
"""


def test_two_processes_train_as_one(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    found = []
    for name, command in (("one", [sys.executable]), ("two", torchrun)):
        done = subprocess.run([*command, str(script), str(tmp_path / name)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(torch.load(tmp_path / name))
    one, two = found
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
    for k, v in one["state"].items():
        assert torch.allclose(v, two["state"][k], atol=1e-6), k


def test_a_process_alone_is_left_as_it_is(monkeypatch):
    weight = torch.nn.Parameter(torch.ones(3))
    weight.grad = torch.tensor([1.0, 2.0, 3.0])
    parallel.average_gradients([weight])
    batch = torch.arange(5)
    assert weight.grad.tolist() == [1, 2, 3] and parallel.share(batch) is not None
    assert parallel.join("cpu") == "cpu" and parallel.leads() and parallel.summed(weight) is weight
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert parallel.share(batch, even=False).tolist() == [1, 3]
    with pytest.raises(InputError, match="cannot be shared evenly by 2"):
        parallel.share(batch)
    assert os.environ["RANK"] == "1" and not parallel.leads()


def test_what_was_wrapped_is_gone_before_the_processes_part(monkeypatch):
    """Otherwise one run in four of two processes was aborted after its work was done."""
    wrapped = torch.nn.Linear(2, 2)
    wrapped.reducer = [wrapped]  # DistributedDataParallel refers to itself, too
    seen, alive = [], weakref.ref(wrapped)
    del wrapped
    assert alive() is not None
    monkeypatch.setattr(parallel.dist, "destroy_process_group", lambda: seen.append(alive()))
    parallel._leave()
    assert seen == [None]
