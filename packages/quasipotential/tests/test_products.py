"""Minimum action paths by products of the Jacobian alone: as with the whole one, and in a thousand dimensions."""

import contextlib
import sys
import tracemalloc
import types

import numpy as np
import pytest

import quasipotential as qp
from claimkit.errors import InputError
from quasipotential import systems
from quasipotential.paths import products
from quasipotential.paths.relax import Forces, _quadratic, spaced


def swarm(d, rotation=0.5, pull=2.0):
    """d double wells pulled to their mean, and a rotation of pairs that keeps U: ends, barrier d / 2 and products."""
    turn = lambda g: np.stack([-g[..., 1::2], g[..., 0::2]], -1).reshape(g.shape)  # noqa: E731
    grad = lambda x: x**3 - x + pull * (x - x.mean(-1, keepdims=True))  # noqa: E731
    bend = lambda x, v: (3 * x * x - 1) * v + pull * (v - v.mean(-1, keepdims=True))  # noqa: E731
    drift = lambda x: rotation * turn(grad(x)) - grad(x)  # noqa: E731
    forward = lambda x, v: rotation * turn(bend(x, v)) - bend(x, v)  # noqa: E731
    backward = lambda x, p: -bend(x, p + rotation * turn(p))  # noqa: E731
    return drift, (forward, backward), np.stack([-np.ones(d), np.zeros(d)]), d / 2


@pytest.mark.parametrize("noisy", [False, True])
def test_slope_and_hessian_of_the_action_are_those_of_the_whole_jacobian(noisy, monkeypatch):
    rng, d = np.random.default_rng(1), 7
    a = rng.standard_normal((d, d))
    drift = lambda x: -x @ a.T - 0.1 * x**3  # noqa: E731
    jacobian = lambda x: -a - 0.3 * np.eye(d) * x[..., None] ** 2  # noqa: E731
    pair = (
        lambda x, v: np.einsum("nij,nj->ni", jacobian(x), v),
        lambda x, p: np.einsum("nij,ni->nj", jacobian(x), p),
    )
    x = spaced(np.cumsum(rng.standard_normal((12, d)), 0))
    spread = a @ a.T + np.eye(d) if noisy else None
    slope, diagonal, upper, _ = _quadratic(x, Forces(drift, jacobian, spread, 5.0))
    got, correction = products.quadratic_model(x, Forces(drift, jacobian, spread, 5.0, pair))
    np.testing.assert_allclose(got, slope, rtol=1e-12, atol=1e-12)
    seen = []
    monkeypatch.setattr(products, "_conjugate_gradients", lambda matrix, right, preconditioner: seen.append(matrix))
    correction(0.0)
    move, tangent = rng.standard_normal(slope.shape), x[2:] - x[:-2]
    move -= np.sum(move * tangent, 1, keepdims=True) * tangent / np.sum(tangent**2, 1, keepdims=True)
    want = np.einsum("nij,nj->ni", diagonal, move)
    want[:-1] += np.einsum("nij,nj->ni", upper, move[1:])
    want[1:] += np.einsum("nij,ni->nj", upper, move[:-1])
    np.testing.assert_allclose(seen[0](move), want, rtol=1e-10, atol=1e-10)


def test_a_thousand_dimensions_with_a_rotation_in_little_memory():
    drift, pair, ends, exact = swarm(1000)
    tracemalloc.start()
    got = qp.minimum_action_path(drift, [ends[0], 0.5 * ends[0], ends[1]], jacobian=pair)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 64 * 2**20  # one whole Jacobian has 8 MB a point, 400 on the first chain
    assert got.converged
    assert got.action == pytest.approx(exact, rel=1e-5)
    assert got.error < 1e-4 * exact
    assert np.abs(got.points - got.points.mean(1, keepdims=True)).max() > 0.05  # the rotation bends it


def test_two_ends_lead_to_the_same_path_with_and_without_the_jacobian(monkeypatch):
    drift, pair, ends, exact = swarm(10)
    whole, thin = qp.minimum_action_path(drift, ends), qp.minimum_action_path(drift, ends, jacobian=pair)
    assert thin.action == pytest.approx(whole.action, rel=1e-7)
    assert abs(thin.action - exact) < 1e-4 * exact
    seen = []
    monkeypatch.setattr("quasipotential.paths.action.DENSE_DIMENSION", 9)
    monkeypatch.setattr("quasipotential.paths.action.difference", lambda *a: seen.append(a))
    assert qp.minimum_action_path(drift, ends).action == pytest.approx(whole.action, rel=1e-7)
    assert not seen


