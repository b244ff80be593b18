"""A probe that is the optimum, a start from it, an average of weights."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError
from claimkit.transfer.baselines import interpolated, linear_probe, penultimate, with_probe
from claimkit.transfer.networks import SmallCNN, create, replace_head


def data(n=60, classes=3):
    g = torch.Generator().manual_seed(0)
    y = torch.arange(n) % classes
    return torch.randn(n, 1, 8, 8, generator=g) + y[:, None, None, None], y


def test_the_probe_is_the_optimum_of_its_convex_problem():
    x, y = data()
    features = 7 * x.flatten(1)[:, :5] + 100  # far from standard units
    w, b = (t.double().requires_grad_() for t in linear_probe(features, y, 3, 0.01))
    z = (features.double() - features.double().mean(0)) / features.double().std(0, correction=0)
    unit = w * features.double().std(0, correction=0)
    loss = cross_entropy(features.double() @ w.T + b, y) + 0.005 * unit.square().sum()
    assert max(t.abs().max() for t in torch.autograd.grad(loss, [w, b])) < 2e-4 * 100
    sklearn = pytest.importorskip("sklearn.linear_model")
    peer = sklearn.LogisticRegression(C=1 / (0.01 * len(y)), tol=1e-10, max_iter=5000).fit(z.numpy(), y.numpy())
    assert torch.allclose(unit, torch.tensor(peer.coef_), atol=2e-3)


def test_the_head_is_the_probes_and_nothing_else_moves():
    x, y = data()
    model = replace_head(SmallCNN(1, (4, 8)), 3)
    with torch.no_grad():
        model(x)
    before = copy.deepcopy(model.state_dict())
    assert with_probe(model, x, y) is model and model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items() if not k.startswith("fc."))
    w, b = linear_probe(penultimate(model, x), y, 3)
    assert torch.allclose(model.fc.weight, w) and torch.allclose(model.fc.bias, b)
    assert (model.eval()(x).argmax(1) == y).float().mean() > 0.8
    assert penultimate(create("squeezenet1_1"), torch.randn(2, 3, 40, 40)).shape == (2, 512)


class Clipped(nn.Module):
    """A head over positions with a ReLU behind it, as SqueezeNet has one, and what the whole network then does with it."""

    def __init__(self, last=None):
        super().__init__()
        self.features, self.head, self.last = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 3, 1), last or nn.Identity()

    def forward(self, x):
        return self.last(self.head(self.features(x).relu()).relu().mean((2, 3)))


def test_a_relu_behind_the_head_takes_nothing_from_the_probe():
    x, y = data()
    torch.manual_seed(0)
    model = with_probe(Clipped(), x, y).eval()
    w, b = linear_probe(penultimate(model, x), y, 3)
    logits, found = penultimate(model, x) @ w.T + b, model(x)
    assert (logits < 0).any() and torch.allclose(found.softmax(1), logits.softmax(1), atol=1e-4)
    with pytest.raises(InputError, match="answers of its head"):
        with_probe(Clipped(nn.Softmax(1)), x, y)


def test_an_average_of_weights():
    source, tuned = SmallCNN(1, (4, 8)), replace_head(SmallCNN(1, (4, 8)), 3)
    mixed = interpolated(source, tuned, 0.25)
    assert torch.allclose(mixed.conv1.weight, 0.75 * source.conv1.weight + 0.25 * tuned.conv1.weight, atol=1e-7)
    assert torch.equal(mixed.fc.weight, tuned.fc.weight) and mixed.bn1.num_batches_tracked.dtype == torch.int64
    for share, end in ((0.0, source), (1.0, tuned)):
        assert torch.equal(interpolated(source, tuned, share).conv2.weight, end.conv2.weight)


def test_what_cannot_be_is_refused():
    for wrong, sentence in (
        (lambda: linear_probe(torch.ones(2, 2), torch.tensor([0, 1]), 2, 0.0), "positive decay"),
        (lambda: interpolated(nn.Linear(2, 2), nn.Linear(2, 2), 1.5), r"share = 1.5"),
        (lambda: interpolated(nn.Linear(2, 2), nn.Linear(3, 4), 0.5), "nothing in common"),
        (lambda: with_probe(nn.Sequential(nn.Linear(2, 2, bias=False)), torch.ones(2, 2), torch.tensor([0, 1])), "no bias"),
    ):
        with pytest.raises(InputError, match=sentence):
            wrong()
