"""Products with F and C agree with the matrix; traces are unbiased; GLD-diag has the covariance it states."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import msgd
from claimkit.errors import InputError
from msgd.claims.algebra import gradient, network


def criterion(outputs, targets):
    return cross_entropy(outputs, targets, reduction="none")


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def matrix(request):
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(30, 1, 12, 12, generator=g, dtype=request.param), torch.randint(4, (30,), generator=g)
    return msgd.GradientMatrix(network(False).to(request.param), criterion, x, y, chunk=7)


def reference(matrix, which):
    g = matrix.explicit().double()
    c = g - g.mean(1, keepdim=True) if which == "C" else g
    return c @ c.T / matrix.n


@pytest.mark.parametrize("which", ["C", "F"])
def test_products_trace_diagonal_and_eigenpairs_are_those_of_the_matrix(matrix, which):
    exact = reference(matrix, which)
    v = torch.randn(matrix.d, dtype=matrix.inputs.dtype)
    scale = exact.norm()
    assert (matrix.product(v, which) - exact @ v.double()).norm() <= 1e-5 * scale * v.norm()
    assert abs(matrix.trace(which) - exact.trace()) <= 1e-5 * exact.trace()
    assert (matrix.diagonal(which) - exact.diagonal()).norm() <= 1e-5 * exact.diagonal().norm()
    values, vectors = matrix.eigenpairs(3, which)
    torch.testing.assert_close(values, torch.linalg.eigvalsh(exact).flip(0)[:3], rtol=1e-5, atol=1e-7)
    assert (exact @ vectors - vectors * values).norm() <= 1e-4 * values[0]


def test_the_two_halves_of_a_product_are_adjoint(matrix):
    u, v = torch.randn(30).to(matrix.inputs), torch.randn(matrix.d).to(matrix.inputs)
    torch.testing.assert_close(matrix.apply(u) @ v, u @ matrix.transpose(v), rtol=1e-4, atol=1e-5)


def test_the_gradient_is_the_gradient_of_the_mean(matrix):
    uniform = torch.full((30,), 1 / 30).to(matrix.inputs)
    mine = gradient(matrix.model, matrix.inputs, matrix.targets, uniform)
    torch.testing.assert_close(matrix.gradient(), mine, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("which", ["C", "F"])
def test_random_signs_estimate_the_trace_without_bias(matrix, which):
    """100 probes, seed 0, within 5 standard errors of the exact trace."""
    g = torch.Generator().manual_seed(0)
    draws = torch.tensor([matrix.trace(which, probes=1, generator=g) for _ in range(100)])
    assert abs(draws.mean() - matrix.trace(which)) <= 5 * draws.std() / 10


def test_frozen_parameters_are_left_out(matrix):
    matrix.model[0].weight.requires_grad_(False)
    assert matrix.d == sum(p.numel() for p in matrix.model.parameters()) - matrix.model[0].weight.numel()
    assert matrix.product(torch.ones(matrix.d).to(matrix.inputs)).shape == (matrix.d,)


def test_bad_input_is_refused(matrix):
    x, y = matrix.inputs, matrix.targets
    with pytest.raises(InputError, match="29 inputs and 30 targets"):
        msgd.GradientMatrix(matrix.model, criterion, x[:29], y)
    with pytest.raises(InputError, match="one entry a parameter"):
        matrix.product(torch.ones(3).to(x))
    with pytest.raises(InputError, match="one loss a row"):
        msgd.GradientMatrix(matrix.model, nn.CrossEntropyLoss(), x, y).gradient()
    with pytest.raises(InputError, match="k = 0"):
        matrix.eigenpairs(0)
    with pytest.raises(InputError, match="probes = 0"):
        matrix.trace(probes=0)


def test_diagonal_langevin_adds_noise_of_covariance_diag_fisher_over_batch(matrix):
    """4,000 draws, seed 0; variance of every gradient entry within 6 standard errors (a chi-square's: sqrt(2/4000))."""
    langevin = msgd.DiagonalLangevin(matrix, batch=5, refresh=10_000)
    expected = matrix.diagonal("F") / 5
    draws = []
    for _ in range(4_000):
        matrix.model.zero_grad()
        langevin.add_noise()
        draws.append(torch.cat([p.grad.flatten() for p in matrix.model.parameters()]))
    variance = torch.stack(draws).square().mean(0)
    assert ((variance - expected).abs() <= 6 * expected * (2 / 4_000) ** 0.5 + 1e-12).all()


def test_diagonal_langevin_adds_to_the_gradient_that_is_there(matrix):
    langevin = msgd.DiagonalLangevin(matrix, batch=10**12)
    uniform = torch.full((30,), 1 / 30).to(matrix.inputs)
    before = gradient(matrix.model, matrix.inputs, matrix.targets, uniform)
    langevin.add_noise()
    after = torch.cat([p.grad.flatten() for p in matrix.model.parameters()])
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match="batch = 0"):
        msgd.DiagonalLangevin(matrix, batch=0)


def test_equal_rows_have_no_covariance():
    x = torch.randn(1, 3).repeat(64, 1)
    matrix = msgd.GradientMatrix(nn.Linear(3, 2), criterion, x, torch.zeros(64, dtype=torch.long))
    assert (matrix.diagonal() >= 0).all()
    assert 0 <= matrix.trace("C") <= 1e-12 * matrix.trace("F")
