import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from claimkit.errors import InputError
from claimkit.style.encoders import MEAN, STD, VGG19, SlimEncoder, load_vgg19, read_state
from claimkit.style.metrics import (
    gram,
    gram_distance,
    mean_std_distance,
    psnr,
    sliced_wasserstein,
    ssim,
    ssim_edge,
)
from claimkit.style.transforms import Statistics, adain, labels_at, ot_map, wct, wct_by_region, wct_map


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def torchvision_state(depth):
    """What torchvision's vgg19().features holds, small random numbers, up to the convolution that gives the level."""
    state, index, width = {}, 0, 3
    for block, (channels, n) in enumerate(zip((64, 128, 256, 512, 512), (2, 2, 4, 4, 4), strict=True), start=1):
        for _ in range(n if block < depth else 1):
            if block > depth:
                break
            state[f"features.{index}.weight"] = torch.randn(channels, width, 3, 3) * 0.05
            state[f"features.{index}.bias"] = torch.randn(channels) * 0.05
            width, index = channels, index + 2
        index += 1
    return state


@pytest.fixture
def three_levels():
    return torchvision_state(3)


def test_torchvision_weights_give_torchvisions_features(three_levels):
    image = torch.rand(1, 3, 32, 32)
    x = (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    wanted = []
    for index in (0, 2, None, 5, 7, None, 10):  # of vgg19().features: convolutions, and the pools between
        if index is None:
            x = nn.functional.max_pool2d(x, 2)
            continue
        x = nn.functional.conv2d(
            x, three_levels[f"features.{index}.weight"], three_levels[f"features.{index}.bias"], padding=1
        )
        x = x.relu()
        if index in (0, 5, 10):
            wanted.append(x)
    encoder = load_vgg19(three_levels, padding="zeros")
    with torch.no_grad():
        found = encoder(image)
    assert encoder.depth == 3
    for a, b in zip(found, wanted, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("named", [False, True])
def test_normalised_weights_in_both_spellings(named):
    shapes = [(3, 3, 1), (64, 3, 3), (64, 64, 3), (128, 64, 3)]
    keys = ["conv0", "conv1_1", "conv1_2", "conv2_1"] if named else ["0", "2", "5", "9"]
    state = {}
    for key, (a, b, k) in zip(keys, shapes, strict=True):
        state |= {f"{key}.weight": torch.randn(a, b, k, k) * 0.1, f"{key}.bias": torch.randn(a) * 0.1}
    encoder = load_vgg19(state)
    assert encoder.depth == 2 and torch.equal(encoder.conv2_1.weight, state[f"{keys[-1]}.weight"])
    assert torch.equal(encoder.input.weight, state[f"{keys[0]}.weight"])


def test_torchvisions_own_network_loads_to_every_depth():
    torchvision = pytest.importorskip("torchvision")
    with torch.device("meta"):
        state = torchvision.models.vgg19(weights=None).features.state_dict(prefix="features.")
    state = {k: torch.zeros(t.shape) for k, t in state.items()}
    for depth in range(1, 6):
        assert load_vgg19(state, depth).channels == (64, 128, 256, 512, 512)[:depth]


def test_what_is_no_vgg_is_refused(tmp_path, three_levels):
    with pytest.raises(InputError, match="no VGG-19"):
        load_vgg19({"a": torch.zeros(1)})
    with pytest.raises(InputError, match="goes to relu3_1"):
        load_vgg19(three_levels, 4)
    three_levels["features.2.weight"] = torch.zeros(8, 64, 3, 3)
    with pytest.raises(InputError, match=r"conv1_2\.weight is missing or not of shape"):
        load_vgg19(three_levels)
    (tmp_path / "a.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read as weights"):
        read_state(tmp_path / "a.pt")
    torch.save({"a": {"b": torch.zeros(1)}}, tmp_path / "b.pt")
    with pytest.raises(InputError, match="no flat dictionary"):
        read_state(tmp_path / "b.pt")


@pytest.mark.parametrize("make", [lambda: VGG19(3), lambda: SlimEncoder()])
def test_levels_have_their_sizes_and_forward_is_their_relu(make):
    encoder = make()
    image = torch.rand(2, 3, 32, 48)
    with torch.no_grad():
        before, after = encoder.at(image, range(1, encoder.depth + 1)), encoder(image)
        shallow = encoder(image, 2)
        activations = dict(encoder.activations(image))  # none of which is overwritten by what comes after it
        some = encoder.at(image, (1, 3))
    assert [torch.equal(activations[f"conv{k}_1"], b) for k, b in enumerate(before, 1)] == [True] * encoder.depth
    assert torch.equal(some[0], before[0]) and torch.equal(some[1], before[2])
    assert all(y.min() < 0 for y in activations.values())
    assert [tuple(f.shape) for f in after] == [(2, c, 32 >> k, 48 >> k) for k, c in enumerate(encoder.channels)]
    assert all(torch.equal(a.relu(), b) for a, b in zip(before, after, strict=True))
    assert len(shallow) == 2 and torch.equal(shallow[1], after[1])


@pytest.fixture
def pair():
    """Content and style features, correlated channels, double precision."""
    mix = torch.randn(2, 6, 6, dtype=torch.float64)
    x, s = (torch.randn(2, 6, h, w, dtype=torch.float64) for h, w in ((20, 30), (17, 13)))
    return torch.einsum("cd,bdhw->bchw", mix[0], x) + 1, torch.einsum("cd,bdhw->bchw", mix[1], s) - 2


def test_statistics_are_numpys(pair):
    found = Statistics.of(pair[0])
    for k in range(2):
        rows = pair[0][k].flatten(1).numpy()
        assert np.allclose(found.mean[k], rows.mean(1)) and np.allclose(found.covariance[k], np.cov(rows, bias=True))


def test_statistics_of_a_mask_are_those_of_its_positions(pair):
    mask = torch.zeros(20, 30)
    mask[:10] = 1
    found, wanted = Statistics.of(pair[0], mask), Statistics.of(pair[0][:, :, :10])
    assert torch.allclose(found.mean, wanted.mean) and torch.allclose(found.covariance, wanted.covariance)
    with pytest.raises(InputError, match="a mask needs"):
        Statistics.of(pair[0], torch.zeros(20, 30))


@pytest.mark.parametrize("make", [lambda c, s: wct_map(c, s, "none"), ot_map])
def test_the_result_has_the_styles_mean_and_covariance(pair, make):
    x, s = pair
    style = Statistics.of(s)
    found = Statistics.of(make(Statistics.of(x), style)(x))
    assert torch.allclose(found.mean, style.mean, atol=1e-6)
    assert torch.allclose(found.covariance, style.covariance, atol=1e-6)


def test_optimal_transport_moves_less_than_wct(pair):
    x, s = pair
    c, t = Statistics.of(x), Statistics.of(s)
    cost = [(make(c, t)(x) - x).square().mean() for make in (ot_map, lambda c, t: wct_map(c, t, "none"))]
    assert cost[0] <= cost[1]


def test_transport_of_gaussians_with_commuting_covariances_is_known():
    x = torch.randn(1, 3, 40, 40, dtype=torch.float64)
    c = Statistics.of(x)
    style = Statistics(torch.ones(1, 3, dtype=torch.float64), 4 * c.covariance)
    for found in (ot_map(c, style), wct_map(c, style, "none")):
        assert torch.allclose(found.matrix[0], 2 * torch.eye(3, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_channel_that_is_constant_but_for_rounding_has_no_spread(dtype):
    generator = torch.Generator().manual_seed(0)
    x = 3.7 + torch.finfo(dtype).eps * torch.randn(1, 3, 40, 50, generator=generator, dtype=dtype)
    x[:, 2] += 1e-4 * torch.randn(40, 50, generator=generator, dtype=dtype)
    covariance = Statistics.of(x).covariance[0]
    assert torch.count_nonzero(covariance) == 1 and covariance[2, 2].sqrt().item() == pytest.approx(1e-4, rel=0.1)


def test_a_channel_that_is_dead_stays_dead(pair):
    x, s = (f.clone() for f in pair)
    x[:, 0], s[:, 0] = 0, 0
    out = wct(x, s, regularization="none")
    assert out.isfinite().all() and out[:, 0].abs().max() < 1e-6


def test_loading_damps(pair):
    x, s = pair
    spread = {
        r: Statistics.of(wct(x, s, regularization=r)).covariance.diagonal(dim1=1, dim2=2).sum() for r in ("none", "relative")
    }
    assert spread["relative"] < spread["none"]
    diagonal = Statistics(torch.zeros(1, 2).double(), torch.diag(torch.tensor([4.0, 9.0])).double()[None])
    damped = wct_map(diagonal, diagonal, "relative").matrix[0]  # 1.5 + 1 times the variance
    assert torch.allclose(damped, torch.eye(2).double() / 2.5**0.5)
    identity = wct_map(diagonal, diagonal, "identity").matrix[0]
    assert torch.allclose(identity, torch.diag(torch.tensor([4 / 5, 9 / 10])).double().sqrt())
    with pytest.raises(InputError, match="regularization must be"):
        wct_map(diagonal, diagonal, "much")  # type: ignore[arg-type]


def test_blend_and_fold_are_the_same_arithmetic(pair):
    x, s = pair[0][:1], pair[1][:1]
    fit = wct_map(Statistics.of(x), Statistics.of(s))
    assert torch.allclose(fit.blend(0.3)(x), 0.3 * fit(x) + 0.7 * x)
    assert torch.allclose(fit.blend(0)(x), x)
    layer = nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect", dtype=torch.float64)
    weight, bias = fit.fold(layer.weight, layer.bias)
    folded = nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect", dtype=torch.float64)
    folded.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
    assert torch.allclose(folded(x), layer(fit(x)))
    with pytest.raises(InputError, match="one picture"):
        wct_map(Statistics.of(pair[0]), Statistics.of(pair[1])).fold(layer.weight, layer.bias)


def test_single_precision_features_are_factored_in_double(pair):
    x, s = pair
    exact, found = wct(x, s), wct(x.float(), s.float())
    assert found.dtype == torch.float32 and torch.allclose(found.double(), exact, atol=1e-4)
    assert torch.allclose(wct(x, Statistics.of(s)), exact)


def test_regions_are_transformed_by_themselves(pair):
    x, s = pair[0][:1], pair[1][:1]
    mine, theirs = torch.zeros(40, 60, dtype=torch.long), torch.zeros(17, 13, dtype=torch.long)
    mine[:, 30:], theirs[9:] = 7, 7
    mine[:2] = 3  # on the content alone
    out = wct_by_region(x, s, mine, theirs, regularization="none")
    here, there = labels_at(mine, 20, 30) == 7, theirs == 7
    a, b = Statistics.of(out, here.double()), Statistics.of(s, there.double())
    assert torch.allclose(a.mean, b.mean) and torch.allclose(a.covariance, b.covariance, atol=1e-6)
    assert torch.equal(out[:, :, 0], x[:, :, 0])


def test_adain_gives_mean_and_deviation(pair):
    x, s = pair
    out = adain(x, s, eps=0)
    for f in (torch.mean, torch.std):
        assert torch.allclose(f(out, (2, 3)), f(s, (2, 3)), rtol=1e-2)
    assert torch.allclose(adain(x, s, alpha=0), x)
    assert torch.allclose(adain(x, x), x)
    with pytest.raises(InputError, match="channels"):
        wct(x, s[:, :3])


def test_metrics_of_known_pictures():
    a = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(0))
    assert psnr(a, a) == float("inf") and ssim(a, a) == pytest.approx(1) and ssim_edge(a, a) == pytest.approx(1)
    assert psnr(torch.zeros(3, 8, 8), torch.full((3, 8, 8), 0.1)) == pytest.approx(20)
    assert ssim_edge(a, 1 - a) == pytest.approx(1)  # the negative has the same edges
    assert ssim(a, 1 - a) < 0
    with pytest.raises(InputError, match="one size"):
        psnr(a, a[:, :8])
    with pytest.raises(InputError, match="at least 7"):
        ssim(a[:, :4], a[:, :4])


def test_metrics_of_known_features():
    f = torch.tensor([[[[1.0, 2.0]], [[0.0, 4.0]]]])
    assert torch.allclose(gram(f), torch.tensor([[[2.5, 4.0], [4.0, 8.0]]]))
    assert gram_distance(f, f) == 0 and gram_distance(f * 0, f) == 1
    g = torch.randn(1, 3, 8, 8)
    assert mean_std_distance(g + 2, g).item() == pytest.approx(2, abs=1e-3)
    swapped = g.flatten(2)[..., torch.randperm(64)].view(1, 3, 8, 8)
    assert sliced_wasserstein(g, swapped).item() == pytest.approx(0, abs=1e-6)


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection():
    g = torch.randn(1, 1, 9, 9)
    assert sliced_wasserstein(g, g + 3).item() == pytest.approx(3, rel=1e-4)  # one channel: every direction is +-1
    twice = torch.cat([g, g], 3)
    assert sliced_wasserstein(g, twice).item() == pytest.approx(0, abs=1e-6)  # sizes differ, distributions do not
    with pytest.raises(InputError, match="equal batch"):
        sliced_wasserstein(g, torch.randn(1, 2, 9, 9))


def test_sliced_wasserstein_in_one_dimension_is_scipys():
    from scipy.stats import wasserstein_distance

    a, b = torch.randn(1, 1, 10, 10), torch.randn(1, 1, 10, 10) * 2 + 1
    assert sliced_wasserstein(a, b).item() == pytest.approx(wasserstein_distance(a.flatten(), b.flatten()), rel=1e-5)


def test_the_core_does_not_load_torch():
    code = "import sys, claimkit.cli, claimkit.runner, claimkit.report.tables; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
