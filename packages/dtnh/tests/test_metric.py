"""The guard in the metric of an optimiser: the penalty's part of a step never raises the loss; decoupled L2-SP; a lag."""

import copy
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import SGD, Adafactor, Adam, AdamW

from claimkit.errors import InputError
from dtnh import L2SP, Guard

OPTIMIZERS = {
    "SGD": lambda p: SGD(p, 0.1),
    "SGD, momentum": lambda p: SGD(p, 0.1, 0.9),
    "SGD, Nesterov": lambda p: SGD(p, 0.1, 0.9, nesterov=True, foreach=True),
    "Adam": lambda p: Adam(p, 0.01, amsgrad=True),
    "AdamW": lambda p: AdamW(p, 0.01, weight_decay=0.0),
    "Adafactor": lambda p: Adafactor(p, 0.01),
    "Muon": lambda p: torch.optim.Muon([t for t in p if t.ndim == 2], 0.01, weight_decay=0.0),
}


def parameters(seed, kind):
    """In double precision: a step of 1e-7 is below what float32 parameters resolve."""
    g = torch.Generator().manual_seed(seed)
    shapes = [(3, 4), (2, 3)] if kind == "Muon" else [(3, 4), (5,), (2, 3)]
    return {f"p{i}": nn.Parameter(torch.randn(s, generator=g, dtype=torch.float64)) for i, s in enumerate(shapes)}


def gradients(w, generator, scales):
    """One random gradient a parameter, of very different sizes."""
    sizes = {n: 10 ** (scales * float(torch.rand((), generator=generator))) for n in w}
    return {n: sizes[n] * torch.randn(p.shape, generator=generator, dtype=p.dtype) for n, p in w.items()}


def linear(w, g):
    """A loss whose gradient is ``g``."""
    return sum((w[n] * g[n]).sum() for n in w)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), scales=st.sampled_from([0, 2, -4]), scope=st.sampled_from(["all", "tensor"]))
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_gains_no_less_than_that_of_the_loss_alone(kind, seed, scales, scope):
    """``<P d, g> >= <P g, g>``, measured on the parameters themselves, at every step."""
    if kind == "Muon" and not hasattr(torch.optim, "Muon"):
        pytest.skip("this torch has no Muon")
    generator = torch.Generator().manual_seed(seed)
    w = parameters(seed, kind)
    optimizer = OPTIMIZERS[kind](list(w.values()))
    guard = Guard(w.items(), scope, optimizer=optimizer)
    for _ in range(4):
        g, r = gradients(w, generator, scales), gradients(w, generator, scales)
        plain = {n: nn.Parameter(p.detach().clone()) for n, p in w.items()}
        alone = OPTIMIZERS[kind](list(plain.values()))
        alone.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        linear(plain, g).backward()
        alone.step()
        before = {n: p.detach().clone() for n, p in w.items()}
        optimizer.zero_grad()
        guard.backward(linear(w, g), reg_grad=r)
        optimizer.step()
        gained, promised = (
            sum(float(((before[n] - p.detach()).double() * g[n].double()).sum()) for n, p in x.items()) for x in (w, plain)
        )
        largest = sum(float(((before[n] - p.detach()).abs().double() * g[n].abs().double()).sum()) for n, p in w.items())
        assert gained >= promised - 1e-5 * largest
        assert any(not torch.equal(w[n], plain[n]) for n in w), "the penalty moves something"
        for p, q in zip(w.values(), plain.values(), strict=True):  # moments are those of the loss alone
            for key, value in optimizer.state.get(p, {}).items():
                if isinstance(value, torch.Tensor) and key != "step":
                    assert torch.allclose(value, alone.state[q][key]), key
    assert len(guard.conflicts) == 4


def test_plain_descent_is_the_guard_without_an_optimizer():
    w, v = parameters(0, "SGD"), parameters(0, "SGD")
    g, r = (gradients(w, torch.Generator().manual_seed(s), 0) for s in (1, 2))
    with_it, without = SGD(w.values(), 0.1), SGD(v.values(), 0.1)
    Guard(w.items(), "all", optimizer=with_it).backward(linear(w, g), reg_grad=r)
    Guard(v.items(), "all").backward(linear(v, g), reg_grad=r)
    with_it.step()
    without.step()
    assert all(torch.allclose(w[n], v[n], atol=1e-6) for n in w)


def by_hand(g, r, v, lr):
    """One AdamW parameter: the penalty's move."""
    q = (v + r.square()).sqrt() + 1e-8
    dot, gg = (r / q * g).sum(), (g / q * g).sum()
    return lr * (r + max(0.0, float(-dot / gg)) * g) / q


