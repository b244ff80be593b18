"""Models that draw random numbers, couple rows or change as they run: refused, and left as they were."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

import msgd
from claimkit.errors import InputError

N = 7
X, Y = torch.randn(N, 8, generator=torch.Generator().manual_seed(0)), torch.arange(N) % 3


def criterion(outputs, targets):
    return cross_entropy(outputs, targets, reduction="none")


class Functional(nn.Module):
    """Dropout that no module type gives away, of a probability that three rows do not show."""

    def __init__(self):
        super().__init__()
        self.o = nn.Linear(8, 3)

    def forward(self, h):
        return self.o(nn.functional.dropout(h, 1e-6, self.training))


def spectral():
    """Its estimate of the largest singular value moves with every pass in train mode, here from a bad start."""
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 5))
    with torch.no_grad():
        for vector in layer.buffers():
            vector.copy_(nn.functional.one_hot(torch.tensor(0), len(vector)))
    return nn.Sequential(layer, nn.Linear(5, 3))


class Noisy(nn.Linear):
    def forward(self, h):
        return super().forward(h + torch.randn_like(h))


@pytest.mark.parametrize(
    ("model", "sentence", "quiet"),
    [
        (
            nn.Sequential(nn.Linear(8, 5), nn.Dropout(0.5), nn.Linear(5, 3)),
            r"random numbers.*call model.eval\(\) first",
            True,
        ),
        (Functional(), r"random numbers.*call model.eval\(\) first", True),
        (
            nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)),
            r"the rows beside it.*call model.eval\(\)",
            True,
        ),
        (
            spectral(),
            r"changes as it is run.*call model.eval\(\) first",
            True,
        ),
        (Noisy(8, 3).eval(), "random numbers.*in eval mode, too", False),
    ],
    ids=["dropout", "functional dropout", "batchnorm", "spectral norm", "noise in eval mode"],
)
def test_a_model_that_draws_or_couples_rows_is_refused_and_left_as_it_was(model, sentence, quiet):
    state, seed = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    matrix = msgd.GradientMatrix(model, criterion, X, Y)
    for call in (matrix.gradient, matrix.diagonal, matrix.trace, lambda: matrix.product(torch.ones(matrix.d))):
        with pytest.raises(InputError, match=sentence):
            call()
    assert torch.equal(seed, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    if quiet:
        model.eval()
        assert matrix.trace() > 0
        model.train()
        with pytest.raises(InputError, match=sentence):
            matrix.gradient()


class Reentrant(nn.Module):
    """torch.autograd.grad gives no gradients inside such a checkpoint, and says nothing."""

    def __init__(self):
        super().__init__()
        self.body, self.o = nn.Linear(8, 5), nn.Linear(5, 3)

    def forward(self, h):
        return self.o(checkpoint(self.body, h.clone().requires_grad_(), use_reentrant=True).tanh())


class NoWayBack(torch.autograd.Function):
    """An operation without a backward pass, which torch itself refuses to differentiate."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()


def test_a_reentrant_checkpoint_and_a_missing_backward_pass_are_refused():
    model = Reentrant()
    with pytest.raises(InputError, match="use_reentrant=False"):
        msgd.GradientMatrix(model, criterion, X, Y).gradient()
    meter = msgd.NoiseScale(model.parameters())
    with pytest.raises(InputError, match="use_reentrant=False"):
        meter.probe(criterion(model(X), Y))
    model = nn.Linear(8, 3)
    with pytest.raises(InputError, match=r"have no gradients \(NotImplementedError: You must implement either the backward"):
        msgd.GradientMatrix(model, lambda o, t: criterion(NoWayBack.apply(o), t), X, Y).gradient()


def test_batchnorm_is_seen_where_neighbours_are_equal():
    model = nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    x = X.clone()
    x[:4] = x[0]
    with pytest.raises(InputError, match="the rows beside it"):
        msgd.GradientMatrix(model, criterion, x, Y).gradient()


def test_diagonal_langevin_takes_the_model_of_a_training_loop():
    model = nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3))
    model[2].eval()
    langevin = msgd.DiagonalLangevin(msgd.GradientMatrix(model, criterion, X, Y), batch=10, refresh=2)
    buffers, scales = copy.deepcopy(list(model.buffers())), []
    for _ in range(4):
        langevin.add_noise()
        scales.append(langevin.scale)
        with torch.no_grad():
            model[0].weight.mul_(2)
    assert [m.training for m in model] == [True, True, False, True]
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    assert scales[0] is scales[1] and scales[2] is scales[3] and not torch.equal(scales[0], scales[2])
