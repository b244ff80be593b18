"""Losses at values computed by hand."""

import math

import pytest
import torch

from avcurriculum.network import losses
from claimkit.errors import InputError


def test_contrastive_by_hand():
    m = torch.tensor([[1.0, 2.0]])
    assert losses.contrastive(m, torch.ones(1)).item() == pytest.approx(2.5)
    assert losses.contrastive(m, torch.zeros(1)).item() == pytest.approx(0.5 * (5 - math.sqrt(5)) ** 2)


def test_maxmargin_and_infonce_by_hand():
    m = torch.tensor([[[0.0], [1.0]], [[2.0], [0.0]]])
    assert losses.maxmargin(m, 1.5).item() == pytest.approx(0.25)  # hinges: 1.5 - 1 and 1.5 - 4 -> 0, over two pairs
    rows = [math.log(1 + math.exp(-1)), math.log(1 + math.exp(-4))]
    assert losses.infonce(m, 1.0).item() == pytest.approx(sum(rows) / 2)


def test_infonce_of_equal_distances_is_the_logarithm_of_the_batch():
    assert losses.infonce(torch.ones(8, 8, 2)).item() == pytest.approx(math.log(8))


@pytest.mark.parametrize("name", losses.LOSSES)
def test_every_loss_falls_when_the_pairs_come_closer(name):
    m = torch.rand(6, 6, 2, generator=torch.Generator().manual_seed(0)) + 0.2
    closer = m - 0.2 * torch.eye(6)[..., None]
    assert losses.batch_loss(name, closer, 2.0) < losses.batch_loss(name, m, 2.0)


def test_an_unknown_loss_is_named():
    with pytest.raises(InputError, match="'l1' is none of"):
        losses.batch_loss("l1", torch.ones(2, 2, 1), 1.0)  # type: ignore[arg-type]
