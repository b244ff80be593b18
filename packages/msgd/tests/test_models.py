"""Products with C on any model, data of any kind, and refusals where rows have no gradients of their own."""

import copy
from collections import UserDict

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

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


class Words(nn.Module):
    """An embedding used twice, once as the output layer; a parameter that is never used."""

    def __init__(self):
        super().__init__()
        self.e, self.unused = nn.Embedding(6, 8), nn.Linear(2, 2)
        self.o = nn.Linear(8, 6)
        self.o.weight = self.e.weight

    def forward(self, ids, scale):
        return self.o(self.e(ids).mean(1) * scale[:, None])[:, :3]


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
    "convolutions": (convolutions, "by_layers"),
}


def columns(model):
    """G by a loop over the rows."""
    found = []
    for i in range(N):
        model.zero_grad()
        criterion(model(X[i : i + 1]), Y[i : i + 1])[0].backward()
        found.append(torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in model.parameters()]))
    model.zero_grad()
    return torch.stack(found, 1)


X, Y = torch.randn(N, 4, 8, generator=torch.Generator().manual_seed(0)), torch.arange(N) % 3


def agree(matrix, g):
    """Everything the operator gives, against the matrix, to 1e-5."""
    centred, v = g - g.mean(1, keepdim=True), torch.randn(len(g))
    for got, expected in (
        (matrix.product(v), centred @ (centred.T @ v) / N),
        (matrix.product(v, "F"), g @ (g.T @ v) / N),
        (matrix.transpose(v), g.T @ v),
        (matrix.diagonal(), centred.square().mean(1)),
        (matrix.gradient(), g.mean(1)),
    ):
        assert (got - expected).norm() <= 1e-5 * expected.norm()


@pytest.mark.parametrize("name", ZOO)
def test_any_model_has_its_products_and_the_fastest_right_way_is_taken(name):
    build, way = ZOO[name]
    model = build()
    state = copy.deepcopy(model.state_dict())
    matrix = msgd.GradientMatrix(model, criterion, X, Y, chunk=4)
    agree(matrix, columns(model))
    assert matrix._found[1].__name__ == way
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert not any(m._forward_hooks for m in model.modules())


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


def test_a_compiled_and_a_wrapped_module_are_taken_by_what_is_inside():
    model = Causal()
    g = columns(model)
    agree(msgd.GradientMatrix(torch.compile(nn.DataParallel(model)), criterion, X, Y), g)


def test_mappings_tuples_and_loaders_are_read_batch_by_batch():
    """Tied weights, an unused layer; the same rows by place, by name, in a loader and in a list of pairs."""
    model, ids, scale = Words(), torch.randint(6, (N, 4)), torch.rand(N) + 0.5
    g = msgd.GradientMatrix(model, criterion, (ids, scale), Y).explicit()
    inputs = {"ids": ids, "scale": scale}
    named = UserDict(inputs)
    loader = DataLoader(TensorDataset(ids, scale, Y), 3, collate_fn=lambda rows: _labelled(rows))
    pairs = [((ids[s], scale[s]), Y[s]) for s in (slice(0, 5), slice(5, N))]
    for data in ((inputs, Y), (named, Y), ([ids, scale], Y), (loader, None), (pairs, None)):
        agree(msgd.GradientMatrix(model, criterion, *data), g)
    for i in range(N):
        model.zero_grad()
        criterion(model(ids[i : i + 1], scale[i : i + 1]), Y[i : i + 1])[0].backward()
        p = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
        torch.testing.assert_close(torch.cat([t.flatten() for t in p]), g[:, i], rtol=1e-4, atol=1e-7)


def _labelled(rows):
    ids, scale, y = (torch.stack(t) for t in zip(*rows, strict=True))
    return {"ids": ids, "scale": scale, "labels": y}


