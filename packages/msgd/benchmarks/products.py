"""Products with C and F on the small convolutional network, against the explicit matrix and curvlinops' empirical Fisher.

curvlinops (pip install curvlinops-for-pytorch) has no C; its empirical Fisher of the mean loss is F.
"""

from pathlib import Path

import torch
from curvlinops import EFLinearOperator
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

import msgd
from claimkit import bench
from msgd.train.models import make_model

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
ROWS = 256


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = make_model("conv-small", (1, 28, 28), 10)
    for p in model.parameters():
        p.data.mul_(5)  # at the start itself nearly all of a gradient is the last layer's bias
    x, y = torch.randn(ROWS, 1, 28, 28), torch.randint(10, (ROWS,))
    matrix = msgd.GradientMatrix(model, lambda o, t: cross_entropy(o, t, reduction="none"), x, y)
    parameters = dict(model.named_parameters())
    peer = EFLinearOperator(model, nn.CrossEntropyLoss(), list(parameters.values()), [(x, y)], progressbar=False)
    v = torch.randn(matrix.d)

    def loss(p, one, target):
        return cross_entropy(functional_call(model, p, (one[None],)), target[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))
    detached = {k: p.detach() for k, p in parameters.items()}

    def explicit():
        columns = [g.flatten(1) for g in each(detached, x, y).values()]
        parts = v.split([c.shape[1] for c in columns])
        along = sum(c @ part for c, part in zip(columns, parts, strict=True)) / ROWS
        return torch.cat([along @ c for c in columns])

    candidates = {
        "F v, GradientMatrix.product": lambda: matrix.product(v, "F"),
        "C v, GradientMatrix.product": lambda: matrix.product(v),
        "F v, explicit matrix by vmap(grad)": explicit,
        "F v, curvlinops EFLinearOperator": lambda: peer @ v,
    }
    f = matrix.product(v, "F")
    for name in list(candidates)[2:]:
        assert (candidates[name]() - f).norm() <= 1e-4 * f.norm(), name
    title = f"products on ConvSmall, {matrix.d:,} parameters, {ROWS} rows"
    bench.save(bench.alternate(title, candidates, rounds=31, warmup=3, cpu=True), RESULTS / "products.json")


if __name__ == "__main__":
    main()
