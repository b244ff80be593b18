"""Soft clustering: the properties of the module, and its fast path against the equations written out."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avcurriculum.network.cluster import EPS, SoftKMeans, energy, soft_kmeans
from claimkit.errors import InputError


def literal(u, k, iters, beta):
    """The equations of the module in loops, one sample at a time."""
    centers, assigns = [], []
    for sample in u:
        n = len(sample)
        c = [sample[n // k * j] for j in range(k)]
        for _ in range(iters):
            rows = [[(p - center).square().sum().clamp(min=EPS).sqrt() for p in sample] for center in c]
            s = torch.softmax(-beta * torch.stack([torch.stack(row) for row in rows]), 0)
            c = [(s[j][:, None] * sample).sum(0) / s[j].sum() for j in range(k)]
        centers.append(torch.stack(c))
        assigns.append(s)
    return torch.stack(centers), torch.stack(assigns)


def positions(seed=0, batch=2, n=16, dim=5, dtype=torch.float64):
    return torch.randn(batch, n, dim, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def test_fast_path_equals_the_literal_loop_forward_and_backward():
    u, v = (positions().requires_grad_() for _ in range(2))
    fast, slow = soft_kmeans(u, 4, 4, 3.0), literal(v, 4, 4, 3.0)
    torch.testing.assert_close(fast.centers, slow[0], rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(fast.assign, slow[1], rtol=1e-6, atol=1e-9)
    fast.centers.square().sum().backward()
    slow[0].square().sum().backward()
    torch.testing.assert_close(u.grad, v.grad, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"init": "farthest"}, {"metric": "sq"}, {"normalize": True}, {"iters": 0}])
def test_gradcheck_in_double(options):
    u = positions(batch=1, n=7, dim=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: tuple(soft_kmeans(x, 3, **({"beta": 2.0} | options))), (u,))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(0, 4), st.floats(0.1, 100), st.sampled_from(["grid", "farthest"]), st.integers(0, 99))
def test_assignments_sum_to_one_over_the_clusters(k, iters, beta, init, seed):
    out = soft_kmeans(positions(seed, n=9), k, iters, beta, init)
    torch.testing.assert_close(out.assign.sum(1), torch.ones(2, 9, dtype=torch.float64))
    assert torch.isfinite(out.centers).all()


def test_large_beta_is_lloyds_algorithm():
    from sklearn.cluster import KMeans

    u = positions(3, batch=1, n=40, dim=2)
    for beta in (math.inf, 1e6):
        out = soft_kmeans(u, 4, iters=5, beta=beta, init="farthest")
        start = soft_kmeans(u, 4, iters=0, init="farthest").centers[0].numpy()
        lloyd = KMeans(4, init=start, n_init=1, max_iter=5, tol=0, algorithm="lloyd")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it stopped after so many rounds is what is wanted
            lloyd.fit(u[0].numpy())
        np.testing.assert_allclose(out.centers[0].numpy(), lloyd.cluster_centers_, atol=1e-6)
        assert set(np.unique(out.assign.round(decimals=6))) <= {0.0, 1.0}


def test_planted_clusters_are_recovered():
    generator = torch.Generator().manual_seed(0)
    means = torch.tensor([[0.0, 8.0], [8.0, 0.0], [-8.0, -8.0]])
    label = torch.arange(3).repeat(10)
    u = (means[label] + 0.3 * torch.randn(30, 2, generator=generator))[None]
    out = soft_kmeans(u, 3, beta=5.0, init="farthest")
    found = out.assign[0].argmax(0)
    assert all(len(set(found[label == j].tolist())) == 1 for j in range(3)) and len(set(found.tolist())) == 3


def test_permuting_positions_permutes_assignments():
    u = positions(1, batch=1)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    a, b = (soft_kmeans(x, 3, beta=4.0, init="farthest") for x in (u, u[:, order]))
    torch.testing.assert_close(a.assign[..., order], b.assign)
    torch.testing.assert_close(a.centers, b.centers)


def test_one_cluster_is_the_mean_and_a_center_on_a_point_has_a_finite_gradient():
    u = positions().requires_grad_()
    torch.testing.assert_close(soft_kmeans(u, 1).centers[:, 0], u.mean(1))
    same = torch.zeros(1, 6, 3, requires_grad=True)
    soft_kmeans(same, 2).centers.sum().backward()
    assert same.grad is not None and torch.isfinite(same.grad).all()


def test_masked_positions_do_not_count():
    u = positions(2, batch=1, n=10)
    mask = torch.tensor([[True] * 6 + [False] * 4])
    for init in ("grid", "farthest"):
        whole, part = soft_kmeans(u, 3, beta=5.0, init=init, mask=mask), soft_kmeans(u[:, :6], 3, beta=5.0, init=init)
        torch.testing.assert_close(whole.centers, part.centers)
        torch.testing.assert_close(whole.assign[..., :6], part.assign)
        assert (whole.assign[..., 6:] == 0).all()


def test_a_far_offset_costs_no_digits():
    u = positions(4, dtype=torch.float32)
    torch.testing.assert_close(soft_kmeans(u + 500, 3).assign, soft_kmeans(u, 3).assign, atol=5e-3, rtol=0)


def test_more_rounds_lower_the_energy():
    u = positions(5, batch=8, n=40)
    before, after = (energy(u, soft_kmeans(u, 4, n, 20.0)).mean() for n in (0, 8))
    assert after < before


@pytest.mark.parametrize(
    ("k", "options", "sentence"),
    [(17, {}, "K = 17 clusters of 16"), (0, {}, "K = 0"), (2, {"beta": 0.0}, "beta"), (2, {"iters": -1}, "iters = -1")],
)
def test_bad_input_is_one_sentence(k, options, sentence):
    with pytest.raises(InputError, match=sentence):
        SoftKMeans(k, **options)(positions())
