"""Methods of colours: what each gives exactly, that they are used as networks are, and the bounds."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from claimkit.errors import InputError
from claimkit.style.transforms import Statistics
from photonet import PhotoStylizer
from photonet.colour.methods import METHODS, iterative_transfer, mk_map
from photonet.quality import banding, halo
from photonet.samples import photograph


def pair(seed=0, count=4000):
    """Two clouds of colours within [0.2, 0.8], correlated, the second of another shape."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(3, count)) * [[0.08], [0.03], [0.02]]
    b = np.array([[0.9, 0.3, 0], [0, 0.5, 0.2], [0.1, 0, 0.7]]) @ (rng.normal(size=(3, count)) * 0.08)
    return [torch.from_numpy(x + 0.5).clamp(0.01, 0.99)[None, :, None] for x in (a, b)]


def test_the_matrix_is_symmetric_and_gives_mean_and_covariance():
    content, style = pair()
    fit = mk_map(Statistics.of(content), Statistics.of(style))
    assert torch.allclose(fit.matrix, fit.matrix.mT) and (torch.linalg.eigvalsh(fit.matrix) > 0).all()
    got, wanted = Statistics.of(fit(content)), Statistics.of(style)
    assert torch.allclose(got.mean, wanted.mean, atol=1e-9)
    assert torch.allclose(got.covariance, wanted.covariance, atol=5e-4)


def test_the_matrix_between_diagonal_gaussians_is_the_ratio_of_spreads():
    mean = torch.zeros(1, 3, dtype=torch.float64)
    a, b = (Statistics(mean, torch.diag(torch.tensor(v, dtype=torch.float64))[None]) for v in ([1, 4, 9], [4, 1, 9]))
    assert torch.allclose(mk_map(a, b).matrix.diagonal(dim1=1, dim2=2)[0], torch.tensor([2, 0.5, 1]).double(), atol=1e-4)


def test_reinhard_gives_mean_and_spread_of_each_axis_of_lab():
    content, style = (x.float()[0].view(3, 40, 100) for x in pair())
    made = PhotoStylizer(method="reinhard", max_gain=100).stylize(content, style)
    got, wanted = (rgb2lab(x.double().numpy(), channel_axis=0) for x in (made, style))
    np.testing.assert_allclose(got.mean((1, 2)), wanted.mean((1, 2)), atol=0.5)
    np.testing.assert_allclose(got.std((1, 2)), wanted.std((1, 2)), rtol=0.05)


def test_iterative_transfer_meets_a_distribution_that_no_matrix_meets():
    content, _ = pair()
    at = (torch.rand(1, 1, 1, 4000, generator=torch.Generator().manual_seed(1)) > 0.5).double()
    style = 0.3 + 0.4 * at + 0.02 * torch.randn(1, 3, 1, 4000, generator=torch.Generator().manual_seed(2)).double()
    made = iterative_transfer(content, style)
    matrix = mk_map(Statistics.of(content), Statistics.of(style))(content)
    rng = np.random.default_rng(5)
    for direction in rng.standard_normal((4, 3)):
        a, b, c = (np.sort(direction @ x[0, :, 0].numpy()) for x in (made, style, matrix))
        assert np.abs(a - b).mean() < 0.01 < np.abs(c - b).mean()