def test_the_formula_by_hand_with_clipping_micro_batches_and_a_scaler():
    g, r = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([-3.0, 1.0, 0.2])
    for way in ("plain", "clip", "accumulate", "scaler"):
        p = nn.Parameter(torch.zeros(3))
        optimizer = AdamW([p], 0.01, weight_decay=0.0)
        guard = Guard([("p", p)], "all", optimizer=optimizer)
        scaler = torch.amp.GradScaler("cpu", init_scale=64.0) if way == "scaler" else None
        parts = 2 if way == "accumulate" else 1
        for k in range(parts):
            loss, penalty = (p * g).sum() / parts, (p * r).sum() / parts
            guard.backward(loss, penalty, accumulate=k < parts - 1, scaler=scaler)
        factor = 1.0
        if scaler is not None:
            scaler.unscale_(optimizer)
        if way == "clip":
            factor = 0.1 / float(nn.utils.clip_grad_norm_([p], 0.1))
        (scaler.step(optimizer) if scaler is not None else optimizer.step())
        move = by_hand(factor * g, r, (factor * g).square(), 0.01)
        assert torch.allclose(p, -0.01 * g.sign() - move, atol=1e-6), way


def test_an_infinite_penalty_is_left_to_the_scaler_and_refused_without():
    p = nn.Parameter(torch.ones(2))
    optimizer = AdamW([p], 0.1, weight_decay=0.0)
    guard, scaler = Guard([("p", p)], "all", optimizer=optimizer), torch.amp.GradScaler("cpu", init_scale=4.0)
    guard.backward(p.sum(), reg_grad={"p": torch.tensor([float("inf"), 0.0])}, scaler=scaler)
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(p, torch.ones(2)) and scaler.get_scale() == 2 and len(guard.conflicts) == 0
    optimizer.zero_grad()
    with pytest.raises(InputError, match="regulariser is not finite"):
        guard.backward(p.sum(), reg_grad={"p": torch.tensor([float("nan"), 0.0])})


def test_two_optimizers_share_one_projection_and_a_missing_gradient_is_zero():
    w = {"a": nn.Parameter(torch.ones(2)), "b": nn.Parameter(torch.ones(2)), "unused": nn.Parameter(torch.ones(2))}
    first, second = SGD([w["a"]], 1.0), SGD([w["b"], w["unused"]], 1.0)
    guard = Guard(w.items(), "all", optimizer=[first, second])
    r = {"a": torch.tensor([-2.0, 0.0]), "b": torch.tensor([0.0, 1.0]), "unused": torch.tensor([0.5, 0.0])}
    guard.backward(w["a"][0] + w["b"][0], reg_grad=r)
    first.step()
    assert torch.equal(w["a"], torch.tensor([0.0, 1.0]))
    second.step()  # <r, g> = -2, <g, g> = 2: r' = r + g
    assert torch.equal(w["a"], torch.tensor([1.0, 1.0]))
    assert torch.equal(w["b"], torch.tensor([-1.0, 0.0]))
    assert torch.equal(w["unused"], torch.tensor([0.5, 1.0])) and w["unused"].grad is None


def test_what_has_no_metric_is_refused_and_a_wrapper_is_looked_into():
    p, q = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    with pytest.raises(InputError, match="metric of LBFGS is not known"):
        Guard([p], "all", optimizer=torch.optim.LBFGS([p]))
    with pytest.raises(InputError, match="no optimizer holds '1'"):
        Guard([p, q], "all", optimizer=SGD([p], 0.1))
    with pytest.raises(InputError, match="maximises"):
        Guard([p], "all", optimizer=SGD([p], 0.1, maximize=True))

    class Wrapper(torch.optim.Optimizer):
        def __init__(self, inside):
            self.optimizer = inside

    inside = SGD([p], 0.1)
    assert Guard([p], "all", optimizer=Wrapper(inside))._apart.optimizers == [inside]