def test_what_cannot_be_read_twice_or_is_no_data_is_refused():
    model, data = nn.Linear(8, 3), TensorDataset(X[:, 0], Y)
    for bad, sentence in (
        ((DataLoader(data, 2, shuffle=True), None), "shuffle=False"),
        ((iter([(X[:, 0], Y)]), None), "read once only"),
        (([], None), "no rows"),
        ((data, Y), "data of type TensorDataset"),
        (({"x": X, "y": X[:3]}, Y), "3 or 7 inputs and 7 targets"),
        ((X[:, 0], Y[0]), "7 inputs and 0 targets"),
        (([X[:, 0]], None), "expected a pair"),
    ):
        with pytest.raises(InputError, match=sentence):
            msgd.GradientMatrix(model, criterion, *bad)
    with pytest.raises(InputError, match="read once only: the loader gives no rows"):
        msgd.GradientMatrix(model, criterion, DataLoader(Stream("once"), 2))
    for kind in ("tail", "flipped"):  # the first batch is the same each time
        with pytest.raises(InputError, match="other rows when read again: use shuffle=False"):
            msgd.GradientMatrix(model, criterion, DataLoader(Stream(kind), 2)).gradient()
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no parameter of the model requires a gradient"):
        msgd.GradientMatrix(model, criterion, X[:, 0], Y)


class Stream(IterableDataset):
    """Rows one by one: always alike, once only, the last ones in another order, or one of them mirrored now and then."""

    def __init__(self, kind):
        self.kind, self.reading, self.once = kind, 0, iter(zip(X[:, 0], Y, strict=True))

    def __iter__(self):
        self.reading += 1  # the first is only begun, the second is the one that counts rows
        order = [0, 1, 2, 3, 5, 4, 6] if self.kind == "tail" and self.reading > 2 else range(N)
        x = X[:, 0].clone()
        if self.kind == "flipped" and self.reading > 2:
            x[5] = x[5].flip(0)
        return self.once if self.kind == "once" else iter([(x[i], Y[i]) for i in order])


def test_streams_and_batches_without_rows_are_read():
    model = nn.Linear(8, 3)
    x, g = X[:, 0], msgd.GradientMatrix(model, criterion, X[:, 0], Y).explicit()
    pairs = [(x[:0], Y[:0]), (x[:4], Y[:4]), (x[:0], Y[:0]), (x[4:], Y[4:]), (x[:0], Y[:0])]
    for data in (DataLoader(Stream("same"), 3), pairs):
        agree(msgd.GradientMatrix(model, criterion, data), g)


class Padded(nn.Module):
    """The padding's own vector acts on the losses and has no gradient; ``functional`` hides the embedding from the eye."""

    def __init__(self, functional=False, tied=False):
        super().__init__()
        self.e = nn.Embedding(6, 8) if functional else nn.Embedding(6, 8, padding_idx=0)
        nn.init.normal_(self.e.weight)
        self.functional, self.o = functional, nn.Linear(8, 6)
        if tied:
            self.o.weight = self.e.weight

    def forward(self, ids):
        words = nn.functional.embedding(ids, self.e.weight, 0) if self.functional else self.e(ids)
        return self.o(words.mean(1).tanh())


@pytest.mark.parametrize(("functional", "tied"), [(False, False), (False, True), (True, False)])
def test_the_padding_of_an_embedding_has_no_gradient(functional, tied):
    model, ids = Padded(functional, tied), torch.arange(4 * N).view(N, 4) % 5
    matrix = msgd.GradientMatrix(model, criterion, ids, Y)
    rows = directional.rows_of(matrix._losses, (ids, Y), list(model.parameters()))
    agree(matrix, torch.stack([torch.cat([t.flatten() for t in row]) for row in rows], 1))
    assert functional or matrix._found[1] is directional.by_layers
    if not functional:
        with pytest.raises(NotImplementedError, match="padding"):
            directional.forward_mode(matrix._losses, (ids, Y), list(model.parameters()), list(model.parameters()))


def test_an_embedding_that_shortens_its_weights_or_counts_words():
    model, ids = nn.Sequential(nn.EmbeddingBag(6, 8, max_norm=0.5), nn.Linear(8, 3)), torch.arange(4 * N).view(N, 4) % 5
    matrix = msgd.GradientMatrix(model, criterion, ids, Y)
    matrix.gradient()  # the weights are short from here on
    v = 1e3 * torch.randn(matrix.d)
    expected = matrix.explicit().T @ v
    assert (matrix.transpose(v) - expected).norm() <= 1e-5 * expected.norm()
    counting = nn.Sequential(nn.EmbeddingBag(6, 8, scale_grad_by_freq=True), nn.Linear(8, 3))
    with pytest.raises(InputError, match="scale_grad_by_freq=False"):
        msgd.GradientMatrix(counting, criterion, ids, Y).gradient()


