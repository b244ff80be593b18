"""The two filters after PhotoWCT: the fast guided filter is the slow one, the matting Laplacian is what Levin defined."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from claimkit.errors import InputError
from photonet.baselines.matting import affinity, matting_laplacian, matting_smoothing
from photonet.regions.guided_filter import guided_filter, inverse


def pictures(height, width, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, height, width, generator=generator, dtype=dtype)


def windows(height, width, radius):
    """Pixels (flat) of the window around every pixel, clipped at the border."""
    at = np.arange(height * width).reshape(height, width)
    for y in range(height):
        for x in range(width):
            yield at[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1].ravel()


def naive_guided_filter(picture, guide, radius, epsilon):
    p, colours = picture.flatten(1).numpy().T, guide.flatten(1).numpy().T
    around = list(windows(*picture.shape[1:], radius))
    a, b = [], []
    for w in around:
        mean, covariance = colours[w].mean(0), np.cov(colours[w].T, bias=True)
        slope = np.linalg.solve(covariance + epsilon * np.eye(3), (colours[w] - mean).T @ (p[w] - p[w].mean(0)) / len(w))
        a.append(slope)
        b.append(p[w].mean(0) - mean @ slope)
    a, b = np.array(a), np.array(b)
    q = np.stack([colours[i] @ a[w].mean(0) + b[w].mean(0) for i, w in enumerate(around)])
    return torch.from_numpy(q.T.copy()).view_as(picture)


@pytest.mark.parametrize("radius", [1, 3, 20])
def test_running_sums_give_what_the_definition_gives(radius):
    picture, guide = pictures(9, 12)
    expected = naive_guided_filter(picture, guide, radius, 1e-3)
    torch.testing.assert_close(guided_filter(picture, guide, radius), expected, rtol=1e-9, atol=1e-9)


def test_single_precision_is_enough_at_the_size_of_photographs():
    picture, guide = pictures(300, 700)
    exact = guided_filter(picture, guide)
    assert (guided_filter(picture.float(), guide.float()) - exact).abs().max() < 1e-3


def test_a_picture_guided_by_itself_keeps_strong_edges_and_flat_areas():
    picture = torch.full((3, 40, 40), 0.2, dtype=torch.float64)
    picture[:, :, 20:] = 0.8
    assert (guided_filter(picture, picture, 5, 1e-6) - picture).abs().max() < 1e-3
    noisy = picture + 0.01 * torch.randn(3, 40, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    smooth = guided_filter(noisy, picture, 5)
    assert (smooth - picture).square().mean() < 0.2 * (noisy - picture).square().mean()


def test_inverse_of_small_matrices():
    x = torch.randn(3, 3, 20, dtype=torch.float64)
    eye = torch.eye(3, dtype=torch.float64)[:, :, None]
    matrices = torch.einsum("ikp,jkp->ijp", x, x) + eye
    product = torch.einsum("ijp,jkp->ikp", matrices, inverse(matrices))
    torch.testing.assert_close(product, eye.expand_as(product))


def naive_affinity(guide, epsilon):
    height, width = guide.shape[1:]
    colours, n = guide.flatten(1).numpy().T, height * width
    w = np.zeros((n, n))
    at = np.arange(n).reshape(height, width)
    for y in range(height - 2):
        for x in range(width - 2):
            pixels = at[y : y + 3, x : x + 3].ravel()
            centred = colours[pixels] - colours[pixels].mean(0)
            inner = np.linalg.inv(centred.T @ centred / 9 + epsilon / 9 * np.eye(3))
            w[np.ix_(pixels, pixels)] += (1 + centred @ inner @ centred.T) / 9
    return w


@pytest.mark.parametrize(("height", "width"), [(6, 8), (3, 3), (7, 3), (3, 4), (9, 4)])
def test_affinities_are_those_of_the_definition(height, width):
    guide = pictures(height, width)[0]
    np.testing.assert_allclose(affinity(guide, 1e-4).toarray(), naive_affinity(guide, 1e-4), atol=1e-9)


@given(st.integers(0, 10_000))
def test_laplacian_is_symmetric_positive_and_blind_to_constants(seed):
    laplacian = matting_laplacian(pictures(5, 7, seed)[0], 1e-5)
    dense = laplacian.toarray()
    np.testing.assert_allclose(dense, dense.T, atol=1e-10)
    np.testing.assert_allclose(laplacian @ np.ones(35), 0, atol=1e-9)
    assert np.linalg.eigvalsh(dense).min() > -1e-9


def test_null_space_holds_whatever_is_affine_in_the_colours():
    guide = pictures(8, 9)[0]
    affine = (0.3 * guide[0] - 1.2 * guide[1] + 0.5 * guide[2] + 0.1).flatten().numpy()
    other = pictures(8, 9, 5)[0][0].flatten().numpy()
    laplacian = matting_laplacian(guide, 1e-12)
    assert affine @ laplacian @ affine < 1e-8 < 1e-2 < other @ laplacian @ other


def test_null_space_is_local():
    """Left and right of a border two different affine functions of colour, the border two windows wide and constant."""
    guide = pictures(6, 13)[0]
    guide[:, :, 5:8] = 0.5
    picture = torch.where(torch.arange(13) < 6, 0.5 + 0.7 * (guide[0] - 0.5), 0.5 - 0.4 * (guide[1] - 0.5))
    flat = picture.flatten().numpy()
    assert flat @ matting_laplacian(guide, 1e-12) @ flat < 1e-8


def test_both_solvers_solve_the_system_of_the_formula():
    picture, guide = pictures(10, 11)
    w = affinity(guide).toarray()
    root = np.diag(1 / np.sqrt(w.sum(1)))
    a = 0.99
    expected = (1 - a) * np.linalg.solve(np.eye(110) - a * root @ w @ root, picture.flatten(1).numpy().T)
    for solver, tolerance in (("direct", 1e-8), ("cg", 1e-3)):
        found = matting_smoothing(picture, guide, a, solver=solver)
        np.testing.assert_allclose(found.flatten(1).numpy(), expected.T, atol=tolerance)


def test_strength_zero_changes_nothing_and_one_is_refused():
    picture, guide = pictures(6, 6)
    torch.testing.assert_close(matting_smoothing(picture, guide, 0.0), picture, atol=1e-6, rtol=0)
    with pytest.raises(InputError, match="less than 1"):
        matting_smoothing(picture, guide, 1.0)


def test_bad_input_gets_a_sentence():
    picture, guide = pictures(6, 6)
    for function in (guided_filter, matting_smoothing):
        with pytest.raises(InputError, match="one size"):
            function(picture, guide[:, :5])
    with pytest.raises(InputError, match="radius"):
        guided_filter(picture, guide, 0)
    with pytest.raises(InputError, match="3 x 3"):
        matting_smoothing(picture[:, :2], guide[:, :2])
    with pytest.raises(InputError, match="solver"):
        matting_smoothing(picture, guide, solver="lu")  # type: ignore[arg-type]
