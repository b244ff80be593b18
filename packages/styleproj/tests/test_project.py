"""Properties (a) to (g) of the projection, its ties, sizes, gradients, and the compiled kernel against torch."""

import builtins
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

import styleproj.operator
from claimkit.errors import InputError
from styleproj import SortedStyle, barycentre, kernels, project, project_regions

EXACT = ("stable", "random", "local-mean")
VALUES = st.floats(-8, 8, width=16) | st.sampled_from([0.0, -0.0, 1.0])  # many ties


def features(size=None):
    """(channel, height, width), relu-like or signed, full of ties."""
    shape = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)) if size is None else st.just(size)
    return shape.flatmap(lambda s: arrays(np.float32, s, elements=VALUES)).map(torch.tensor)


@st.composite
def pairs(draw, count=2):
    """Features of one shape."""
    first = draw(features())
    return (first, *(draw(features(tuple(first.shape))) for _ in range(count - 1)))


def ordered(x):
    return (x.flatten(1) + 0.0).sort(-1).values


def stable_reference(x, s):
    """The definition, channel by channel."""
    z = torch.empty_like(x)
    for c in range(len(x)):
        i, t = x[c].flatten().argsort(stable=True), s[c].flatten().sort().values
        z[c].view(-1)[i] = t
    return z


@given(pairs(), st.sampled_from(EXACT))
def test_a_every_channel_has_exactly_the_style_values(pair, ties):
    x, s = pair
    assert torch.equal(ordered(project(x, s, ties=ties)), ordered(s))


@given(pairs(), st.sampled_from((*EXACT, "average")))
def test_b_the_order_of_the_content_is_kept(pair, ties):
    x, s = pair
    z = project(x, s, ties=ties).flatten(1)
    x = x.flatten(1)
    smaller = x[:, :, None] < x[:, None, :]
    assert (z[:, :, None] <= z[:, None, :])[smaller].all()


@given(features(), st.sampled_from((*EXACT, "average")))
def test_c_a_style_projected_on_itself_stays(x, ties):
    torch.testing.assert_close(project(x, x, ties=ties), x, rtol=1e-6, atol=0)
    if ties != "average":
        assert torch.equal(project(x, x, ties=ties), x)


@given(pairs(), st.sampled_from((*EXACT, "average")))
def test_d_projecting_twice_is_projecting_once(pair, ties):
    x, s = pair
    once = project(x, s, ties=ties)
    torch.testing.assert_close(project(once, s, ties=ties), once, rtol=1e-5, atol=1e-6)


@given(pairs(), st.sampled_from(("stable", "random", "average")))
def test_e_increasing_maps_of_the_content_change_nothing(pair, ties):
    x, s = pair
    z = project(x.double(), s.double(), ties=ties)
    for increasing in (lambda v: 3 * v + 1, lambda v: v.sign() * (v.abs() + v.abs().sqrt())):
        y = increasing(x.double())
        assert torch.equal(project(y, s.double(), ties=ties), z)


@given(pairs(), st.randoms(use_true_random=False))
def test_f_positions_of_the_style_do_not_matter(pair, random):
    x, s = pair
    order = list(range(s[0].numel()))
    random.shuffle(order)
    assert torch.equal(project(x, s.flatten(1)[:, order].view_as(s)), project(x, s))


@given(pairs())
def test_g_it_is_the_optimal_transport_map_of_every_channel(pair):
    x, s = (v.double() for v in pair)
    z = project(x, s)
    for c in range(len(x)):
        cost = (x[c].flatten()[:, None] - s[c].flatten()[None, :]) ** 2
        best = cost.numpy()[linear_sum_assignment(cost.numpy())].sum()
        assert ((z[c] - x[c]) ** 2).sum().item() == pytest.approx(best, rel=1e-9, abs=1e-9)


@given(pairs())
def test_it_is_the_definition(pair):
    x, s = pair
    expected = stable_reference(x, s)
    for kernel in ("torch", "compiled"):
        assert torch.equal(project(x, s, kernel=kernel), expected)


