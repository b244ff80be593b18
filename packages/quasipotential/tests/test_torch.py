"""Drifts, diffusions, gradients and paths written in torch, against the same thing in numpy."""

import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import systems
from quasipotential.sgd import NoisyRegression, gradient_covariance

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.jit warns on import of torch.func


def test_drift_and_diffusion_may_be_torch_functions():
    @qp.torch_field
    def drift(p):
        return torch.stack([p[..., 0] - p[..., 0] ** 3, -p[..., 1]], -1)

    @qp.torch_field
    def diffusion(p):
        one = torch.ones_like(p[..., 0])
        return torch.diag_embed(torch.stack([1 + 0.5 * torch.tanh(4 * p[..., 0]), one], -1))

    system = systems.two_wells()
    domain = ((-1.8, 0.4), (-1.2, 1.1))  # not symmetric: rounding must not choose between mirrored points
    got = qp.solve(drift, (-1, 0), domain, 65, diffusion=diffusion)
    want = qp.solve(system.drift, (-1, 0), domain, 65, diffusion=system.diffusion)
    # tanh of the two libraries differs in its last digit, and the march takes other edges at a few points
    np.testing.assert_allclose(got.values, want.values, atol=2e-6)


def test_a_torch_module_is_a_drift_without_a_mark():
    linear = torch.nn.Linear(2, 2, bias=False, dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[-2.0, 0.0], [0.0, -1.0]]))
    solution = qp.solve(linear, (0, 0), ((-1, 1), (-1, 1)), 65)
    assert float(solution((0.3, 0.3))) == pytest.approx(3 * 0.09, rel=1e-4)


def test_gradients_of_a_torch_function_are_those_written_by_hand():
    model = NoisyRegression()
    s, c, label = (torch.tensor(v) for v in model.samples.T)

    def losses(t):
        return 0.5 * (torch.nn.functional.softplus(s * t[0], threshold=1e6) + c * t[1] - label) ** 2

    theta = np.array([[0.3, -0.2], [2.0, 1.0]])
    np.testing.assert_allclose(qp.sgd.torch_gradients(losses)(theta), model.gradients(theta), atol=1e-12)


def test_gradients_on_a_plane_are_projections_of_the_samples_gradients():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)).double()
    inputs, targets = torch.randn(6, 3, dtype=torch.float64), torch.randint(0, 2, (6,))

    def criterion(outputs, labels):
        return torch.nn.functional.cross_entropy(outputs, labels, reduction="none")

    origin = {name: p.detach() for name, p in net.named_parameters()}
    first, second = ({name: torch.randn_like(p) for name, p in origin.items()} for _ in range(2))
    directions = (first, second)
    gradients = qp.sgd.plane_gradients(net, criterion, inputs, targets, origin, directions)
    gram = [[sum(float((a[k] * b[k]).sum()) for k in origin) for b in directions] for a in directions]
    theta = np.array([[0.0, 0.0], [0.3, -0.7]])
    got = gradients(theta)
    assert got.shape == (2, 6, 2)
    for point, rows in zip(theta, got, strict=True):
        x, y = point
        moved = {k: (p + x * directions[0][k] + y * directions[1][k]).requires_grad_() for k, p in origin.items()}
        for n in range(6):
            loss = criterion(torch.func.functional_call(net, moved, (inputs[n : n + 1],)), targets[n : n + 1]).sum()
            slopes = dict(zip(moved, torch.autograd.grad(loss, list(moved.values())), strict=True))
            along = [float(sum((slopes[k] * d[k]).sum() for k in slopes)) for d in directions]
            want = np.linalg.solve(gram, along)
            np.testing.assert_allclose(rows[n], want, atol=1e-12)
    problem = qp.sgd.sgd_problem(gradients, ((-0.1, 0.1), (-0.1, 0.1)), 9, floor=1e-6)
    np.testing.assert_allclose(problem.drift[8, 8], -got[0].mean(0), atol=1e-12)
    np.testing.assert_allclose(
        problem.diffusion[8, 8].reshape(2, 2), gradient_covariance(got)[0] + 1e-6 * np.eye(2), atol=1e-12
    )


def test_a_plane_of_many_samples_is_tabulated_in_bounded_memory(monkeypatch):
    asked, whole = [], np.random.default_rng(0).normal(size=(100, 2))

    def gradients(theta):
        asked.append(len(theta))
        return theta[:, None] * [2.0, 1.0] + whole

    once = qp.sgd.sgd_problem(gradients, ((-1, 1), (-1, 1)), 17)
    assert sorted(asked) == [16, 33 * 33 - 16]
    asked.clear()
    monkeypatch.setattr("quasipotential.sgd.problem._NUMBERS_AT_ONCE", 20_000)
    parts = qp.sgd.sgd_problem(gradients, ((-1, 1), (-1, 1)), 17)
    assert max(asked) == 100 and sum(asked) == 33 * 33
    np.testing.assert_array_equal(parts.diffusion, once.diffusion)
    np.testing.assert_array_equal(parts.drift, once.drift)