def test_histograms_are_the_styles():
    content, style = (x.float()[0].view(3, 40, 100) for x in pair())
    made = PhotoStylizer(method="histogram").stylize(content, style)
    assert torch.allclose(made.flatten(1).sort().values, style.flatten(1).sort().values, atol=2e-3)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_used_as_a_network_is(name, picture, tmp_path):
    """Any size, strength, kept styles, regions."""
    content, style = picture(33, 50)[0], picture(41, 37, seed=1)[0]
    stylizer = PhotoStylizer(method=name)
    made = stylizer.stylize(content, style)
    assert made.shape == content.shape and 0 <= made.min() < made.max() <= 1
    assert torch.allclose(stylizer.stylize(content, style, 0.0), content, atol=1e-4)
    kept = stylizer.prepare(style, name="dusk")
    kept.save(tmp_path / "dusk.style")
    assert torch.equal(stylizer.stylize(content, tmp_path / "dusk.style"), made)
    left, whole = torch.zeros(33, 50, dtype=torch.long), torch.zeros(41, 37, dtype=torch.long)
    left[:, 25:], whole[:, 18:] = 1, 1
    masks = torch.stack([left == 0, left == 1]).float()
    style_masks = torch.stack([whole == 0, whole == 1]).float()
    regional = stylizer.stylize(content, style, masks=masks, style_masks=style_masks)
    alone = stylizer.stylize(content[:, :, :25].contiguous(), style[:, :, :18].contiguous())
    assert torch.allclose(regional[:, :, :25], alone, atol=2e-3)
    assert not torch.allclose(regional, made, atol=1e-2)


def test_the_gain_is_bounded_and_the_mean_arrives():
    ramp = torch.linspace(0.30, 0.34, 512).expand(3, 16, 512).contiguous()
    style = photograph("coffee", 128)
    free, bound = (PhotoStylizer(method="mk", max_gain=g).stylize(ramp, style) for g in (1000, 3))
    assert float(free[:, 8].amax() - free[:, 8].amin()) > 0.5
    gain = bound[:, 8].diff().abs().amax(1) / (0.04 / 511)
    assert gain.max() == pytest.approx(3, rel=0.02)
    assert torch.allclose(bound.mean((1, 2)), style.mean((1, 2)), atol=5e-3)


@pytest.mark.parametrize("steps", ["floats", "8 bits"])
def test_a_smooth_sky_gets_no_bands(steps):
    sky = torch.linspace(0.30, 0.34, 512).expand(3, 16, 512).contiguous()
    if steps == "8 bits":
        sky = (sky * 255).round() / 255
    for stylizer in (PhotoStylizer(method="mk"), PhotoStylizer(method="reinhard")):
        row = (stylizer.stylize(sky, photograph("coffee", 128))[:, 8] * 255).round()
        assert row.diff().abs().max() <= (2 if steps == "floats" else 7)


def test_halos_are_what_no_change_of_light_makes():
    content = photograph("coffee", 96)
    assert halo(content, content) < 0.01
    assert halo(0.2 + 0.5 * content, content) < 0.01, "a matrix makes none"
    edge = torch.full((3, 40, 40), 0.3)
    edge[:, :, 20:] = 0.6
    outlined = edge.clone()
    outlined[:, :, 20:22] += 0.1
    outlined[:, :, 18:20] -= 0.1
    assert halo(edge, edge) == pytest.approx(0, abs=0.01)
    assert 4 < halo(outlined, edge) < 30


def test_bands_are_steps_where_the_content_has_none():
    ramp = torch.linspace(0.29, 0.33, 100).expand(3, 8, 100).contiguous()
    assert banding(ramp, ramp) == 0
    banded = (ramp * 25).round() / 25  # two levels, one border
    assert banding(banded, ramp) == pytest.approx(8 / (8 * 99 + 7 * 100))
    with pytest.raises(InputError, match="of one size"):
        banding(ramp, ramp[:, :4])


def test_what_a_method_cannot_do_is_one_sentence(network, picture):
    other = PhotoStylizer(method="idt").prepare(picture()[0])
    cases = {
        "no method 'mkl'": lambda: PhotoStylizer(method="mkl"),
        "knows no network": lambda: PhotoStylizer(network("photonas"), method="mk"),
        "transforms that are matrices": lambda: PhotoStylizer(method="idt", max_gain=3),
        "max_gain = 0.5": lambda: PhotoStylizer(method="mk", max_gain=0.5),
        "of another network": lambda: PhotoStylizer(method="mk").prepare(other),
    }
    for said, call in cases.items():
        with pytest.raises(InputError, match=said):
            call()