@settings(max_examples=40)
@given(
    st.integers(0, 2**31), st.sampled_from([1, 7, 256, 5000, 70_000]), st.sampled_from(["relu", "signed", "bf16", "tiny"])
)
def test_the_compiled_kernel_equals_torch_bit_by_bit(seed, size, kind):
    g = torch.Generator().manual_seed(seed)
    x, s = torch.randn(2, 3, 1, size, generator=g)
    if kind == "relu":
        x, s = x.relu(), s.relu()
    if kind == "bf16":
        x, s = x.bfloat16().float(), s.bfloat16().float()
    if kind == "tiny":
        x, s = x * 1e-42, s * 1e37  # subnormal, and nearly overflowing
    for alpha in (1.0, 0.6, 0.0):
        assert torch.equal(project(x, s, alpha, kernel="compiled"), project(x, s, alpha, kernel="torch"))
    rows = x.flatten(1)
    assert torch.equal(kernels.argsort_rows(rows, "compiled"), rows.argsort(dim=-1, stable=True))
    assert torch.equal(kernels.sort_rows(rows, "compiled"), rows.sort(-1).values)
    mean = [project(x, s, ties="average", kernel=k) for k in ("compiled", "torch")]
    torch.testing.assert_close(*mean, rtol=1e-6, atol=1e-6 * float(s.abs().max()))


def test_infinities_have_a_rank():
    x, s = torch.tensor([[[torch.inf, -torch.inf, 0.0, 2.0]]]), torch.tensor([[[4.0, 3.0, 2.0, torch.inf]]])
    for kernel in ("compiled", "torch"):
        assert project(x, s, kernel=kernel).tolist() == [[[torch.inf, 2.0, 3.0, 4.0]]]


def test_threads_change_nothing():
    x, s = torch.randn(2, 64, 40, 40)
    one = project(x, s)
    torch.set_num_threads(3)
    assert torch.equal(project(x, s), one)


@pytest.mark.parametrize("ties", EXACT)
def test_ties_are_broken_as_asked(ties):
    x, s = torch.zeros(1, 8, 8), torch.arange(64.0).view(1, 8, 8)
    z = project(x, s, ties=ties)
    assert torch.equal(z, s) == (ties != "random")
    assert torch.equal(project(x, s, ties=ties, seed=0), z)
    assert torch.equal(project(x, s, ties=ties, seed=1), z) == (ties != "random")


def test_local_mean_gives_what_is_near_large_values_more():
    x = torch.zeros(1, 9, 9)
    x[0, 4, 4] = 1.0
    z = project(x, torch.arange(81.0).view(1, 9, 9), ties="local-mean")
    ring = torch.zeros(9, 9, dtype=torch.bool)
    ring[2:7, 2:7] = True
    assert z[0][ring].min() > z[0][~ring].max()


def test_average_gives_the_mean_of_the_span():
    x, s = torch.tensor([[[0.0, 0.0, 5.0, -1.0]]]), torch.tensor([[[1.0, 2.0, 4.0, 10.0]]])
    assert project(x, s, ties="average").tolist() == [[[3.0, 3.0, 10.0, 1.0]]]


@given(features(), features((2, 3, 4)), st.sampled_from(("compiled", "torch")))
def test_unequal_sizes_follow_the_quantile_function(x, s, kernel):
    s = s[:1].expand(len(x), -1, -1)
    z = ordered(project(x, s, kernel=kernel))
    for c in range(len(x)):
        n, m = x[c].numel(), s[c].numel()
        where = np.clip((np.arange(n) + 0.5) / n * m - 0.5, 0, m - 1)
        expected = np.interp(where, np.arange(m), np.sort(s[c].flatten().numpy().astype(float)))
        np.testing.assert_allclose(z[c], expected, atol=1e-5)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_quantiles_are_sorted_and_within_the_style(n, m, seed):
    style = SortedStyle.of(torch.randn(2, 1, m, generator=torch.Generator().manual_seed(seed)))
    q = style.quantiles(n)
    assert (q.diff(dim=-1) >= 0).all()
    assert q.min() >= style.values.min() and q.max() <= style.values.max()
    assert style.quantiles(m) is style.values


