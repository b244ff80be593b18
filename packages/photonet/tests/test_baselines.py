"""The cascades and WCT2: pooling that comes back, levels that are the encoder's, content = style, files."""

from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from claimkit.errors import InputError
from claimkit.style.encoders import SlimEncoder
from claimkit.style.images import write_image
from claimkit.style.metrics import psnr
from photonet.baselines.cascade import Cascade, stylize
from photonet.baselines.levels import encode
from photonet.baselines.pooling import POOLINGS, haar, haar_inverse
from photonet.baselines.reference import wct_svd64
from photonet.baselines.training import BaselineSettings, losses, reconstructions, started, train_baselines
from photonet.baselines.transform import affine, unchanged, whitening_svd64
from photonet.baselines.wct2 import WCT2
from photonet.baselines.weights import Baselines, load_baselines, save_baselines, shipped
from photonet.samples import photograph
from photonet.transforms import TRANSFORMS
from photonet.weights import load_network


@pytest.fixture
def encoder():
    torch.manual_seed(3)
    net = SlimEncoder((4, 6, 8, 8, 8), (2, 2, 2, 2))
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return net.eval().requires_grad_(False)


@pytest.fixture
def images():
    coarse = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)


@pytest.fixture
def baselines(encoder, images):
    return started(encoder, images)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
def test_haar_comes_back_exactly(channels, height, width):
    x = torch.randn(2, channels, 2 * height, 2 * width, dtype=torch.float64)
    mean, differences = haar(x)
    torch.testing.assert_close(haar_inverse(mean, differences), x)
    torch.testing.assert_close(mean, torch.nn.functional.avg_pool2d(x, 2))
    energy = sum(d.square().sum() for d in (mean, *differences))
    torch.testing.assert_close(4 * energy, x.square().sum())


def test_haar_of_known_numbers():
    mean, (across, down, diagonal) = haar(torch.tensor([[[[1.0, 2.0], [3.0, 8.0]]]]))
    assert [float(v) for v in (mean, across, down, diagonal)] == [3.5, -1.5, -2.0, 1.0]


def test_positions_put_maxima_where_they_were():
    pooling = POOLINGS["positions"]
    x = torch.randn(1, 2, 6, 4)
    y, kept = pooling.down(x)
    back = pooling.up(y, kept)
    assert torch.equal(back[back != 0], x[back != 0]) and int((back != 0).sum()) == y.numel()


@pytest.mark.parametrize("name", ["positions", "nearest"])
def test_levels_are_the_encoders(encoder, name):
    picture = torch.rand(1, 3, 32, 48)
    features, kept = encode(encoder, picture, 5, POOLINGS[name])
    for a, b in zip(features, encoder(picture), strict=True):
        torch.testing.assert_close(a, b)
    assert len(kept) == 5 and kept[0] == ()


@pytest.mark.parametrize("name", ["photowct", "wct", "wct2"])
def test_without_a_transform_a_baseline_reconstructs(baselines, name):
    method, picture = getattr(baselines, name), torch.rand(3, 32, 40)
    expected = picture[None]
    for level in range(4, 0, -1) if name != "wct2" else ():
        expected = method.reconstruct(expected, level)
    if name == "wct2":
        expected = method.reconstruct(expected)
    torch.testing.assert_close(stylize(method, picture, picture, unchanged), expected[0].clamp(0, 1))


@pytest.mark.parametrize("name", ["photowct", "wct"])
def test_a_cascade_in_its_own_style_reconstructs_in_its_first_round(baselines, name):
    """Content = style: WCT of features on themselves is the identity; later rounds see the first one's losses."""
    method = Cascade(baselines.photowct.encoder, "positions", 1)
    method.decoders = getattr(baselines, name).decoders[:1]
    picture = torch.rand(3, 24, 24)
    same = stylize(method, picture, picture)
    torch.testing.assert_close(same, method.reconstruct(picture[None], 1)[0].clamp(0, 1), rtol=1e-3, atol=1e-4)


def test_wct2_in_its_own_style_reconstructs(baselines):
    picture = torch.rand(3, 64, 64)
    expected = baselines.wct2.reconstruct(picture[None])[0].clamp(0, 1)
    torch.testing.assert_close(stylize(baselines.wct2, picture, picture), expected, rtol=1e-2, atol=1e-3)


def test_a_cascade_is_encode_transform_decode_level_after_level(baselines):
    method = baselines.photowct
    content, style = torch.rand(1, 3, 16, 24), torch.rand(1, 3, 32, 16)
    x = content
    for level in (4, 3, 2, 1):
        features, kept = encode(method.encoder, x, level, method.pooling)
        target, _ = encode(method.encoder, style, level, method.pooling)
        z = TRANSFORMS["wct"](features[-1], target[-1])
        x = method.decoders[level - 1](z, method.pooling, kept)
    torch.testing.assert_close(stylize(method, content[0], style[0]), x[0].clamp(0, 1))


