"""Gradients of many replicas: written in batched products, by vmap(grad), and in a loop; and the sweep of claim M4.

No user calls these: the records stand in a folder of their own, beside those that the README shows.
"""

from pathlib import Path

import torch
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from claimkit import bench
from msgd.theory.replicas import Perceptron, descend
from msgd.theory.sparse_regression import matched_classes, sparse_regression
from msgd.train.models import make_model

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks" / "more"
REPLICAS, ROWS = 16, 32


def perceptrons():
    x, y = torch.randn(ROWS, 64), torch.randint(10, (ROWS,))
    model = Perceptron(x, y, (64, 32, 10))
    theta = model.start(REPLICAS)
    weight = torch.full((REPLICAS, ROWS), 1 / ROWS)

    def loss(one):
        return (weight[0] * model.losses(one[None])[0]).sum()

    by_vmap = vmap(grad(loss))
    torch.testing.assert_close(by_vmap(theta), model.gradient(theta, weight), rtol=1e-3, atol=1e-5)
    single = grad(loss)
    return {
        "batched products": lambda: model.gradient(theta, weight),
        "vmap(grad)": lambda: by_vmap(theta),
        "loop": lambda: [single(t) for t in theta],
    }


def convolutions():
    model = make_model("conv-small", (1, 28, 28), 10)
    x, y = torch.randn(50, 1, 28, 28), torch.randint(10, (50,))
    stacked = {k: torch.stack([p.detach()] * REPLICAS) for k, p in model.named_parameters()}

    def loss(p):
        return cross_entropy(functional_call(model, p, (x,)), y)

    by_vmap = vmap(grad(loss))

    def loop():
        for _ in range(REPLICAS):
            model.zero_grad()
            cross_entropy(model(x), y).backward()

    return {"loop": loop, "vmap(grad)": lambda: by_vmap(stacked)}


def sweep():
    problem = sparse_regression(64)
    classes = matched_classes(40, 1, 8)

    def run():
        for law in classes.values():
            descend(problem.model, problem.model.start(0.1), law, 0.02, 12_000, torch.Generator().manual_seed(0))

    return {f"all {len(classes)} classes, 64 replicas, 12,000 steps": run}


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    bench.save(bench.alternate("sweep of claim M4", sweep(), rounds=3, warmup=0), RESULTS / "sweep.json")
    b = bench.alternate(f"gradients of {REPLICAS} perceptrons 64-32-10", perceptrons(), rounds=30, cpu=True)
    bench.save(b, RESULTS / "replicas-mlp.json")
    b = bench.alternate(f"gradients of {REPLICAS} ConvSmall, 50 rows", convolutions(), rounds=10, cpu=True)
    bench.save(b, RESULTS / "replicas-conv.json")


if __name__ == "__main__":
    main()
