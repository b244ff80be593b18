"""The local quasi-potential of a network's SGD: exact on a quadratic, and the covariance of the algorithm itself."""

import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.jit warns on import of torch.func

A = np.diag([2.0, 1.2, 0.5, 0.1]) + 0.05


class Quadratic(torch.nn.Module):
    """Loss of a sample s: ``1/2 (w - s)^T A (w - s)``; its gradients have covariance ``A Cov(s) A``."""

    def __init__(self, a=A):
        super().__init__()
        self.a = torch.as_tensor(a)
        self.w = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))

    def forward(self, s):
        return 0.5 * ((self.w - s) @ self.a * (self.w - s)).sum(-1)


def samples():
    s = np.random.default_rng(0).standard_normal((300, 4)) @ np.array(
        [[1, 0.4, 0, 0], [0, 1, 0.3, 0], [0, 0, 2, 0], [0.2, 0, 0, 1]]
    )
    return s - s.mean(0)


def test_on_a_quadratic_it_is_exact_for_any_step():
    s = samples()
    for step in (0.01, 0.5):
        got = qp.sgd.local_quasipotential(
            Quadratic(), lambda o, _: o, torch.as_tensor(s), torch.zeros(300), step=step, batch=4, rank=2, chunk=77
        )
        c = A @ np.cov(s.T, bias=True) @ A
        whole = qp.closed_forms.discrete_covariance(A, c, step, 4) * 4 / step
        values, vectors = np.linalg.eigh(A)
        np.testing.assert_allclose(got.curvatures, values[:1:-1], rtol=1e-6)
        np.testing.assert_allclose(np.abs(got.vectors.T @ vectors[:, :1:-1]), np.eye(2), atol=1e-5)
        np.testing.assert_allclose(got.covariance, got.vectors.T @ whole @ got.vectors, rtol=1e-5, atol=1e-8)
        x = 0.3 * got.vectors[:, 0] - 0.2 * got.vectors[:, 1] + 5 * vectors[:, 0]  # the last is not in the subspace
        away = np.array([0.3, -0.2])
        assert float(got(x)) == pytest.approx(0.5 * away @ np.linalg.solve(got.covariance, away), rel=1e-4)
        assert got.lowest == pytest.approx(values[0], rel=0.02)


def network():
    """A network of 13 parameters, and noisy labels of its own: a minimum is near."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(2)
        inputs = torch.randn(60, 2, dtype=torch.float64)
        targets = model(inputs) + 0.3 * torch.randn(60, 1, dtype=torch.float64)
    return model, inputs, targets


def loss(outputs, targets):
    return 0.5 * ((outputs - targets) ** 2).sum(-1)


def trained(model, inputs, targets):
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        value = loss(model(inputs), targets).mean()
        value.backward()
        return value

    optimiser.step(closure)
    return model


def test_it_is_the_covariance_of_sgd_on_a_network():
    model, inputs, targets = network()
    trained(model, inputs, targets)
    step, batch, replicas = 0.05, 10, 40
    local = qp.sgd.local_quasipotential(model, loss, inputs, targets, step=step, batch=batch, rank=3)
    start, gradient = qp.sgd.torch_batches(model, loss, inputs, targets)
    assert len(start) == sum(p.numel() for p in model.parameters())
    x, looks = np.tile(start, (replicas, 1)), []
    pause = int(np.ceil(2 / (step * local.curvatures[1])))  # two relaxation times of the second direction
    for k in range(8):
        x, _ = qp.sgd.run_sgd(gradient, 60, x, step=step, batch=batch, steps=pause, seed=k)
        looks.append((x - local.minimum) @ local.vectors[:, :2])
    variance = np.mean([np.mean(y**2, 0) for y in looks[2:]], 0)
    predicted = step / batch * np.diag(local.covariance)[:2]
    np.testing.assert_allclose(variance, predicted, rtol=4.5 * np.sqrt(2 / (6 * replicas)))


def test_batches_are_the_mean_gradients_of_torch():
    model, inputs, targets = network()
    start, gradient = qp.sgd.torch_batches(model, loss, inputs, targets)
    index = np.array([[3, 3, 7], [1, 2, 0]])
    got = gradient(np.stack([start, 1.1 * start]), index)
    loss(model(inputs[index[0]]), targets[index[0]]).mean().backward()
    want = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    np.testing.assert_allclose(got[0], want.numpy(), rtol=1e-12)
    assert np.abs(got[1] - got[0]).max() > 1e-3


def test_where_the_theory_does_not_hold_it_is_refused():
    model, inputs, targets = network()
    call = lambda **o: qp.sgd.local_quasipotential(  # noqa: E731
        model, o.pop("criterion", loss), inputs, o.pop("targets", targets), **{"step": 0.02, "batch": 10, "rank": 3, **o}
    )
    with pytest.raises(InputError, match="standard deviations of SGD away"):
        call()
    with pytest.raises(InputError, match="nearly interpolates"):
        call(targets=model(inputs).detach())
    with pytest.raises(InputError, match="no restoring force"):
        call(rank=12)
    with pytest.raises(InputError, match="SGD diverges above"):
        call(step=50.0)
    for wrong in ({"step": -0.02}, {"step": 0.0}, {"batch": 0}, {"batch": -3}):
        with pytest.raises(InputError, match="step must be positive and the batch"):
            call(**wrong)
    with pytest.raises(InputError, match="one loss a sample"):
        call(criterion=lambda o, t: loss(o, t).mean())
    with pytest.raises(InputError, match="rank must be"):
        call(rank=13)
    with pytest.raises(InputError, match=r"call eval\(\)"):
        qp.sgd.torch_batches(torch.nn.Sequential(model, torch.nn.Dropout()), loss, inputs, targets)
    mixed = torch.nn.Sequential(model, torch.nn.Dropout()).eval()
    mixed[1].train()
    with pytest.raises(InputError, match=r"call eval\(\)"):
        qp.sgd.torch_batches(mixed, loss, inputs, targets)


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_a_direction_without_noise_is_refused(spread):
    s = torch.zeros(6, 4, dtype=torch.float64)
    s[:, 0] = spread * torch.tensor([1.0, -1, 2, -2, 3, -3])
    with pytest.raises(InputError, match="no noise reaches it"):
        qp.sgd.local_quasipotential(
            Quadratic(np.diag([3.0, 2.0, 1.0, 0.5])), lambda o, _: o, s, torch.zeros(6), step=0.1, batch=1, rank=2
        )


def test_a_direction_in_which_the_loss_falls_is_named():
    saddle = Quadratic(np.diag([2.0, 1.0, 0.5, -0.3]))
    with pytest.warns(RuntimeWarning, match=r"the curvature -0.3: this is a saddle"):
        qp.sgd.local_quasipotential(
            saddle, lambda o, _: o, torch.as_tensor(samples()), torch.zeros(300), step=0.1, batch=4, rank=2
        )
