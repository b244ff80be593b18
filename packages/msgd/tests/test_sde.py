"""Coupled paths: order of convergence, the Brownian coupling, and torchsde as a peer."""

from functools import partial
from itertools import pairwise

import pytest
import torch
import torchsde

import msgd
from claimkit.errors import InputError
from claimkit.statistics import power_law
from msgd.claims.algebra import logistic_losses
from msgd.theory.sde import coupled_paths, run_paths, weighted_gradient

START = torch.tensor([1.0, -1.0], dtype=torch.float64)


@pytest.fixture
def losses():
    a = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return partial(logistic_losses, a)


@pytest.mark.parametrize(("intensity", "low", "high"), [(None, 0.85, 1.25), (1.0, 0.4, 0.7)])
def test_strong_order_is_one_with_shrinking_and_a_half_with_fixed_intensity(losses, intensity, low, high):
    """300 paths, seed 0, three learning rates, 16 substeps: the slope is uncertain by about 0.1."""
    etas = (0.1, 0.05, 0.025)
    law = msgd.match(msgd.GaussianCov(20), 4, replacement=True)
    errors = [
        coupled_paths(
            losses, START, law, eta, round(1 / eta), 300, torch.Generator().manual_seed(0), 16, intensity
        ).strong_error
        for eta in etas
    ]
    assert low <= power_law(etas, errors).slope <= high


def test_one_substep_is_the_algorithm_itself(losses):
    """Euler-Maruyama with the step of M-SGD is M-SGD: the two ends coincide."""
    pair = coupled_paths(
        losses, START, msgd.GaussianFisher(20, 2.0), 0.1, 5, 7, torch.Generator().manual_seed(0), substeps=1
    )
    torch.testing.assert_close(pair.discrete, pair.continuous, rtol=0, atol=1e-14)
    assert pair.strong_error < 1e-14


def test_without_noise_paths_are_gradient_descent_against_the_gradient_flow(losses):
    pair = coupled_paths(losses, START, msgd.GaussianFisher(20, 0.0), 0.05, 20, 2, torch.Generator(), substeps=256)
    x = START.clone()
    for _ in range(20):
        x = x - 0.05 * weighted_gradient(losses, x[None], torch.full((1, 20), 1 / 20, dtype=torch.float64))[0]
    torch.testing.assert_close(pair.discrete[0], x)
    assert 1e-4 < pair.strong_error < 1e-2


def test_weighted_gradients_of_many_paths_are_those_of_each(losses):
    x, w = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 20, dtype=torch.float64)
    each = torch.cat([weighted_gradient(losses, x[i : i + 1], w[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(weighted_gradient(losses, x, w), each)


def test_torchsde_takes_the_same_path_on_the_same_brownian_motion(losses):
    """Additive noise in the plane: Euler steps of both on the increments of one BrownianInterval, to 1e-6."""
    paths, eta, steps = 4, 0.05, 10
    scale = 0.3

    class Peer(torchsde.SDEIto):
        def __init__(self):
            super().__init__(noise_type="general")

        def f(self, t, y):
            return -weighted_gradient(losses, y, torch.full((len(y), 20), 1 / 20, dtype=torch.float64))

        def g(self, t, y):
            jacobian = torch.autograd.functional.jacobian(lambda x: losses(x).sum(0), y)
            return -scale * jacobian.permute(1, 2, 0)

    brownian = torchsde.BrownianInterval(0.0, eta * steps, size=(paths, 20), dtype=torch.float64, entropy=0)
    times = torch.linspace(0, eta * steps, steps + 1, dtype=torch.float64)
    start = START.expand(paths, -1).clone()
    theirs = torchsde.sdeint(Peer(), start, times, bm=brownian, method="euler", dt=eta)[-1]
    x = start
    for t0, t1 in pairwise(times):
        x = x - weighted_gradient(losses, x, eta / 20 + scale * brownian(t0, t1))
    torch.testing.assert_close(x, theirs, rtol=1e-6, atol=1e-6)


def test_runs_of_any_class_agree_in_the_mean(losses):
    """2,000 paths of each matched class, seed 0: mean losses within 5 standard errors of SGD's after 20 steps."""
    from msgd.theory.sparse_regression import matched_classes

    means = {}
    for name, law in matched_classes(20, 4, 10).items():
        final = losses(run_paths(losses, START, law, 0.05, 20, 2_000, torch.Generator().manual_seed(0))).mean(1)
        means[name] = (final.mean(), final.std() / 2_000**0.5)
    for name, (mean, se) in means.items():
        assert abs(mean - means["sgd"][0]) <= 5 * (se**2 + means["sgd"][1] ** 2) ** 0.5 + (2e-3 if name == "gd" else 0)


def test_sizes_below_one_are_refused(losses):
    with pytest.raises(InputError, match="paths = 0"):
        coupled_paths(losses, START, msgd.GaussianFisher(20), 0.1, 5, 0, torch.Generator())
