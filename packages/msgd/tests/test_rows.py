"""Data of any kind, read batch by batch and alike each time: mappings, tuples, loaders, streams; and what is refused."""

from collections import UserDict

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import msgd
from claimkit.errors import InputError

N = 7
X, Y = torch.randn(N, 8, generator=torch.Generator().manual_seed(0)), torch.arange(N) % 3


def criterion(outputs, targets):
    return cross_entropy(outputs, targets, reduction="none")


class Words(nn.Module):
    """An embedding used twice, once as the output layer; a parameter that is never used."""

    def __init__(self):
        super().__init__()
        self.e, self.unused = nn.Embedding(6, 8), nn.Linear(2, 2)
        self.o = nn.Linear(8, 6)
        self.o.weight = self.e.weight

    def forward(self, ids, scale):
        return self.o(self.e(ids).mean(1) * scale[:, None])[:, :3]


def test_mappings_tuples_and_loaders_are_read_batch_by_batch(apart):
    """Tied weights, an unused layer; the same rows by place, by name, in a loader and in a list of pairs."""
    model, ids, scale = Words(), torch.randint(6, (N, 4)), torch.rand(N) + 0.5
    g = msgd.GradientMatrix(model, criterion, (ids, scale), Y).explicit()
    inputs = {"ids": ids, "scale": scale}
    named = UserDict(inputs)
    loader = DataLoader(TensorDataset(ids, scale, Y), 3, collate_fn=lambda rows: _labelled(rows))
    pairs = [((ids[s], scale[s]), Y[s]) for s in (slice(0, 5), slice(5, N))]
    for data in ((inputs, Y), (named, Y), ([ids, scale], Y), (loader, None), (pairs, None)):
        assert apart(msgd.GradientMatrix(model, criterion, *data), g) <= 1e-5
    for i in range(N):
        model.zero_grad()
        criterion(model(ids[i : i + 1], scale[i : i + 1]), Y[i : i + 1])[0].backward()
        p = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
        torch.testing.assert_close(torch.cat([t.flatten() for t in p]), g[:, i], rtol=1e-4, atol=1e-7)


def _labelled(rows):
    ids, scale, y = (torch.stack(t) for t in zip(*rows, strict=True))
    return {"ids": ids, "scale": scale, "labels": y}


def test_what_cannot_be_read_twice_or_is_no_data_is_refused():
    model, data = nn.Linear(8, 3), TensorDataset(X, Y)
    for bad, sentence in (
        ((DataLoader(data, 2, shuffle=True), None), "shuffle=False"),
        ((iter([(X, Y)]), None), "read once only"),
        (([], None), "no rows"),
        ((data, Y), "data of type TensorDataset"),
        (({"x": X, "y": X[:3]}, Y), "3 or 7 inputs and 7 targets"),
        ((X, Y[0]), "7 inputs and 0 targets"),
        (([X], None), "expected a pair"),
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
        msgd.GradientMatrix(model, criterion, X, Y)


class Stream(IterableDataset):
    """Rows one by one: always alike, once only, the last ones in another order, or one of them mirrored now and then."""

    def __init__(self, kind):
        self.kind, self.reading, self.once = kind, 0, iter(zip(X, Y, strict=True))

    def __iter__(self):
        self.reading += 1  # the first is only begun, the second is the one that counts rows
        order = [0, 1, 2, 3, 5, 4, 6] if self.kind == "tail" and self.reading > 2 else range(N)
        x = X.clone()
        if self.kind == "flipped" and self.reading > 2:
            x[5] = x[5].flip(0)
        return self.once if self.kind == "once" else iter([(x[i], Y[i]) for i in order])


def test_streams_and_batches_without_rows_are_read(apart):
    model = nn.Linear(8, 3)
    x, g = X, msgd.GradientMatrix(model, criterion, X, Y).explicit()
    pairs = [(x[:0], Y[:0]), (x[:4], Y[:4]), (x[:0], Y[:0]), (x[4:], Y[4:]), (x[:0], Y[:0])]
    for data in (DataLoader(Stream("same"), 3), pairs):
        assert apart(msgd.GradientMatrix(model, criterion, data), g) <= 1e-5


@pytest.mark.parametrize(
    "batch",
    [
        (torch.randn(4, 8), torch.arange(3)),
        (torch.randn(4, 8), torch.tensor(1)),
        ({"input": torch.randn(4, 8), "scale": torch.tensor(1.0)}, torch.arange(4) % 3),
    ],
    ids=["fewer targets", "one target", "a number beside the rows"],
)
def test_a_batch_whose_parts_have_other_numbers_of_rows_is_refused(batch):
    with pytest.raises(InputError, match=r"inputs and .* targets: expected as many"):
        msgd.GradientMatrix(nn.Linear(8, 3), criterion, [(X[:4], Y[:4]), batch])
