"""Products with C on any model: the fastest way that is right is taken."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint

import msgd
from claimkit.errors import InputError
from msgd.matrix import directional

N = 7


def criterion(outputs, targets):
    return cross_entropy(outputs, targets, reduction="none")


class Attention(nn.Module):
    """Through torch's module, whose output layer is never called."""

    def __init__(self):
        super().__init__()
        self.a, self.o = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, h):
        return self.o(self.a(h, h, h, need_weights=False)[0].mean(1))


class Causal(nn.Module):
    """As transformers write it: one projection, fused attention, a token and places of its own, heads tied to the input."""

    def __init__(self):
        super().__init__()
        self.i, self.norm, self.o = nn.Linear(8, 24), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, h):
        q, k, v = (t.unflatten(2, (2, 4)).transpose(1, 2) for t in self.i(self.norm(h)).chunk(3, 2))
        return self.o(scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2).mean(1))


class Token(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.body = nn.Parameter(torch.randn(1, 1, 8)), Causal()

    def forward(self, h):
        return self.body(torch.cat([self.token.expand(len(h), -1, -1), h], 1))


class TimeFirst(nn.Module):
    """The first axis inside is time, not the row: layers seen one by one would give a wrong answer."""

    def __init__(self):
        super().__init__()
        self.i, self.o = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, h):
        return self.o(self.i(h.transpose(0, 1)).tanh().mean(0))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.r, self.o = nn.LSTM(8, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, h):
        return self.o(self.r(h)[0][:, -1])


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 6), nn.ReLU(inplace=True), nn.Linear(6, 3))

    def forward(self, h):
        return checkpoint(self.body, h.mean(1), use_reentrant=False)


class Keys(nn.Module):
    """Keys with a bias, as BERT has them: its gradient is zero but for rounding."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, h):
        q, k, v = (layer(h).unflatten(2, (2, 4)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return self.o(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2).mean(1))


class Scaled(nn.Module):
    """What the first layer gave is overwritten."""

    def __init__(self):
        super().__init__()
        self.i, self.o = nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, h):
        return self.o(self.i(h.mean(1)).mul_(2).tanh())


class Response(nn.Module):
    """ConvNeXt V2's normalisation adds its input: it is affine, not linear; small gradients hide what is added."""

    def __init__(self):
        super().__init__()
        self.gain, self.offset = nn.Parameter(torch.randn(8)), nn.Parameter(torch.zeros(8))

    def forward(self, h):
        return 1e-4 * h + 1e-3 * self.gain * h.tanh() + self.offset


class Transposed(nn.Module):
    """As XCiT begins: torch 2.15 is wrong about the gradient of one row alone, and right about that of several."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv2d(1, 5, 2), nn.BatchNorm2d(5)).eval()
        self.o = nn.Linear(5, 3)

    def forward(self, h):
        return self.o((self.body(h).flatten(2).transpose(1, 2) * torch.arange(21.0)[:, None].sin()).sum(1))


class Odd(torch.autograd.Function):
    """An operation with a backward pass and nothing else."""

    generate_vmap_rule = False

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slope):
        return slope * ctx.saved_tensors[0].cos()


class Custom(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain, self.o = nn.Parameter(torch.randn(8)), nn.Linear(8, 3)

    def forward(self, h):
        return self.o(Odd.apply(h * self.gain).mean(1))


def convolutions():
    norm = nn.BatchNorm2d(4)
    norm.running_mean.fill_(0.3)
    middle = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return nn.Sequential(nn.Unflatten(1, (1, 4)), middle, nn.Linear(16, 3)).eval()


ZOO = {
    "attention": (Attention, "forward_mode"),
    "encoder layer": (
        lambda: nn.Sequential(
            nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), nn.Flatten(), nn.Linear(32, 3)
        ).eval(),
        "forward_mode",
    ),
    "causal": (Causal, "by_layers"),
    "token": (Token, "forward_mode"),
    "time first": (TimeFirst, "forward_mode"),
    "recurrent": (Recurrent, "forward_mode"),
    "checkpointed": (Checkpointed, "by_layers"),
    "keys": (Keys, "by_layers"),
    "scaled": (Scaled, "by_layers"),
    "custom": (Custom, "row_by_row"),
    "transposed": (Transposed, "by_layers"),
    "affine": (lambda: nn.Sequential(Response(), nn.Flatten(), nn.Linear(32, 3)), "forward_mode"),
    "convolutions": (convolutions, "by_layers"),
}


def columns(model):
    """G by one backward pass a row, through all rows."""
    losses, parameters = criterion(model(X), Y), list(model.parameters())
    rows = (torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True) for loss in losses)
    pairs = (zip(row, parameters, strict=True) for row in rows)
    return torch.stack(
        [torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in row]) for row in pairs], 1
    )


X, Y = torch.randn(N, 4, 8, generator=torch.Generator().manual_seed(0)), torch.arange(N) % 3


@pytest.mark.parametrize("name", ZOO)
def test_any_model_has_its_products_and_the_fastest_right_way_is_taken(name, apart):
    build, way = ZOO[name]
    model = build()
    state = copy.deepcopy(model.state_dict())
    matrix = msgd.GradientMatrix(model, criterion, X, Y, chunk=4)
    assert apart(matrix, columns(model)) <= 1e-5
    assert matrix._found[1].__name__ == way
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert not any(m._forward_hooks for m in model.modules())


def test_rows_whose_gradients_differ_alone_and_among_others_are_refused(monkeypatch):
    monkeypatch.setattr(directional, "WAYS", (directional.row_by_row,))
    found = directional.rows_of

    def twice(*args):
        return ([2 * t for t in row] for row in found(*args))

    losses = directional.Losses(Causal(), criterion)
    assert directional.choose(losses, (X, Y), list(losses.parameters())) is directional.row_by_row
    monkeypatch.setattr(directional, "rows_of", twice)
    with pytest.raises(InputError, match="each alone, are not those that they have among others"):
        directional.choose(losses, (X, Y), list(losses.parameters()))


@pytest.mark.parametrize("way", directional.WAYS, ids=lambda w: w.__name__)
def test_all_ways_agree(way):
    losses = directional.Losses(Causal().double(), criterion)
    batch, parameters = (X.double(), Y), list(losses.parameters())
    v = [torch.randn_like(p) for p in parameters]
    torch.testing.assert_close(
        way(losses, batch, parameters, v)[0].detach(),
        directional.row_by_row(losses, batch, parameters, v)[0],
        rtol=1e-9,
        atol=0,
    )


def test_a_compiled_and_a_wrapped_module_are_taken_by_what_is_inside(apart):
    model = Causal()
    g = columns(model)
    assert apart(msgd.GradientMatrix(torch.compile(nn.DataParallel(model)), criterion, X, Y), g) <= 1e-5
