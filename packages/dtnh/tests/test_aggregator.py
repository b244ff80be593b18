"""The protected row, by itself and called by torchjd."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError
from dtnh import Guard, ProtectedRow, project


@given(st.integers(2, 5), st.integers(1, 8), st.integers(0, 4), st.integers(0, 2**31))
def test_the_sum_never_opposes_the_protected_row(rows, columns, row, seed):
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    row %= rows
    d, g = ProtectedRow(row)(matrix), matrix[row]
    assert float(d @ g) >= float(g @ g) * (1 - 1e-9)
    assert torch.allclose(ProtectedRow(row - rows)(matrix), d)
    if rows == 2:
        assert torch.allclose(d, project([g], [matrix[1 - row]])[0][0])


def test_bad_matrices_are_refused():
    for matrix in (torch.ones(3), torch.ones(0, 3)):
        with pytest.raises(InputError, match="to protect"):
            ProtectedRow()(matrix)
    assert repr(ProtectedRow(1)) == "ProtectedRow(row=1)"


def test_torchjd_calls_it_and_gets_what_the_guard_gives():
    autojac = pytest.importorskip("torchjd.autojac")
    net, (x, y) = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)), (torch.randn(8, 4), torch.randint(3, (8,)))

    def losses():
        logits = net(x)
        return cross_entropy(logits, y), 3 * cross_entropy(logits, (y + 1) % 3)

    autojac.backward(losses())
    autojac.jac_to_grad(net.parameters(), ProtectedRow())
    theirs = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()
    Guard(net, head=()).backward(*losses())
    assert all(torch.allclose(p.grad, t, atol=1e-6) for p, t in zip(net.parameters(), theirs, strict=True))


def test_the_symmetric_rival_is_pcgrad_of_torchjd():
    aggregation = pytest.importorskip("torchjd.aggregation")
    from claimkit.transfer.regularizers import Regularizer
    from dtnh.finetune.guarded import Symmetric

    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        matrix = torch.randn(2, 5, generator=generator)
        ours = Symmetric(Regularizer()).combine([matrix[0]], [matrix[1]])[0]
        assert torch.allclose(ours, aggregation.PCGrad()(matrix), atol=1e-6)
