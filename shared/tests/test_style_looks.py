"""What a picture looks like to a network that knows pictures: distances with known values, and the judge's layers."""

import pytest
import torch
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.looks import Judge, content_distance, edge_similarity, style_distance, style_gram_distance
from claimkit.style.metrics import ssim_edge


def test_edges_are_compared_as_the_shared_metric_compares_them():
    photo = torch.rand(1, 3, 40, 48).repeat_interleave(4, 2).repeat_interleave(4, 3)
    other = (photo + 0.1 * torch.randn_like(photo)).clamp(0, 1)
    assert edge_similarity(photo, photo).item() == pytest.approx(1)
    assert edge_similarity(other, photo).item() == pytest.approx(ssim_edge(other[0], photo[0]), abs=0.01)


def test_distances_to_a_style_are_shares_of_it():
    f = torch.rand(2, 4, 8, 8) + 1
    assert style_distance([f, f], [f, f]).tolist() == pytest.approx([0, 0], abs=1e-4)
    # twice the features: means and deviations are off by their own size, products by three times theirs
    assert style_distance([2 * f, f], [f, f]).tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
    assert style_gram_distance([2 * f, f], [f, f]).tolist() == pytest.approx([1.5, 1.5], abs=1e-3)


def test_content_is_compared_without_its_contrast():
    f = torch.randn(1, 4, 32, 32)
    assert content_distance(3 * f + 2, f).item() == pytest.approx(0, abs=1e-3)
    assert content_distance(-f, f).item() == pytest.approx(2, abs=1e-3)
    assert content_distance(torch.randn_like(f), f).item() == pytest.approx(2**0.5, abs=0.1)


def test_the_judge_sees_four_layers_as_vgg_has_them(vgg, tmp_path):
    state = torch.load(vgg)
    levels = Judge(vgg)(torch.full((1, 3, 16, 16), 0.5))
    assert [tuple(x.shape[1:]) for x in levels] == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (256, 4, 4)]
    x = levels[2]
    for n in (12, 14, 16):
        x = F.relu(F.conv2d(x, state[f"features.{n}.weight"], padding=1))
    torch.testing.assert_close(levels[3], x, atol=1e-4, rtol=1e-4)
    torch.save({k: v for k, v in state.items() if "16" not in k}, tmp_path / "short.pt")
    with pytest.raises(InputError, match="ends before conv3_4"):
        Judge(tmp_path / "short.pt")
