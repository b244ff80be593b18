"""The eight identities of the rule, for every scope, shape and precision; and what the function accepts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from claimkit.errors import InputError
from dtnh.guard.projection import project, project_

SHAPES = st.lists(st.lists(st.integers(1, 4), max_size=4).map(tuple), min_size=1, max_size=5)
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-11}


@st.composite
def gradients(draw):
    """Two lists of gradients in any relation to each other, their groups, and a tolerance."""
    shapes, dtype = draw(SHAPES), draw(st.sampled_from([torch.float32, torch.float64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    size = 10.0 ** draw(st.integers(-3, 3))
    mix = draw(st.floats(-3, 3))
    g = [torch.randn(s, generator=generator, dtype=dtype) for s in shapes]
    r = [size * (torch.randn(s, generator=generator, dtype=dtype) + mix * a) for s, a in zip(shapes, g, strict=True)]
    if draw(st.booleans()):  # channels last where it applies
        g = [t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for t in g]
    everything = list(range(len(g)))
    groups = {
        "shared": [everything[:-1]] if len(g) > 1 else [everything],
        "all": None,
        "layer": [everything[::2], everything[1::2]],
        "tensor": [[i] for i in everything],
    }[draw(st.sampled_from(["shared", "all", "layer", "tensor"]))]
    return g, r, groups, TOLERANCE[dtype]


def dot(a, b, rows):
    return sum(float((a[i].double() * b[i].double()).sum()) for i in rows)


def of(groups, g):
    return [range(len(g))] if groups is None else groups


@given(gradients())
def test_1_the_direction_keeps_the_whole_gradient_of_the_loss(given_):
    g, r, groups, tolerance = given_
    d, _ = project(g, r, groups)
    for b in of(groups, g):
        gg, gr, rr = dot(g, g, b), dot(g, r, b), dot(r, r, b)
        assert dot(d, g, b) == pytest.approx(gg + max(0, gr), abs=tolerance * (gg + (gg * rr) ** 0.5))


@given(gradients())
def test_2_in_conflict_what_is_left_is_orthogonal_and_shorter(given_):
    g, r, groups, tolerance = given_
    kept, info = project(g, r, groups, out="regularizer")
    d, _ = project(g, r, groups)
    for k, b in enumerate(of(groups, g)):
        gg, gr, rr = dot(g, g, b), dot(g, r, b), dot(r, r, b)
        if info.conflict[k]:
            assert abs(dot(kept, g, b)) <= tolerance * (gg * rr) ** 0.5
            assert dot(kept, kept, b) == pytest.approx(rr - gr**2 / gg, abs=tolerance * rr)
            assert dot(d, d, b) == pytest.approx(gg + dot(kept, kept, b), abs=tolerance * (gg + rr))
            assert dot(d, d, b) <= (gg + rr) * (1 + tolerance)


@given(gradients())
def test_3_without_conflict_the_sum_is_exact(given_):
    g, r, groups, _ = given_
    d, info = project(g, r, groups)
    free = {i for k, b in enumerate(of(groups, g)) if not info.conflict[k] for i in b}
    free |= set(range(len(g))) - {i for b in of(groups, g) for i in b}
    assert all(torch.equal(d[i], g[i] + r[i]) for i in free)


@given(gradients())
def test_4_projecting_twice_is_projecting_once(given_):
    g, r, groups, tolerance = given_
    once, _ = project(g, r, groups, out="regularizer")
    twice, _ = project(g, once, groups, out="regularizer")
    size = max(float(t.abs().max()) for t in r)
    assert all(torch.allclose(a, b, atol=tolerance * size) for a, b in zip(once, twice, strict=True))


@given(gradients(), st.floats(0.1, 10))
def test_5_scaling_the_loss_changes_nothing_and_scaling_the_regulariser_scales(given_, c):
    g, r, groups, tolerance = given_
    kept, info = project(g, r, groups, out="regularizer")
    if bool((info.cos.abs() < tolerance).any()):
        return  # the sign of a zero is a matter of rounding
    stronger, _ = project([c * t for t in g], r, groups, out="regularizer")
    scaled, _ = project(g, [c * t for t in r], groups, out="regularizer")
    size = max(float(t.abs().max()) for t in r)
    for a, b, s in zip(kept, stronger, scaled, strict=True):
        assert torch.allclose(a, b, atol=tolerance * size) and torch.allclose(c * a, s, atol=tolerance * c * size)


@given(gradients(), st.integers(0, 2**31))
def test_6_what_is_left_is_the_nearest_point_that_does_not_oppose(given_, seed):
    g, r, groups, tolerance = given_
    kept, _ = project(g, r, groups, out="regularizer")
    generator = torch.Generator().manual_seed(seed)
    for b in of(groups, g):
        size, gg = dot(r, r, b), dot(g, g, b)
        assert dot(kept, g, b) >= -tolerance * (size * gg) ** 0.5
        distance = [k.double() - t.double() for k, t in zip(kept, r, strict=True)]
        x = [t + torch.randn(t.shape, generator=generator, dtype=t.dtype) * size**0.5 for t in kept]
        opposed = min(0.0, dot(x, g, b)) / (gg or 1)
        x = [t - opposed * a for t, a in zip(x, g, strict=True)]  # feasible
        other = [t.double() - a.double() for t, a in zip(x, r, strict=True)]
        assert dot(distance, distance, b) <= dot(other, other, b) + tolerance * size


@pytest.mark.parametrize(
    ("g", "r", "kept", "d"),
    [
        ((1, 0), (-1, 1), (0, 1), (1, 1)),
        ((1, 0), (1, 1), (1, 1), (2, 1)),
        ((2, 0), (-5, 0), (0, 0), (2, 0)),
        ((0, 0), (-5, 1), (-5, 1), (-5, 1)),
        ((1, 0), (0, 3), (0, 3), (1, 3)),
    ],
)
def test_7_worked_examples(g, r, kept, d):
    g, r = [torch.tensor(g, dtype=torch.float32)], [torch.tensor(r, dtype=torch.float32)]
    assert project(g, r, out="regularizer")[0][0].tolist() == list(kept)
    assert project(g, r)[0][0].tolist() == list(d)


@given(gradients())
def test_8_tensor_by_tensor_the_inequality_holds_for_the_whole_and_removes_more(given_):
    g, r, _, tolerance = given_
    rows = range(len(g))
    d, info = project(g, r, [[i] for i in rows])
    gg, gr, rr = dot(g, g, rows), dot(g, r, rows), dot(r, r, rows)
    assert dot(d, g, rows) >= gg + max(0, gr) - tolerance * (gg + (gg * rr) ** 0.5)
    _, whole = project(g, r)
    opposed = [float(c * n) for c, n in zip(info.coef * info.grad_norm, info.grad_norm, strict=True)]
    assert sum(opposed) >= float(whole.coef[0] * whole.grad_norm[0] ** 2) - tolerance * (gg * rr) ** 0.5


def test_nothing_is_copied_to_the_host():
    """On fake tensors, any read of a value raises."""
    with FakeTensorMode():
        g, r = ([torch.randn(3, 2), torch.randn(4)] for _ in range(2))
        d, info = project(g, r, [[0], [1]])
    assert d[0].shape == (3, 2) and info.conflict.shape == (2,)


def test_inputs_are_left_alone_and_none_is_zero():
    g, r = [torch.tensor([1.0, 0.0]), torch.tensor([2.0])], [torch.tensor([-1.0, 1.0]), None]
    d, info = project(g, r)
    assert g[0].tolist() == [1, 0] and r[0].tolist() == [-1, 1]
    assert info.coef.item() == pytest.approx(1 / 5)
    assert torch.allclose(d[0], torch.tensor([0.2, 1.0])) and torch.allclose(d[1], torch.tensor([2.4]))
    assert torch.allclose(project(g, r, out="regularizer")[0][1], torch.tensor([0.4]))


def test_sums_are_wide_under_half_precision():
    g = [torch.full((4096,), 0.01, dtype=torch.bfloat16)]
    r = [-t for t in g]
    _, info = project(g, r)
    assert info.coef.dtype == torch.float32 and info.coef.item() == pytest.approx(1, rel=1e-5)
    assert info.grad_norm.item() == pytest.approx(64 * float(g[0][0]), rel=1e-4)


def test_what_is_not_finite_stays_so():
    for bad in (float("nan"), float("inf")):
        for g, r in (([torch.tensor([bad, 1.0])], [torch.ones(2)]), ([torch.ones(2)], [torch.tensor([-bad, 1.0])])):
            assert not bool(project(g, r)[0][0].isfinite().all())


@pytest.mark.parametrize(
    ("g", "r", "groups", "sentence"),
    [
        ([torch.ones(2)], [], None, "1 gradients of the loss and 0"),
        ([torch.ones(2)], [torch.ones(3)], None, r"gradient 0 has shape \(2,\) in the loss, \(3,\)"),
        ([torch.ones(2)], [torch.ones(2, dtype=torch.int64)], None, "expected a dense tensor of real numbers"),
        ([torch.ones(2)], [torch.ones(2)], [[0], [0]], "each once"),
        ([torch.ones(2)], [torch.ones(2)], [[1]], "expected 0..0"),
    ],
)
def test_bad_lists_are_refused(g, r, groups, sentence):
    with pytest.raises(InputError, match=sentence):
        project(g, r, groups)
    with pytest.raises(InputError, match="out ="):
        project([torch.ones(2)], [torch.ones(2)], out="both")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_large_penalty_in_half_precision_does_not_turn_the_step_around(dtype, in_place):
    for ratio in (100.3, 1003.0, 3001.0):
        g, r = torch.tensor([1.01, 0.02]).to(dtype), torch.tensor([-ratio, 1.0]).to(dtype)
        if in_place:
            d = g.clone()
            project_([d], [r], [[0]])
        else:
            d = project([g], [r])[0][0]
        assert float(d.double() @ g.double()) >= 0.99 * float(g.double() @ g.double())
        kept = project([g], [r], out="regularizer")[0][0]
        assert float(kept.double() @ g.double()) >= -0.01 * float(g.double() @ g.double())