def quadratic_model():
    """Losses ``(w - x)^T A (w - x) / 2``: SGD is an Ornstein-Uhlenbeck process, ``A Q + Q A = A Cov(x) A``."""

    class Quadratic(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self, x):
            return 0.5 * ((self.w - x) @ a * (self.w - x)).sum(-1)

    a = torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 2, dtype=torch.float64, generator=generator) @ torch.tensor([[1.0, 0.4], [0.4, 1.5]]).double()
    spread = a.numpy() @ np.cov(x.numpy().T, bias=True) @ a.numpy()
    return Quadratic(), x, np.linalg.inv(qp.closed_forms.stationary_covariance(a.numpy(), spread))


@pytest.mark.parametrize("basis", [[[1, 0], [0, 1]], [[3, 0], [0, 3]], [[1, 0], [0.4, 1.5]]])
def test_the_plane_has_the_same_potential_along_any_two_directions(basis):
    model, x, precision = quadratic_model()
    basis = torch.tensor(basis, dtype=torch.float64)
    gradients = qp.sgd.plane_gradients(model, lambda o, t: o, x, None, {"w": x.mean(0)}, tuple({"w": b} for b in basis))
    box = ((-1.0, 1.0), (-1.0, 1.0))
    problem = qp.sgd.sgd_problem(gradients, box, 13)
    solution = qp.solve(problem.drift, (0, 0), box, 13, diffusion=problem.diffusion, stop="never")
    place = np.array([0.3, 0.2])
    v = place @ basis.numpy()
    assert float(solution(place)) == pytest.approx(0.5 * v @ precision @ v, rel=1e-3)


def test_a_plane_and_noise_that_are_none_are_refused():
    model, x, _ = quadratic_model()
    line = {"w": torch.ones(2, dtype=torch.float64)}
    with pytest.raises(InputError, match="parallel"):
        qp.sgd.plane_gradients(model, lambda o, t: o, x, None, {"w": x.mean(0)}, (line, line))
    one = np.ones((5, 1)) * np.array([[1.0, 2.0]])
    with pytest.raises(InputError, match="interpolating minimum"):
        qp.sgd.sgd_problem(lambda t: t[:, None, :] * one * np.arange(5)[:, None], ((-1, 1), (-1, 1)), 9, floor=1e-3)


def test_gmam_with_an_autograd_jacobian_finds_the_same_path():
    system = systems.maier_stein(10.0)

    def drift(p):
        x, y = p
        return torch.stack([x - x**3 - 10 * x * y * y, -(1 + x * x) * y])

    guess = np.array([[-1, 0], [-0.7, 0.2], [-0.4, 0.25], [-0.1, 0.1], [0, 0]])
    got = qp.minimum_action_path(system.drift, guess, jacobian=qp.autograd_jacobian(drift), images=60)
    want = qp.minimum_action_path(system.drift, guess, images=60)
    assert got.action == pytest.approx(want.action, rel=1e-6)
    assert got.action == pytest.approx(0.34004, rel=2e-3)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_exits_simulated_in_torch_agree_with_the_elliptic_equation(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    exits = qp.simulate_exits_torch(
        lambda p: -p, (0.0, 0.0), lambda p: p.norm(dim=-1) - 0.5, 0.5, paths=4000, step=0.001, seed=0, device=device
    )
    problem = qp.tabulate(lambda p: -p, ((-1, 1), (-1, 1)), 129)
    exact = qp.mean_exit_time(problem, lambda p: np.linalg.norm(p, axis=-1) - 0.5, 0.5, (0, 0))
    # discrete looking delays exits by about 0.58 sqrt(eps dt) / r, 5 % here; 4 standard errors are 6 %
    assert exits.mean == pytest.approx(exact, rel=0.11)
    assert exits.censored == 0


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_torch_paths_take_a_varying_sigma_and_stop_at_the_longest_time(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")

    def root(p):
        return torch.diag_embed(torch.stack([1 + p[..., 0] ** 2, torch.full_like(p[..., 0], 0.5)], -1))

    def run(seed):
        return qp.simulate_exits_torch(
            lambda p: -p, (0.0, 0.0), lambda p: p[..., 0].abs() - 0.4, 0.1, root=root, paths=200, longest=2.0, step=0.01,
            seed=seed, device=device,
        )  # fmt: skip

    one, again = run(3), run(3)
    np.testing.assert_array_equal(one.times, again.times)
    assert 0 < one.censored < 200
    assert one.times.max() == pytest.approx(2.0)
    assert one.steps == pytest.approx(one.times.sum() / 0.01, rel=1e-3)
