"""A step of training: with and without noise, sparse rows gathered or not, and the per-sample gradients that peers form."""

from pathlib import Path

import torch
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

import msgd
from claimkit import bench
from msgd.noise import make
from msgd.train.data import ImageData
from msgd.train.models import make_model
from msgd.train.training import Trainer, Training

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
N, BATCH = 1_000, 50


def stepper(data, name, size=None, match=None):
    trainer = Trainer(make_model("conv-small", (1, 28, 28), 10), data, make(name, N, size, match), Training(10**6))

    def steps():
        for _ in range(1 if name in ("gd", "gauss-fisher") else 10):
            trainer.advance()

    return steps


def dense_bernoulli(data):
    """What the authors' code does: the whole training set, most of it with weight zero."""
    model = make_model("conv-small", (1, 28, 28), 10)
    law = msgd.Bernoulli(N, BATCH)

    def step():
        model.zero_grad()
        losses = cross_entropy(model(data.train_x), data.train_y, reduction="none")
        msgd.weighted_loss(losses, law.sample().dense(N)).backward()

    return step


def per_sample(data):
    """Per-sample gradients by vmap, then the product with the weights."""
    model = make_model("conv-small", (1, 28, 28), 10)
    law = msgd.GaussianFisher(N, 4.0)

    def loss(p, x, y):
        return cross_entropy(functional_call(model, p, (x[None],)), y[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))

    def step():
        weight = law.sample().weight
        gradients = each(dict(model.named_parameters()), data.train_x, data.train_y)
        return [torch.tensordot(weight, g, 1) for g in gradients.values()]

    return step


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = torch.randn(N, 1, 28, 28), torch.randint(10, (N,))
    data = ImageData("random", x, y, x[:1], y[:1])
    small = bench.alternate(
        f"10 steps of ConvSmall, {BATCH} rows",
        {
            "SGD": stepper(data, "sgd", BATCH),
            "[MSGD-Fisher]-B": stepper(data, "batch-fisher", BATCH, BATCH // 2),
            "[MSGD-Cov]-B": stepper(data, "batch-cov", BATCH, BATCH // 2),
            "Bernoulli, gathered": stepper(data, "bernoulli", BATCH),
        },
        rounds=30,
        warmup=15,
        cpu=True,
    )
    bench.save(small, RESULTS / "more" / "step-small.json")
    full = bench.alternate(
        f"a step of ConvSmall, all {N} rows",
        {
            "GD": stepper(data, "gd"),
            "MSGD-Fisher": stepper(data, "gauss-fisher", None, BATCH),
            "Bernoulli, all rows (authors' code)": dense_bernoulli(data),
            "per-sample gradients (vmap)": per_sample(data),
        },
        rounds=15,
        cpu=True,
    )
    bench.save(full, RESULTS / "step-full.json")


if __name__ == "__main__":
    main()
