"""The guard in training steps: what ends in ``.grad``, and what it refuses."""

import copy
import gc
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError
from dtnh import L2SP, Guard, project
from dtnh.guard.watching import NotFiniteError


class Net(nn.Module):
    """Two shared layers, BatchNorm, a head, and one layer that the loss never uses."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 6)
        self.norm = nn.BatchNorm1d(6)
        self.b = nn.Linear(6, 5)
        self.unused = nn.Linear(5, 2, bias=False)
        self.fc = nn.Linear(5, 3)

    def forward(self, x):
        self.features = self.b(torch.relu(self.norm(self.a(x))))
        return self.fc(torch.relu(self.features))


def batch(n=16):
    return torch.randn(n, 4), torch.randint(3, (n,))


def opposing(logits, features, y, alpha=3.0):
    """A regulariser that opposes the loss, head included: it wants other labels, and small features."""
    return alpha * cross_entropy(logits, (y + 1) % 3) + 0.1 * features.square().sum() / len(y)


def parts(net, x, y, alpha=3.0):
    """Loss and regulariser of one forward pass."""
    logits = net(x)
    return cross_entropy(logits, y), opposing(logits, net.features, y, alpha)


def reference(net, x, y, groups, alpha=3.0):
    """By autograd and the pure function, with zeros for what is absent."""
    loss, reg = parts(net, x, y, alpha)
    parameters = dict(net.named_parameters())
    g, r = (
        [torch.zeros_like(p) if t is None else t for p, t in zip(parameters.values(), found, strict=True)]
        for found in (
            torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True),
            torch.autograd.grad(reg, list(parameters.values()), allow_unused=True),
        )
    )
    position = {n: i for i, n in enumerate(parameters)}
    return dict(zip(parameters, project(g, r, [[position[n] for n in b] for b in groups])[0], strict=True))


SHARED = ["a.weight", "a.bias", "norm.weight", "norm.bias", "b.weight", "b.bias", "unused.weight"]
HEAD = ["fc.weight", "fc.bias"]
GROUPS = {
    "shared": [SHARED],
    "all": [SHARED + HEAD],
    "layer": [SHARED[0:2], SHARED[2:4], SHARED[4:6], SHARED[6:]],
    "tensor": [[n] for n in SHARED],
}


def gradients(net):
    """Gradient by parameter, zeros where there is none."""
    return {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in net.named_parameters()}


def differing(net, expected, tolerance=1e-5):
    """Names of the parameters whose gradient is not the expected one."""
    return [n for n, g in gradients(net).items() if not torch.allclose(g, expected[n], rtol=tolerance, atol=tolerance)]


@pytest.mark.parametrize("scope", GROUPS)
def test_the_guard_is_the_projection_of_both_gradients(scope):
    net, (x, y) = Net(), batch()
    expected = reference(copy.deepcopy(net), x, y, GROUPS[scope])
    guard = Guard(net, scope)
    assert guard.groups == GROUPS[scope]
    info = guard.backward(*parts(net, x, y))
    assert info.conflict.shape == (len(GROUPS[scope]),) and bool(info.conflict.any())
    assert differing(net, expected) == []
    assert net.unused.weight.grad is None


def test_a_closed_form_by_name_or_in_order_is_the_same_as_autograd():
    net, (x, y) = Net(), batch()
    pull = L2SP(net, alpha=5.0)
    with torch.no_grad():
        net.a.weight.add_(torch.randn_like(net.a.weight))
        net.unused.weight.add_(1)
    nets = [copy.deepcopy(net) for _ in range(3)]
    for k, m in enumerate(nets):
        anchor = L2SP(m, {n: pull.source[n] for n in pull.source}, alpha=5.0)
        guard = Guard(m)
        loss = cross_entropy(m(x), y)
        if k == 0:
            guard.backward(loss, anchor.value())
        elif k == 1:
            guard.backward(loss, reg_grad=anchor.grad())
        else:
            guard.backward(loss, reg_grad=[anchor.grad().get(n) for n in guard.parameters])
    for m in nets[1:]:
        assert differing(m, gradients(nets[0])) == []
    assert nets[0].unused.weight.grad.abs().sum() > 0  # absent from the loss, pulled by the regulariser


def test_both_kinds_of_regulariser_add_up():
    net, (x, y) = Net(), batch()
    other = copy.deepcopy(net)
    pull = L2SP(net, {n: torch.zeros_like(p) for n, p in net.named_parameters()})
    same_pull = L2SP(other, {n: torch.zeros_like(p) for n, p in other.named_parameters()})
    loss, reg = parts(net, x, y)
    Guard(net).backward(loss, reg, pull.grad())
    loss, reg = parts(other, x, y)
    Guard(other).backward(loss, reg + same_pull.value())
    assert differing(net, gradients(other)) == []


def test_batchnorm_sees_the_batch_once():
    net, (x, y) = Net(), batch()
    plain = copy.deepcopy(net)
    Guard(net).backward(*parts(net, x, y))
    sum(parts(plain, x, y)).backward()
    assert torch.equal(net.norm.running_mean, plain.norm.running_mean)
    assert net.norm.num_batches_tracked == 1


def test_micro_batches_are_projected_once_as_the_whole_batch():
    net = Net().eval()  # BatchNorm's batches would differ otherwise
    x, y = batch(16)
    expected = reference(copy.deepcopy(net), x, y, GROUPS["shared"])
    guard = Guard(net)
    for k in range(4):
        loss, reg = parts(net, x[4 * k : 4 * k + 4], y[4 * k : 4 * k + 4])
        info = guard.backward(loss / 4, reg / 4, accumulate=k < 3)
        assert (info is None) == (k < 3)
    assert differing(net, expected) == []
    assert len(guard.conflicts) == 1


def test_gradients_of_the_last_step_are_noticed():
    net, (x, y) = Net(), batch()
    guard = Guard(net)
    guard.backward(*parts(net, x, y))
    with pytest.raises(InputError, match="call optimizer"):
        guard.backward(*parts(net, x, y))
    assert all(p.grad is None for p in net.parameters())
    guard.backward(*parts(net, x, y))
    net.zero_grad()
    guard.backward(*parts(net, x, y))
    net.zero_grad(set_to_none=False)
    guard.backward(*parts(net, x, y))


def test_a_step_with_a_lagged_coefficient_refuses_what_an_exact_one_does():
    for check in (None, False):
        net, (x, y) = Net(), batch()
        guard = Guard(net, check=check, every=2)
        guard.backward(cross_entropy(net(x), y), net.a.weight.square().sum())
        net.zero_grad()
        loss, reg = cross_entropy(net(x), y) * math.inf, net.a.weight.square().sum()
        if check is None:
            with pytest.raises(NotFiniteError, match="is not finite"):
                guard.backward(loss, reg)
            assert all(p.grad is None for p in net.parameters())
            with pytest.raises(InputError, match="is it computed without gradients"):
                guard.backward(net(x).sum(), reg.detach())
        else:
            guard.backward(loss, reg)
            assert not net.a.weight.grad.isfinite().all()


def test_clipping_comes_after_and_keeps_the_direction():
    net, (x, y) = Net(), batch()
    expected = reference(copy.deepcopy(net), x, y, GROUPS["shared"])
    Guard(net).backward(*parts(net, x, y))
    total = nn.utils.clip_grad_norm_(net.parameters(), 0.01)
    assert differing(net, {n: t * 0.01 / total for n, t in expected.items()}) == []


def test_autocast_and_a_grad_scaler():
    net, (x, y) = Net(), batch()
    expected = reference(copy.deepcopy(net), x, y, GROUPS["shared"])
    pull = L2SP(net, alpha=0.1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    guard = Guard(net)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x)
    loss, reg = cross_entropy(logits.float(), y), opposing(logits.float(), net.features.float(), y)
    info = guard.backward(loss, reg, pull.grad(), scaler=scaler)
    assert net.a.weight.grad.dtype == torch.float32
    scaler.unscale_(optimizer)
    for n, p in net.named_parameters():
        if p.grad is not None:
            assert (p.grad - expected[n]).norm() < 0.05 * expected[n].norm() + 0.01, n
    assert info.grad_norm.item() < 10  # told without the scale
    before = net.a.weight.clone()
    scaler.step(optimizer)
    scaler.update()
    assert not torch.equal(before, net.a.weight)


def test_an_overflow_is_left_to_the_grad_scaler():
    net, (x, y) = Net(), batch()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    loss, reg = parts(net, x, y)
    Guard(net).backward(loss * float("inf"), reg, scaler=scaler)
    before = net.a.weight.clone()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(before, net.a.weight) and scaler.get_scale() == 512


def test_a_compiled_model():
    net, (x, y) = Net(), batch()
    expected = reference(copy.deepcopy(net), x, y, GROUPS["shared"])

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return self.net(x), self.net.features

    compiled = torch.compile(Both(), backend="aot_eager")
    guard = Guard(compiled, head="net.fc")
    assert set(guard.groups[0]) == {f"net.{n}" for n in SHARED}
    logits, features = compiled(x)
    guard.backward(cross_entropy(logits, y), opposing(logits, features, y))
    assert differing(net, expected) == []


def test_an_adapter_of_the_regulariser_gets_its_gradient_and_is_not_forgotten():
    net, adapter, (x, y) = Net(), nn.Linear(5, 2), batch()
    loss = cross_entropy(net(x), y)
    with pytest.raises(InputError, match=r"also depends on a parameter of shape \(2, 5\)"):
        Guard(net).backward(loss, adapter(net.features).square().mean())
    pairs = [*net.named_parameters(), *((f"adapter.{n}", p) for n, p in adapter.named_parameters())]
    guard = Guard(pairs, head=["fc", "adapter"])
    loss = cross_entropy(net(x), y)
    reg = adapter(net.features).square().mean()
    expected = torch.autograd.grad(reg, adapter.weight, retain_graph=True)[0]
    guard.backward(loss, reg)
    assert torch.allclose(adapter.weight.grad, expected)


def test_part_of_the_parameters_as_with_lora():
    net, (x, y) = Net(), batch()
    net.requires_grad_(False)
    low = [nn.Parameter(0.1 * torch.randn(6, 2)), nn.Parameter(0.1 * torch.randn(2, 4))]
    guard = Guard(low)
    assert guard.groups == [["0", "1"]]
    logits = net(x + 0 * x) + (x @ (low[0] @ low[1]).T)[:, :3]
    info = guard.backward(cross_entropy(logits, y), sum(p.square().sum() for p in low))
    assert info.cos.shape == (1,) and low[0].grad is not None and net.a.weight.grad is None


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.AdamW])
def test_weight_decay_on_guarded_parameters_is_warned_about_once(kind):
    net, (x, y) = Net(), batch()
    guard = Guard(net)
    optimizer = kind(net.parameters(), lr=0.01, weight_decay=0.1)
    guard.backward(*parts(net, x, y))
    with pytest.warns(UserWarning, match=r"weight_decay = 0.1 on 7 guarded parameters"):
        optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()


def test_decay_of_the_head_alone_and_a_forgotten_guard_are_no_reason_to_warn():
    net, (x, y) = Net(), batch()
    optimizer = torch.optim.SGD([{"params": net.fc.parameters(), "weight_decay": 0.1}, {"params": net.a.parameters()}], 0.1)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        Guard(net).backward(*parts(net, x, y))
        gc.collect()
        optimizer.step()
        guard = Guard(net)
        net.zero_grad()
        guard.backward(*parts(net, x, y))
        optimizer.step()
    assert [str(w.message) for w in told] == []


@pytest.mark.parametrize("where", ["loss", "regulariser"])
def test_gradients_that_are_not_finite_are_refused_and_no_step_is_taken(where):
    net, (x, y) = Net(), batch()
    guard, optimizer = Guard(net), torch.optim.SGD(net.parameters(), 0.1)
    before = copy.deepcopy(net.state_dict())
    loss, reg = parts(net, x, y)
    factor = torch.tensor(float("nan"))
    with pytest.raises(InputError, match=f"the gradient of the {where} is not finite"):
        guard.backward(loss * factor if where == "loss" else loss, reg * factor if where == "regulariser" else reg)
    optimizer.step()  # even if somebody goes on
    assert all(torch.equal(before[n], p) for n, p in net.named_parameters())
    assert len(guard.conflicts) == 0


def refused(sentence, call):
    with pytest.raises(InputError, match=sentence) as e:
        call()
    assert "\n" not in str(e.value)


def test_what_cannot_be_guarded_is_refused():
    net, (x, y) = Net(), batch()
    frozen = Net().requires_grad_(False)
    refused("no parameter that requires gradients", lambda: Guard(frozen))
    refused("does not require gradients", lambda: Guard(frozen.parameters()))
    refused("given twice", lambda: Guard([net.a.weight, net.a.weight]))
    refused("scope 'everything' is none", lambda: Guard(net, "everything"))
    refused("belongs to the head 'classifier'", lambda: Guard(net, head="classifier"))
    refused("nothing to guard", lambda: Guard(net, head=["a", "b", "norm", "unused", "fc"]))
    refused("needs names", lambda: Guard(net.parameters(), "layer"))
    refused("groups must name", lambda: Guard(net, groups=[["a.weight"], ["a.weight"]]))
    guard = Guard(net)
    loss, _ = parts(net, x, y)
    refused("there is no regulariser", lambda: guard.backward(loss))
    refused("expected a scalar", lambda: guard.backward(loss, net.features))
    refused("does not depend on the guarded parameters", lambda: guard.backward(loss, torch.tensor(1.0)))
    refused("does not depend on the guarded", lambda: guard.backward(loss, (x.clone().requires_grad_() * 2).sum()))
    refused("2 tensors for 9 parameters", lambda: guard.backward(loss, reg_grad=[torch.ones(1)] * 2))
    refused("which the guard does not know", lambda: guard.backward(loss, reg_grad={"z": torch.ones(1)}))
    refused(r"shape \(1,\), the parameter \(6,\)", lambda: guard.backward(loss, reg_grad={"a.bias": torch.ones(1)}))
    assert all(p.grad is None for p in net.parameters())


def test_a_loss_that_does_not_reach_any_parameter_leaves_the_regulariser_unprojected():
    net = Net()
    pull = L2SP(net, {n: torch.zeros_like(p) for n, p in net.named_parameters()}, alpha=1.0)
    loss = (net.fc.weight * 0).sum()
    info = Guard(net).backward(loss, reg_grad=pull.grad())
    assert not bool(info.conflict.any()) and info.cos.item() == 0
    assert torch.equal(net.a.weight.grad, net.a.weight)


def test_a_whole_training_keeps_the_inequality():
    net, (x, y) = Net(), batch(64)
    guard, optimizer = Guard(net), torch.optim.SGD(net.parameters(), 0.05, 0.9)
    for _ in range(30):
        optimizer.zero_grad()
        loss, reg = parts(net, x, y, 0.3)
        g = torch.autograd.grad(loss, net.a.weight, retain_graph=True)[0]
        info = guard.backward(loss, reg)
        if info.conflict.item():
            assert not torch.equal(net.a.weight.grad, g)
        optimizer.step()
    assert len(guard.conflicts) == 30 and 0 < guard.conflicts.rate <= 1


def test_a_layer_unfrozen_later_is_noticed():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    guard = Guard(model, head=())
    x = torch.ones(2, 3)
    guard.backward(model(x).square().sum(), model(x).sum())
    model.zero_grad()
    model[0].requires_grad_(True)
    with pytest.raises(InputError, match="does not know"):
        guard.backward(model(x).square().sum(), model(x).sum())
