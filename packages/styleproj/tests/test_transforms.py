"""Transforms of features by name, and the bound on the map of colours."""

import pytest
import torch

from claimkit.errors import InputError
from claimkit.style.transforms import Affine, Statistics, adain, ot_map
from styleproj import SortedStyle, Stylizer, project
from styleproj.operator.transforms import bounded, transform


def features(seed, channels=3, side=20):
    mixing = torch.randn(channels, channels, generator=torch.Generator().manual_seed(seed + 7))
    x = torch.randn(1, channels, side, side, generator=torch.Generator().manual_seed(seed)) ** 3
    return torch.einsum("dc,bchw->bdhw", mixing, x) + seed


def apply(name, x, s, alpha=1.0):
    return transform(x, SortedStyle.of(s[0]), Statistics.of(s), name, alpha, "stable")


def test_the_projection_is_the_papers():
    x, s = features(0), features(1)
    assert torch.equal(apply("projection", x, s), project(x, s))


@pytest.mark.parametrize("name", ["projection", "ot-projection"])
def test_what_ends_in_ranks_has_the_styles_values_in_every_channel(name):
    x, s = features(0), features(1)
    z = apply(name, x, s)
    assert torch.allclose(z.flatten(2).sort(-1).values, s.flatten(2).sort(-1).values, atol=1e-5)


@pytest.mark.parametrize("name", ["ot", "wct"])
def test_maps_of_moments_give_the_styles_covariance(name):
    x, s = features(0), features(1)
    z = Statistics.of(apply(name, x, s))
    if name == "ot":  # WCT is damped, as it is published
        assert torch.allclose(z.covariance, Statistics.of(s).covariance, rtol=1e-3, atol=1e-3)
    assert torch.allclose(z.mean, Statistics.of(s).mean, atol=1e-3)


def test_joint_moments_first_bring_the_covariance_nearer():
    x, s = features(0), features(1)
    wanted = Statistics.of(s).covariance
    plain, joint = ((Statistics.of(apply(n, x, s)).covariance - wanted).norm() for n in ("projection", "ot-projection"))
    assert joint < 0.2 * plain


def test_adain_is_that_of_the_shared_package():
    x, s = features(0), features(1)
    assert torch.allclose(apply("adain", x, s), adain(x, s), atol=1e-4)


@pytest.mark.parametrize("name", ["projection", "ot-projection", "adain", "wct", "ot"])
def test_strength_is_a_line_from_the_content(name):
    x, s = features(0), features(1)
    half = apply(name, x, s, 0.5)
    assert torch.allclose(half, (x + apply(name, x, s)) / 2, atol=1e-4)


def test_a_bounded_map_keeps_the_mean_and_grows_nothing_beyond_its_bound():
    narrow, wide = features(0) * 0.01 + 0.5, features(1)
    own = Statistics.of(narrow)
    free, fit = ot_map(own, Statistics.of(wide)), bounded(ot_map(own, Statistics.of(wide)), own.mean, 1.2)
    assert torch.linalg.eigvalsh(free.matrix).max() > 10
    assert torch.linalg.eigvalsh(fit.matrix).max() == pytest.approx(1.2)
    assert torch.allclose(Statistics.of(fit(narrow)).mean, Statistics.of(wide).mean, atol=1e-3)
    same = bounded(Affine(torch.eye(3).double()[None], torch.zeros(1, 3).double()), own.mean, 1.2)
    assert torch.equal(same.matrix[0], torch.eye(3).double()) and not same.bias.any()


def test_a_picture_by_each_transform_differs_and_a_wrong_name_is_refused():
    x, s = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.rand(3, 24, 40)
    names = ("projection", "ot-projection", "adain", "wct", "ot")
    pictures = [Stylizer(transform=name).stylize(x, s) for name in names]
    assert all((a - b).abs().max() > 1e-3 for i, a in enumerate(pictures) for b in pictures[:i])
    with pytest.raises(InputError, match="transform = 'gram' is none of projection"):
        Stylizer(transform="gram")
    with pytest.raises(InputError, match="expected at least 1"):
        Stylizer(max_gain=0.5)
    for width in (-0.1, 0.001, 0.6, float("nan")):
        with pytest.raises(InputError, match=r"soft_clip = .*: expected 0"):
            Stylizer(soft_clip=width)
