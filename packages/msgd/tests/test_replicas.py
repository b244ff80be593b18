"""Hand-written batched gradients equal autograd; replicas equal single runs."""

import pytest
import torch
from torch import nn

import msgd
from claimkit.errors import InputError
from msgd.theory.convolutional import Convolutional
from msgd.theory.replicas import DiagonalLinear, Perceptron, descend
from msgd.theory.sparse_regression import sparse_regression


def autograd(model, theta, weight, index):
    theta = theta.clone().requires_grad_()
    losses = model.losses(theta)
    chosen = losses if index is None else losses.gather(1, index)
    return torch.autograd.grad((weight * chosen).sum(), theta)[0]


@pytest.fixture(params=["diagonal", "linear", "one layer", "two layers", "convolutions"])
def replicas(request):
    g = torch.Generator().manual_seed(0)
    if request.param == "diagonal":
        problem = DiagonalLinear(torch.randn(3, 7, 5, generator=g).double(), torch.randn(3, 7, generator=g).double())
        return problem, torch.randn(3, 10, generator=g).double()
    if request.param == "convolutions":
        problem = Convolutional(torch.randn(7, 8, 6, generator=g).double(), torch.randint(4, (7,), generator=g), 3, 5, 4)
        return problem, torch.randn(3, problem.parameters, generator=g).double() / 3
    widths = {"linear": (5, 4), "one layer": (5, 6, 4), "two layers": (5, 6, 3, 4)}[request.param]
    problem = Perceptron(torch.randn(7, 5, generator=g).double(), torch.randint(4, (7,), generator=g), widths)
    return problem, problem.start(3, g)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_written_gradient_is_autograds(replicas, sparse):
    model, theta = replicas
    index = torch.tensor([[0, 3], [6, 6], [2, 1]]) if sparse else None
    weight = torch.randn(3, 2 if sparse else 7, dtype=torch.float64)
    torch.testing.assert_close(
        model.gradient(theta, weight, index), autograd(model, theta, weight, index), rtol=1e-12, atol=1e-13
    )


def test_the_convolutional_network_is_the_one_that_torch_builds():
    x, y = torch.randn(7, 8, 6, dtype=torch.float64), torch.arange(7)
    model = Convolutional(x, y, channels=3, hidden=5)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 2, stride=2), nn.ReLU(), nn.Flatten(),
        nn.Linear(18, 5), nn.ReLU(), nn.Linear(5, 10),
    ).double()  # fmt: skip
    first, second, hidden, last = (m for m in net if hasattr(m, "weight"))
    matrices = (
        first.weight.flatten(1).T,
        second.weight.permute(2, 3, 1, 0).reshape(12, 3),
        hidden.weight.T.view(3, 6, 5).transpose(0, 1).reshape(18, 5),
        last.weight.T,
    )
    biases = (m.bias for m in (first, second, hidden, last))
    theta = torch.cat([t.flatten() for pair in zip(matrices, biases, strict=True) for t in pair])[None]
    assert theta.shape == (1, model.parameters)
    losses = nn.functional.cross_entropy(net(x[:, None]), y, reduction="none")
    torch.testing.assert_close(model.losses(theta)[0], losses)
    assert model.accuracy(theta) == (net(x[:, None]).argmax(1) == y).double().mean()


def test_descending_block_by_block_is_descending_step_by_step(replicas):
    model, theta = replicas
    law = msgd.MiniBatch(7, 1)  # rows of one draw come from one generator call, whatever the block
    whole = descend(model, theta, law, 0.01, 12, torch.Generator().manual_seed(0), block=12)
    parts = descend(model, theta, law, 0.01, 12, torch.Generator().manual_seed(0), block=5)
    torch.testing.assert_close(whole, parts)
    assert not torch.equal(whole, theta), "nothing moved"


def test_gradient_descent_solves_the_regression_and_starts_from_zero():
    problem = sparse_regression(2, n=10, d=8, sparsity=2, seed=1)
    start = problem.model.start(0.5)
    torch.testing.assert_close(problem.test_error(start), torch.full((2,), 2.0, dtype=torch.float64))
    theta = descend(problem.model, start, msgd.GradientDescent(10), 0.05, 3_000, torch.Generator())
    assert problem.train_loss(theta).max() < 1e-12
    assert problem.test_error(theta).max() < 1e-6, "more samples than weights: the truth is found"


def test_bad_shapes_are_refused():
    with pytest.raises(InputError, match="do not fit inputs of 5 numbers"):
        Perceptron(torch.randn(7, 5), torch.zeros(7, dtype=torch.int64), (4, 3))
    for x, y in ((torch.randn(3, 7, 8), torch.arange(3)), (torch.randn(3, 8, 8), torch.tensor([0, 1, 10]))):
        with pytest.raises(InputError, match="expected even numbers of pixels"):
            Convolutional(x, y)
    with pytest.raises(InputError, match="sparsity at most d"):
        sparse_regression(2, sparsity=200)