def test_sparse_gradients_and_float64_are_as_any():
    model = nn.Sequential(nn.EmbeddingBag(6, 8, sparse=True), nn.Tanh(), nn.Linear(8, 3)).double()
    ids = torch.randint(6, (N, 4))
    sparse = msgd.GradientMatrix(model, criterion, ids, Y)
    model[0].sparse = False
    g = msgd.GradientMatrix(model, criterion, ids, Y).explicit()
    model[0].sparse = True
    v = torch.randn(len(g), dtype=torch.float64)
    torch.testing.assert_close(sparse.product(v, "F"), g @ (g.T @ v) / N, rtol=1e-12, atol=1e-15)
    assert sparse.diagonal().dtype == torch.float64


class Functional(nn.Module):
    """Dropout that no module type gives away, of a probability that three rows do not show."""

    def __init__(self):
        super().__init__()
        self.o = nn.Linear(8, 3)

    def forward(self, h):
        return self.o(nn.functional.dropout(h, 1e-6, self.training))


def spectral():
    """Its estimate of the largest singular value moves with every pass in train mode, here from a bad start."""
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 5))
    with torch.no_grad():
        for vector in layer.buffers():
            vector.copy_(nn.functional.one_hot(torch.tensor(0), len(vector)))
    return nn.Sequential(layer, nn.Linear(5, 3))


class Noisy(nn.Linear):
    def forward(self, h):
        return super().forward(h + torch.randn_like(h))


@pytest.mark.parametrize(
    ("model", "sentence", "quiet"),
    [
        (
            nn.Sequential(nn.Linear(8, 5), nn.Dropout(0.5), nn.Linear(5, 3)),
            r"random numbers.*call model.eval\(\) first",
            True,
        ),
        (Functional(), r"random numbers.*call model.eval\(\) first", True),
        (
            nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)),
            r"the rows beside it.*call model.eval\(\)",
            True,
        ),
        (
            spectral(),
            r"changes as it is run.*call model.eval\(\) first",
            True,
        ),
        (Noisy(8, 3).eval(), "random numbers.*in eval mode, too", False),
    ],
    ids=["dropout", "functional dropout", "batchnorm", "spectral norm", "noise in eval mode"],
)
def test_a_model_that_draws_or_couples_rows_is_refused_and_left_as_it_was(model, sentence, quiet):
    x, state, seed = X[:, 0], copy.deepcopy(model.state_dict()), torch.get_rng_state()
    matrix = msgd.GradientMatrix(model, criterion, x, Y)
    for call in (matrix.gradient, matrix.diagonal, matrix.trace, lambda: matrix.product(torch.ones(matrix.d))):
        with pytest.raises(InputError, match=sentence):
            call()
    assert torch.equal(seed, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    if quiet:
        model.eval()
        assert matrix.trace() > 0
        model.train()
        with pytest.raises(InputError, match=sentence):
            matrix.gradient()


def test_batchnorm_is_seen_where_neighbours_are_equal():
    model = nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    x = X[:, 0].clone()
    x[:4] = x[0]
    with pytest.raises(InputError, match="the rows beside it"):
        msgd.GradientMatrix(model, criterion, x, Y).gradient()


def test_diagonal_langevin_takes_the_model_of_a_training_loop():
    model = nn.Sequential(nn.Linear(8, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3))
    model[2].eval()
    langevin = msgd.DiagonalLangevin(msgd.GradientMatrix(model, criterion, X[:, 0], Y), batch=10, refresh=2)
    buffers, scales = copy.deepcopy(list(model.buffers())), []
    for _ in range(4):
        langevin.add_noise()
        scales.append(langevin.scale)
        with torch.no_grad():
            model[0].weight.mul_(2)
    assert [m.training for m in model] == [True, True, False, True]
    assert all(torch.equal(a, b) for a, b in zip(buffers, model.buffers(), strict=True))
    assert scales[0] is scales[1] and scales[2] is scales[3] and not torch.equal(scales[0], scales[2])


def test_equal_rows_have_no_covariance():
    x = torch.randn(1, 3).repeat(64, 1)
    matrix = msgd.GradientMatrix(nn.Linear(3, 2), criterion, x, torch.zeros(64, dtype=torch.long))
    assert (matrix.diagonal() >= 0).all()
    assert 0 <= matrix.trace("C") <= 1e-12 * matrix.trace("F")
