"""Two processes with half of the batch each are one process with the whole, to 1e-6."""

import subprocess
import sys

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from dtnh import L2SP, Guard

pytestmark = pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="needs gloo")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def train(model, inner, x, y, halves=1):
    """Three steps with a regulariser of the data and one in closed form; parameters afterwards, and the conflicts."""
    guard = Guard(model)
    pull = L2SP(inner, {n: torch.zeros_like(p) for n, p in inner.named_parameters()}, alpha=0.5)
    optimizer = torch.optim.SGD(inner.parameters(), 0.2, 0.9)
    for _ in range(3):
        optimizer.zero_grad()
        parts = list(zip(x.chunk(halves), y.chunk(halves), strict=True))
        for k, (a, b) in enumerate(parts):
            logits = model(a)
            reg = 2 * (inner[0](a) - 1).square().mean()
            loss = cross_entropy(logits, b)
            grad = {n: t / halves for n, t in pull.grad().items()}
            guard.backward(loss / halves, reg / halves, grad, accumulate=k < halves - 1)
        optimizer.step()
    return [p.detach().clone() for p in inner.parameters()], guard.conflicts.table()


def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(16, 6, generator=generator), torch.randint(3, (16,), generator=generator)


WAYS = [(1, False), (2, True)]
"""Micro-batches a step, and whether gradients are views of the buckets."""


def worker(file, out, rank):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    try:
        x, y = (t.chunk(2)[rank] for t in data())
        for halves, bucket_view in WAYS:
            inner = network()
            model = DistributedDataParallel(inner, gradient_as_bucket_view=bucket_view)
            torch.save(train(model, inner, x, y, halves), f"{out}.{rank}.{halves}")
        dist.barrier()  # one that leaves while the other still talks may abort at its end
    finally:
        dist.destroy_process_group()


def test_two_processes_are_one(tmp_path):
    command = [sys.executable, __file__, str(tmp_path / "meet"), str(tmp_path / "out")]
    processes = [subprocess.Popen([*command, str(rank)]) for rank in range(2)]
    assert [p.wait(timeout=600) for p in processes] == [0, 0]
    inner = network()
    expected, table = train(inner, inner, *data())
    assert table[:, 1].max() == 1
    for rank in range(2):
        for halves, _ in WAYS:
            got, told = torch.load(f"{tmp_path / 'out'}.{rank}.{halves}", weights_only=False)
            for a, b in zip(got, expected, strict=True):
                assert float((a - b).abs().max()) < 1e-6
            assert abs(told - table).max() < 1e-5


if __name__ == "__main__":
    worker(sys.argv[1], sys.argv[2], int(sys.argv[3]))
