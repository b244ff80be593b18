"""Soft k-means forward and backward against a literal loop over samples, clusters and positions; equal to 1e-6."""

from pathlib import Path

import torch

from avcurriculum.network.cluster import EPS, soft_kmeans
from claimkit import bench

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
K, ITERS, BETA = 4, 4, 30.0


def literal(u):
    """The equations as they are written."""
    out = []
    for sample in u:
        c = [sample[len(sample) // K * j] for j in range(K)]
        for _ in range(ITERS):
            rows = [torch.stack([(p - center).square().sum().clamp(min=EPS).sqrt() for p in sample]) for center in c]
            s = torch.softmax(-BETA * torch.stack(rows), 0)
            c = [(s[j][:, None] * sample).sum(0) / s[j].sum() for j in range(K)]
        out.append(torch.stack(c))
    return torch.stack(out)


def by_clusters(u):
    """A loop over samples and clusters alone."""
    out = []
    for sample in u:
        c = [sample[len(sample) // K * j] for j in range(K)]
        for _ in range(ITERS):
            d = torch.stack([(sample - center).square().sum(1).clamp(min=EPS).sqrt() for center in c])
            s = torch.softmax(-BETA * d, 0)
            c = [(s[j][:, None] * sample).sum(0) / s[j].sum() for j in range(K)]
        out.append(torch.stack(c))
    return torch.stack(out)


def main():
    torch.set_num_threads(1)
    u = torch.nn.functional.normalize(torch.randn(24, 64, 64, generator=torch.Generator().manual_seed(0)), dim=-1)
    exact = soft_kmeans(u.double(), K, ITERS, BETA).centers
    assert (literal(u.double()) - exact).abs().max() < 1e-6

    def both(f):
        def run():
            x = u.clone().requires_grad_()
            f(x).square().sum().backward()

        return run

    candidates = {
        "soft_kmeans": both(lambda x: soft_kmeans(x, K, ITERS, BETA).centers),
        "loop over samples and clusters": both(by_clusters),
        "loop over positions too": both(literal),
    }
    title = f"soft k-means, 24 x 64 positions of 64 values, K = {K}, forward and backward"
    bench.save(bench.alternate(title, candidates, rounds=5, warmup=1, cpu=True), RESULTS / "cluster.json")


if __name__ == "__main__":
    main()