def test_a_constant_noise_has_the_action_of_the_sheared_system():
    drift, pair, ends, exact = swarm(6)
    root = np.diag(np.linspace(0.5, 2, 6)) + 0.1
    back = np.linalg.inv(root)
    sheared = lambda y: drift(y @ back.T) @ root.T  # noqa: E731
    both = (
        lambda y, v: pair[0](y @ back.T, v @ back.T) @ root.T,
        lambda y, p: pair[1](y @ back.T, p @ root) @ back,
    )
    got = qp.minimum_action_path(sheared, ends @ root.T, diffusion=root @ root.T, jacobian=both)
    assert got.action == pytest.approx(exact, rel=1e-4)


def vectors(d):
    return np.random.default_rng(3).standard_normal((3, 4, d))


@pytest.mark.parametrize("rotation", [0.0, 0.5])
def test_products_by_differences(rotation, monkeypatch):
    drift, pair, _, _ = swarm(12, rotation)
    monkeypatch.setattr(products, "_POINTS", 20)  # five coordinates at once
    calls = []
    forward, backward = qp.jacobian_products(lambda x: calls.append(len(x)) or drift(x))
    x, v, p = vectors(12)
    np.testing.assert_allclose(forward(x, v), pair[0](x, v), atol=1e-7)
    calls.clear()
    np.testing.assert_allclose(backward(x, p), pair[1](x, p), atol=1e-7)
    assert (max(calls) == 20) == (rotation > 0)  # a symmetric Jacobian wants no more than one product
    np.testing.assert_array_equal(forward(x, 0 * v), 0)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.jit warns on import of torch.func
def test_products_by_torch():
    torch = pytest.importorskip("torch")
    _, pair, _, _ = swarm(12)

    @qp.torch_field
    def drift(x):
        g = x**3 - x + 2 * (x - x.mean(-1, keepdim=True))
        return 0.5 * torch.stack([-g[..., 1::2], g[..., 0::2]], -1).reshape(g.shape) - g

    x, v, p = vectors(12)
    forward, backward = qp.jacobian_products(drift)
    np.testing.assert_allclose(forward(x, v), pair[0](x, v), atol=1e-12)
    np.testing.assert_allclose(backward(x, p), pair[1](x, p), atol=1e-12)


class FakeJax(types.ModuleType):
    """As much of jax as is asked for; its arrays are numpy's, and it is in single precision unless told otherwise."""

    def __init__(self):
        super().__init__("jax")
        self.wide = False
        self.numpy = types.SimpleNamespace(asarray=lambda x: np.asarray(x, np.float64 if self.wide else np.float32))

    @contextlib.contextmanager
    def enable_x64(self, wanted):
        self.wide = wanted
        yield
        self.wide = False

    def jvp(self, function, at, along):
        return function(at[0]), swarm(12)[1][0](at[0], along[0])

    def vjp(self, function, at):
        return function(at), lambda p: (swarm(12)[1][1](at, p),)


def test_drifts_and_products_by_jax(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", FakeJax())
    plain, pair, ends, _ = swarm(12)
    kinds = set()

    @qp.jax_field
    def drift(x):
        kinds.add(x.dtype)
        return plain(x)

    x, v, p = vectors(12)
    forward, backward = qp.jacobian_products(drift)
    np.testing.assert_array_equal(forward(x, v), pair[0](x, v))
    np.testing.assert_array_equal(backward(x, p), pair[1](x, p))
    got = qp.minimum_action_path(drift, ends, jacobian=(forward, backward), images=20)
    assert got.action == pytest.approx(qp.minimum_action_path(plain, ends, images=20).action, rel=1e-6)
    assert kinds == {np.dtype(np.float64)}


def test_noise_that_products_do_not_serve_is_refused():
    drift, pair, ends, _ = swarm(4)
    for noise in (np.diag([1.0, 1.0, 1.0, 0.0]), lambda x: np.broadcast_to(np.eye(4), (len(x), 4, 4))):
        with pytest.raises(InputError, match="give jacobian whole"):
            qp.minimum_action_path(drift, ends, diffusion=noise, jacobian=pair)


def test_products_find_the_path_of_maier_and_stein():
    drift = systems.maier_stein(10.0).drift
    got = qp.minimum_action_path(drift, [[-1, 0], [-0.5, 0.3], [0, 0]], jacobian=qp.jacobian_products(drift))
    assert got.converged
    assert got.action == pytest.approx(0.3400414, abs=1e-5)