def test_a_sorted_style_is_the_style_and_survives_the_disk(tmp_path):
    x, s = torch.randn(2, 3, 4, 6, 6)
    style = SortedStyle.of(s)
    style.save(tmp_path / "a.style")
    for cached in (style, SortedStyle.load(tmp_path / "a.style")):
        assert torch.equal(project(x, cached, 0.7), project(x, s, 0.7))
    one = SortedStyle.of(s[0])
    assert torch.equal(project(x, one), project(x, s[:1].expand_as(x)))
    assert torch.equal(project(x, s[:1]), project(x, s[0]))


def test_the_barycentre_minimises_the_weighted_transport_cost():
    a, b = SortedStyle.of(torch.randn(1, 1, 50)), SortedStyle.of(torch.rand(1, 1, 50) * 4)
    mean = barycentre([a, b], [3, 1]).values

    def cost(v):
        return 3 * ((v - a.values) ** 2).mean() + ((v - b.values) ** 2).mean()

    for _ in range(20):
        assert cost(mean) <= cost(mean + 0.01 * torch.randn(mean.shape))
    assert torch.equal(barycentre([a]).values, a.values)
    assert barycentre([a, SortedStyle.of(torch.randn(1, 1, 80))]).count == 80


@pytest.mark.parametrize("ties", ["stable", "average", "random", "local-mean"])
@pytest.mark.parametrize("width", [4, 6])
def test_gradients_are_exact(ties, width):
    x = torch.randn(2, 2, 3, 4, dtype=torch.float64).relu().requires_grad_()
    s = torch.randn(2, 2, 3, width, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: project(x.detach(), s, 0.7, ties=ties), (s,))
    away_from_ties = torch.randn(2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, s: project(x, s, 0.7, ties=ties), (away_from_ties, s))


def test_the_straight_through_gradient_reaches_the_content():
    x, s = torch.randn(2, 1, 3, 3).unbind()
    x.requires_grad_()
    upstream = torch.randn(1, 3, 3)
    for gradient, expected in (("exact", 0.25 * upstream), ("straight-through", upstream)):
        z = project(x, s, 0.75, gradient=gradient)
        (g,) = torch.autograd.grad((z * upstream).sum(), x)
        torch.testing.assert_close(g, expected)
        torch.testing.assert_close(z, project(x.detach(), s, 0.75))


@given(pairs(), st.sampled_from(("stable", "average")))
def test_with_gradients_the_values_are_the_same(pair, ties):
    x, s = pair
    torch.testing.assert_close(project(x, s.clone().requires_grad_(), ties=ties).detach(), project(x, s, ties=ties))


def test_regions_take_the_values_of_their_own_label():
    x, s = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 6, 6)
    lx = torch.tensor([[0, 0, 1, 2]] * 4)
    ls = torch.tensor([[0, 0, 0, 1, 1, 1]] * 6)
    z = project_regions(x, s, lx, ls)
    assert torch.equal(z[..., 3], x[..., 3]), "a label that the style lacks"
    left = SortedStyle.of(s, ls == 0)
    assert torch.equal(z[..., :2], project(x[..., :2], left))
    one = project_regions(x, s, torch.zeros(4, 4), torch.zeros(6, 6))
    assert torch.equal(one, project(x, s))


def test_alpha_may_be_a_map():
    x, s = torch.randn(2, 3, 4, 4)
    mask = torch.zeros(4, 4)
    mask[:2] = 1
    z = project(x, s, mask)
    assert torch.equal(z[:, :2], project(x, s)[:, :2]) and torch.equal(z[:, 2:], x[:, 2:])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    x, s = torch.randn(2, 3, 4, 4).to(dtype)
    z = project(x, s)
    assert z.dtype == dtype
    assert torch.equal(z.double(), stable_reference(x.double(), s.double()))