@pytest.mark.parametrize("name", ["photowct", "wct", "wct2"])
@pytest.mark.parametrize("size", [(17, 23), (40, 9)])
def test_any_size(baselines, name, size):
    picture = stylize(getattr(baselines, name), torch.rand(3, *size), torch.rand(3, 25, 31))
    assert picture.shape == (3, *size) and picture.min() >= 0 and picture.max() <= 1


@pytest.mark.parametrize("regularization", ["none", "identity", "relative"])
def test_the_reference_by_singular_values_is_the_same_map(regularization):
    x, s = torch.randn(1, 5, 40, 40), 2 * torch.randn(1, 5, 40, 40) + 1
    mix = torch.randn(5, 5)
    x, s = (torch.einsum("ij,bjyx->biyx", mix, f) for f in (x, s))
    ours = affine("wct-exact" if regularization == "none" else f"wct-{regularization}")(s)(x)
    reference = whitening_svd64(regularization)(s)(x)
    torch.testing.assert_close(ours, reference, rtol=1e-2, atol=1e-2)  # covariances over N and over N - 1
    if regularization == "none":
        z = wct_svd64(x, s)[0].flatten(1)
        assert not torch.allclose(z.cov(), s[0].flatten(1).cov(), rtol=1e-2), "the default is damped"
        z = reference[0].flatten(1)
        torch.testing.assert_close(z.cov(), s[0].flatten(1).cov(), rtol=1e-3, atol=1e-3)


def test_the_start_in_closed_form_is_a_reconstruction(baselines, images):
    found = losses(baselines, images, 0.0)
    assert set(found) == {*(f"{n}{k}" for n in ("photowct", "wct") for k in (1, 2, 3, 4)), "wct2-4", "total"}
    assert found["photowct1"] < images.var() / 0.06
    untrained = losses(Baselines.new(baselines.photowct.encoder), images, 0.0)
    assert all(found[k] < 0.5 * untrained[k] for k in found)


def test_training_writes_what_loads_and_goes_on_where_it_stopped(encoder, images, tmp_path):
    files = []
    for i, image in enumerate(images):
        write_image(tmp_path / f"{i}.png", image)
        files.append(tmp_path / f"{i}.png")
    settings = BaselineSettings(steps=2, batch=2, crop=32, start=4)
    train_baselines(encoder, files, tmp_path / "run", settings)
    path = train_baselines(encoder, files, tmp_path / "run", BaselineSettings(**asdict(settings) | {"steps": 4}), True)
    train_baselines(encoder, files, tmp_path / "further", settings, start=path)
    loaded = load_baselines(encoder, path)
    assert not any(p.requires_grad for p in loaded.decoders.parameters())
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 2
    assert all(p.grad is None for p in encoder.parameters())


def test_files_come_back_nearly_and_know_their_encoder(baselines, encoder, tmp_path):
    path = tmp_path / "baselines.safetensors"
    save_baselines(baselines, path, {"steps": "0"})
    loaded = load_baselines(encoder, path)
    picture = torch.rand(3, 32, 32)
    before, after = (stylize(b.wct2, picture, picture, unchanged) for b in (baselines, loaded))
    assert (after - before).abs().mean() < 0.01 < 0.05 < before.std()
    other = SlimEncoder((4, 6, 8, 8, 8), (2, 2, 2, 2))
    with pytest.raises(InputError, match="another encoder"):
        load_baselines(other, path)
    assert load_baselines(other, path, any_encoder=True).wct2.encoder is other
    with pytest.raises(InputError, match="does not exist"):
        load_baselines(encoder, tmp_path / "none.safetensors")
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no baselines"):
        load_baselines(encoder, path)


def test_a_depth_below_the_encoders(encoder):
    assert WCT2(encoder, 3).depth == 3 and Cascade(encoder, "nearest", 2).depth == 2


def test_what_is_shipped_is_for_the_shipped_encoder_and_reconstructs():
    baselines = load_baselines(load_network().encoder)
    photo = photograph("china", 192)[:, :120]
    with torch.inference_mode():
        found = {(n, k): psnr(p[0].clamp(0, 1), photo) for n, k, p in reconstructions(baselines, photo[None])}
    assert min(found.values()) > 15 and found["photowct", 1] > 28, found


def test_all_weights_together_are_small():
    assert sum(f.stat().st_size for f in shipped().parent.glob("*.safetensors")) < 5e6, (
        "an encoder, five decoders, baselines"
    )