def test_a_lagged_coefficient_has_one_backward_and_says_how_often_it_was_right():
    w = nn.ParameterDict({"a": nn.Parameter(torch.zeros(2)), "fc": nn.Parameter(torch.zeros(2))})
    guard = Guard(w.items(), head="fc", every=3)
    g, r = torch.tensor([1.0, 0.0]), torch.tensor([-2.0, 1.0])
    for k in range(7):
        w.zero_grad()
        slope = 1.0 if k < 6 else 0.5
        info = guard.backward((w["a"] * g).sum() * slope + w["fc"].sum(), (w["a"] * r).sum())
        assert (info is None) == (k % 3 > 0)
        if k < 6:
            assert torch.equal(w["a"].grad, torch.tensor([1.0, 1.0])), k
        assert torch.equal(w["fc"].grad, torch.ones(2)), k
    assert "3 of 7 steps exact" in repr(guard) and "in 50% of the 2 steps" in repr(guard)
    with pytest.raises(InputError, match="every = 2"):
        Guard(w.items(), "tensor", head=(), every=2)
    with pytest.raises(InputError, match="leave the head alone, not 'fc'"):
        Guard(w.items(), head="fc", every=2).backward(w["a"].sum(), w["fc"].sum())


def test_a_step_of_l2sp_is_the_decay_of_adamw_towards_the_source():
    w = {"a": nn.Parameter(torch.ones(3)), "b": nn.Parameter(torch.ones(3))}
    groups = [{"params": [w["a"]], "lr": 0.1}, {"params": [w["b"]], "lr": 0.2}]
    optimizer = SGD(groups, 0.1)
    zero = {n: torch.zeros(3) for n in w}
    L2SP(w.items(), zero, 0.5, optimizer=optimizer).step()
    assert torch.allclose(w["a"], torch.full((3,), 0.95)) and torch.allclose(w["b"], torch.full((3,), 0.9))
    twin = nn.Parameter(torch.ones(3))
    twin.grad = torch.zeros(3)
    AdamW([twin], 0.1, weight_decay=0.5).step()
    assert torch.allclose(w["a"], twin)
    pull = L2SP(w.items(), zero, 0.5)
    pull.step(0.1)
    assert torch.allclose(w["a"], torch.full((3,), 0.95**2))
    with pytest.raises(InputError, match="no learning rate for 'a'"):
        pull.step()
    with pytest.raises(InputError, match="would overshoot"):
        pull.step(3)
    low = [("p", nn.Parameter(torch.ones(2, dtype=torch.bfloat16)))]
    pull = L2SP(low, {"p": torch.zeros(2)}, 0.5)
    with pytest.warns(UserWarning, match="moves below its resolution are lost"):
        pull.step(0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pull.step(0.1)
    assert low[0][1].dtype == torch.bfloat16 and low[0][1][0] < 0.95


def test_rates_have_the_names_of_the_modules():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 2))
    guard = Guard(net, "layer")
    guard.backward(net(torch.randn(4, 2)).square().sum(), sum(p.square().sum() for p in net.parameters()))
    assert list(guard.conflicts.rates) == ["0", "2"] and list(Guard(net, "tensor").conflicts.names)[:2] == [
        "0.weight",
        "0.bias",
    ]


@pytest.mark.parametrize("how", ["norm", "value", "by hand"])
def test_gradients_of_the_last_step_are_noticed_whatever_was_done_to_them(how):
    net = nn.Linear(3, 2)
    guard, pull, optimizer = Guard(net, head=()), L2SP(net, alpha=0.1, head=()), SGD(net.parameters(), 0.1)

    def step():
        guard.backward(net(torch.ones(4, 3)).square().sum(), reg_grad=pull.grad())
        if how == "by hand":
            for p in net.parameters():
                p.grad.mul_(0.5)
        else:
            getattr(nn.utils, f"clip_grad_{how}_")(net.parameters(), 1e-3)
        optimizer.step()

    step()
    with pytest.raises(InputError, match="call optimizer"):
        step()
    for to_none in (True, False):
        step()
        optimizer.zero_grad(set_to_none=to_none)


@pytest.mark.parametrize("closed", [True, False])
def test_a_sparse_gradient_is_made_dense_where_the_penalty_is(closed):
    def gradient(sparse):
        torch.manual_seed(0)
        embedding = nn.Embedding(6, 2, sparse=sparse)
        w, x = embedding.weight, torch.tensor([1, 1, 4])
        guard = Guard([("w", w)], "all")
        r = -3.0 * (w.detach() + 1)
        guard.backward(embedding(x).square().sum(), *((None, {"w": r}) if closed else ((w * r).sum(),)))
        return w.grad

    assert torch.allclose(gradient(True), gradient(False))


def test_a_sparse_gradient_without_penalty_stays_sparse():
    embedding, other = nn.Embedding(6, 2, sparse=True), nn.Parameter(torch.ones(2))
    guard = Guard([("w", embedding.weight), ("o", other)], "all")
    guard.backward((embedding(torch.tensor([1, 1])) * other).sum(), reg_grad={"o": -other.detach()})
    assert embedding.weight.grad.is_sparse
