"""Networks that see a copy of large pictures, and the change that is carried to their own size."""

import pytest
import torch

from claimkit.errors import InputError
from claimkit.style.images import resize
from claimkit.style.metrics import ssim_edge
from photonet import PhotoStylizer
from photonet.quality import halo
from photonet.samples import photograph


@pytest.fixture(scope="module")
def pictures():
    return photograph("china", 640), photograph("rocket", 256)


def test_what_is_no_larger_is_the_networks_own(pictures):
    content, style = photograph("china", 96), pictures[1]
    for network in ("stylenas", "photonas"):
        whole = PhotoStylizer(network).stylize(content, style)
        assert torch.equal(PhotoStylizer(network, network_size=96).stylize(content, style), whole)


@pytest.mark.parametrize(("network", "most"), [("stylenas", 7.0), ("photonas", 9.0)])
def test_the_change_is_near_the_networks_and_the_drawing_better(network, most, pictures):
    """Of a picture of 640 pixels the network sees a ninth; errors in levels of 255, a change of 60 and more."""
    content, style = pictures
    whole = PhotoStylizer(network).stylize(content, style)
    carried = PhotoStylizer(network, network_size=180).stylize(content, style)
    assert carried.shape == content.shape and 0 <= carried.min() < carried.max() <= 1
    assert 255 * (carried - whole).abs().mean() < most < 60 < 255 * (whole - content).abs().mean()
    assert ssim_edge(carried, content) > ssim_edge(whole, content) and halo(carried, content) < halo(whole, content)


@pytest.mark.parametrize("size", [(8, 4000), (700, 9), (131, 257)])
def test_any_shape_keeps_its_size(size, pictures):
    result = PhotoStylizer("stylenas", network_size=64).stylize(resize(pictures[0], *size), pictures[1])
    assert result.shape == (3, *size) and result.isfinite().all()


def test_regions_strength_and_kept_styles_go_with_it(pictures, tmp_path):
    content, style = pictures
    stylizer = PhotoStylizer("stylenas", network_size=128)
    left = (torch.arange(content.shape[2]) < content.shape[2] // 2).float().expand(content.shape[1:])[None]
    half = stylizer.stylize(content, style, masks=left, style_masks=torch.ones(1, *style.shape[1:]))
    moved = (half - content).abs().mean((0, 1))
    assert moved[:280].mean() > 10 * moved[-280:].mean(), "what no mask covers stays"
    weak = stylizer.stylize(content, style, 0.3)
    assert 0.1 < (weak - content).abs().mean() / (stylizer.stylize(content, style) - content).abs().mean() < 0.6
    kept = PhotoStylizer("stylenas").prepare(style)
    assert torch.equal(stylizer.stylize(content, kept), stylizer.stylize(content, style)), "a network looks at a style alike"


def test_a_copy_too_small_and_a_method_without_a_network_are_refused():
    with pytest.raises(InputError, match="network_size = 16"):
        PhotoStylizer("stylenas", network_size=16)
    with pytest.raises(InputError, match="knows no network"):
        PhotoStylizer(method="mk", network_size=512)
