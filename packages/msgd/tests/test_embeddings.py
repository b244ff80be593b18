"""Embeddings: padding, weights that are shortened, words that are counted, sparse gradients."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import msgd
from claimkit.errors import InputError
from msgd.matrix import directional

N = 7
IDS, Y = torch.arange(4 * N).view(N, 4) % 5, torch.arange(N) % 3


def criterion(outputs, targets):
    return cross_entropy(outputs, targets, reduction="none")


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
def test_the_padding_of_an_embedding_has_no_gradient(functional, tied, apart):
    model = Padded(functional, tied)
    matrix = msgd.GradientMatrix(model, criterion, IDS, Y)
    rows = directional.rows_of(matrix._losses, (IDS, Y), list(model.parameters()))
    assert apart(matrix, torch.stack([torch.cat([t.flatten() for t in row]) for row in rows], 1)) <= 1e-5
    assert functional or matrix._found[1] is directional.by_layers
    if not functional:
        with pytest.raises(directional.OtherWayError, match="padding"):
            directional.forward_mode(matrix._losses, (IDS, Y), list(model.parameters()), list(model.parameters()))


def test_an_embedding_that_shortens_its_weights_or_counts_words():
    model = nn.Sequential(nn.EmbeddingBag(6, 8, max_norm=0.5), nn.Linear(8, 3))
    matrix = msgd.GradientMatrix(model, criterion, IDS, Y)
    matrix.gradient()  # the weights are short from here on
    v = 1e3 * torch.randn(matrix.d)
    expected = matrix.explicit().T @ v
    assert (matrix.transpose(v) - expected).norm() <= 1e-5 * expected.norm()
    counting = nn.Sequential(nn.EmbeddingBag(6, 8, scale_grad_by_freq=True), nn.Linear(8, 3))
    with pytest.raises(InputError, match="scale_grad_by_freq=False"):
        msgd.GradientMatrix(counting, criterion, IDS, Y).gradient()


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