def test_the_layer_is_the_function():
    x, s = torch.randn(2, 3, 4, 4)
    layer = styleproj.StyleProjection(0.5, "average")
    assert torch.equal(layer(x, s), project(x, s, 0.5, ties="average"))
    assert "average" in repr(layer) and not list(layer.parameters())


def test_channels_last_and_views_are_read_as_they_are():
    x, s = torch.randn(2, 2, 8, 5, 5)
    last = x.to(memory_format=torch.channels_last)
    assert torch.equal(project(last, s), project(x, s))
    assert torch.equal(project(x[:, ::2], s[:, ::2]), project(x, s)[:, ::2])


def without_numba(name, *args, _import=builtins.__import__, **kwargs):
    if name.split(".")[0] == "numba":
        raise ImportError(name)
    return _import(name, *args, **kwargs)


def test_without_numba_torch_does_the_work(monkeypatch):
    x, s = torch.randn(2, 3, 4, 4)
    expected = project(x, s)
    monkeypatch.setattr("builtins.__import__", without_numba)
    kernels.compiled.cache_clear()
    monkeypatch.delitem(sys.modules, "styleproj.operator.radix", raising=False)
    monkeypatch.delattr(styleproj.operator, "radix", raising=False)
    assert not kernels.warmup()
    assert torch.equal(project(x, s), expected)
    with pytest.raises(InputError, match="needs numba"):
        project(x, s, kernel="compiled")
    kernels.compiled.cache_clear()


def test_the_kernel_is_loaded_when_it_pays(monkeypatch):
    kernels.compiled.cache_clear()
    monkeypatch.setattr(kernels, "PAYS", 50)
    monkeypatch.setattr(kernels, "_met", 0)
    x = torch.randn(1, 6, 6)
    project(x, x)
    assert not kernels.compiled.cache_info().currsize
    project(x, x)
    assert kernels.compiled.cache_info().currsize


def bad_value(x):
    x = x.clone()
    x[0, 0, 0] = torch.nan
    return x


@pytest.mark.parametrize("kernel", ["torch", "compiled"])
@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda x, k: project(bad_value(x), x, kernel=k), "NaN"),
        (lambda x, k: project(x, bad_value(x), kernel=k), "NaN"),
        (lambda x, k: project(x, x, 1.5, kernel=k), "outside"),
        (lambda x, k: project(x, x, float("nan"), kernel=k), "outside"),
        (lambda x, k: project(x, x, ties="first", kernel=k), "none of"),
        (lambda x, k: project(x, x[:1], kernel=k), "do not fit"),
        (lambda x, k: project(x, x.double(), kernel=k), "do not fit"),
        (lambda x, k: project(x[0], x, kernel=k), "shape"),
        (lambda x, k: project(x.long(), x, kernel=k), "floating point"),
        (lambda x, k: project(x[:, :0], x, kernel=k), "shape"),
        (lambda x, k: project_regions(x, x, torch.zeros(2, 2), torch.zeros(4, 4), kernel=k), "labels"),
        (lambda x, k: SortedStyle.of(x, torch.zeros(4, 4, dtype=torch.bool), k), "at least one"),
        (lambda x, k: barycentre([SortedStyle.of(x, None, k)], [-1]), "weight"),
        (lambda x, k: barycentre([]), "weight"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence, kernel):
    with pytest.raises(InputError, match=sentence):
        call(torch.randn(2, 4, 4), kernel)


def test_a_file_that_is_no_style(tmp_path):
    (tmp_path / "a").write_bytes(b"no")
    with pytest.raises(InputError, match="sorted style"):
        SortedStyle.load(tmp_path / "a")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_gpu_gives_the_same():
    x, s = torch.randn(2, 2, 8, 16, 16).relu()
    assert torch.equal(project(x.cuda(), s.cuda()).cpu(), project(x, s))
