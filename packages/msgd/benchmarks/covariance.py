"""Products with C, and its trace, against forming the gradient matrix."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import msgd
from claimkit import bench

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    x, y = torch.randn(1_000, 784), torch.randint(10, (1_000,))
    matrix = msgd.GradientMatrix(model, lambda o, t: cross_entropy(o, t, reduction="none"), x, y)
    v = torch.randn(matrix.d)

    def explicit():
        g = matrix.explicit()
        along = g.T @ v
        return g @ (along - along.mean()) / matrix.n

    assert (explicit() - matrix.product(v)).norm() < 1e-4 * explicit().norm()
    result = bench.alternate(
        f"C v, {matrix.d:,} parameters, 1,000 samples (the matrix would take {matrix.d * 4e3 / 1e6:.0f} MB)",
        {
            "GradientMatrix.product": lambda: matrix.product(v),
            "explicit matrix by vmap(grad)": explicit,
            "trace from 10 probes": lambda: matrix.trace(probes=10),
            "trace, exact": lambda: matrix.trace(),
        },
        rounds=7,
        cpu=True,
    )
    bench.save(result, RESULTS / "covariance.json")


if __name__ == "__main__":
    main()
