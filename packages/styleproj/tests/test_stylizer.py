"""The stylizer around the projection, on a small network of random weights: its exactness needs no training."""

import pytest
import torch

import styleproj
from claimkit.errors import InputError
from claimkit.style.sheets import contact_sheet
from styleproj import Style, Stylizer
from styleproj.networks import tiles
from styleproj.pictures import colour
from styleproj.pictures.style import mix


@pytest.fixture
def stylizer(network):
    return Stylizer(network, ties="stable", transform="projection", palette=False, device="cpu")


def picture(height=40, width=56, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("height", "width"), [(40, 56), (41, 59), (8, 8), (9, 100), (24, 300)])
def test_the_result_has_the_size_of_the_content(stylizer, height, width):
    y = stylizer.stylize(picture(height, width), picture(33, 47, seed=1))
    assert y.shape == (3, height, width)
    assert y.min() >= 0 and y.max() <= 1


def test_it_is_encode_project_decode(stylizer, network):
    x, s = picture(), picture(seed=1)
    expected = network(x[None], s[None], styleproj.project)[0].clamp(0, 1)
    torch.testing.assert_close(stylizer.stylize(x, s), expected)
    half = network(x[None], s[None], lambda a, b: styleproj.project(a, b, 0.5))[0].clamp(0, 1)
    torch.testing.assert_close(stylizer.stylize(x, s, 0.5), half)


@pytest.mark.parametrize("tile", [16, 32, 64])
@pytest.mark.parametrize(("height", "width"), [(200, 136), (131, 77)])
def test_tiles_change_nothing(each_network, tile, height, width, monkeypatch):
    """In double precision: in single, tiles of another size take other kernels, whose rounding changes ranks."""
    network = each_network
    monkeypatch.setattr("styleproj.pictures.stylizer.checked_image", lambda image, name: image)
    network.double()
    x, s = picture(height, width).double(), picture(90, 70, seed=1).double()
    whole = Stylizer(network, max_gain=float("inf"), device="cpu").stylize(x, s)
    pieces = Stylizer(network, max_gain=float("inf"), device="cpu", tile=tile).stylize(x, s)
    assert whole.std() > 0.05
    torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-12)


def test_the_halo_is_as_wide_as_the_network_looks(each_network):
    """A changed pixel changes nothing further away than the halo, and something nearly as far."""
    network = each_network
    x = picture(256, 256)[None]
    y = x.clone()
    y[..., 128, 128] += 1
    halo = tiles.reach(network)
    for a, b, level in zip(network.encode(x), network.encode(y), network.levels, strict=True):
        stride = 2 ** (level - 1)
        changed = (a != b).any(1)[0].nonzero()
        assert (changed * stride - 128).abs().max() <= halo + stride
    features = network.encode(x)
    touched = [f.clone() for f in features]
    middle = 128 // network.multiple
    touched[-1][..., middle, middle] += 100
    seen = (network.decode(features) != network.decode(tuple(touched))).any(1)[0].nonzero()
    distance = int((seen - 131).abs().max())
    assert halo / 2 < distance <= halo + 8


def test_a_mask_keeps_the_rest_exactly(stylizer):
    x, s = picture(), picture(seed=1)
    mask = torch.zeros(40, 56)
    mask[:, :30] = 1
    y = stylizer.stylize(x, s, mask=mask)
    assert torch.equal(y[:, :, 30:], x[:, :, 30:])
    assert not torch.equal(y[:, :, :30], x[:, :, :30])
    torch.testing.assert_close(stylizer.stylize(x, s, mask=torch.ones(40, 56)), stylizer.stylize(x, s))
    torch.testing.assert_close(stylizer.stylize(x, s, mask=torch.zeros(40, 56)), x)


def test_a_style_mask_hides_the_rest_of_the_style(stylizer):
    s = picture(seed=1)
    other = s.clone()
    other[:, :, 44:] = 0  # far enough that the network does not see it from the masked part
    mask = torch.zeros(40, 56)
    mask[:, :8] = 1
    a, b = (stylizer.prepare(v, mask) for v in (s, other))
    assert torch.equal(a.levels[0].values, b.levels[0].values)
    assert a.levels[0].count == 2 * 10


def test_several_styles_mix_as_their_barycentre(stylizer):
    x, a, b = picture(), stylizer.prepare(picture(seed=1)), stylizer.prepare(picture(30, 30, seed=2))
    mixed = stylizer.stylize(x, [a, b], weights=[3, 1])
    torch.testing.assert_close(mixed, stylizer.stylize(x, mix([a, b], [0.75, 0.25])))
    torch.testing.assert_close(stylizer.stylize(x, [a, b], weights=[1, 0]), stylizer.stylize(x, a))
    assert not torch.equal(mixed, stylizer.stylize(x, a))


def test_labels_give_each_region_its_style(stylizer):
    x, a, b = picture(64, 200), picture(seed=1), picture(seed=2)
    labels = torch.zeros(64, 200, dtype=torch.long)
    labels[:, 96:] = 1
    y = stylizer.stylize(x, [a, b], labels=labels)
    assert not torch.equal(y, stylizer.stylize(x, a))
    same = stylizer.stylize(x, [a, a], labels=torch.zeros_like(labels))
    torch.testing.assert_close(same, stylizer.stylize(x, a))


def test_regions_of_the_same_label_exchange(stylizer):
    x, s = picture(), picture(seed=1)
    labels, style_labels = torch.zeros(40, 56), torch.zeros(40, 56)
    labels[:, 24:], style_labels[:16] = 7, 7
    y = stylizer.stylize(x, s, labels=labels, style_labels=style_labels)
    assert y.shape == x.shape and not torch.equal(y, stylizer.stylize(x, s))
    one = stylizer.stylize(x, s, labels=torch.zeros(40, 56), style_labels=torch.zeros(40, 56))
    torch.testing.assert_close(one, stylizer.stylize(x, s))


def test_luminance_keeps_the_chroma(stylizer):
    x, s = 0.4 + 0.2 * picture(), picture(seed=1)
    y = stylizer.stylize(x, s, preserve_color="luminance")
    inside = ((y > 0) & (y < 1)).all(0)
    chroma = (y - colour.luma(y)) - (x - colour.luma(x))
    assert chroma[:, inside].abs().max() < 1e-5


def test_coral_gives_the_style_the_contents_colours(stylizer):
    s, x = 0.3 + 0.3 * picture(seed=1), 0.4 + 0.1 * picture() ** 2
    y = colour.coral(s, x)
    torch.testing.assert_close(y.flatten(1).mean(1), x.flatten(1).mean(1), rtol=0, atol=1e-4)
    torch.testing.assert_close(y.flatten(1).cov(), x.flatten(1).cov(), rtol=0.01, atol=1e-4)
    torch.testing.assert_close(stylizer.stylize(x, s, preserve_color="coral"), stylizer.stylize(x, y), rtol=0, atol=1e-5)


def test_the_palette_is_the_styles(network):
    x, s = picture(), 0.3 + 0.3 * picture(30, 30, seed=1)
    y = Stylizer(network, device="cpu").stylize(x, s)
    plain = Stylizer(network, device="cpu", palette=False).stylize(x, s)
    error = [(v.flatten(1).mean(1) - s.flatten(1).mean(1)).abs().max() for v in (y, plain)]
    assert error[0] < 0.02 < error[1]
    mask = torch.zeros(40, 56)
    mask[:, :30] = 1
    assert torch.equal(Stylizer(network, device="cpu").stylize(x, s, mask=mask)[:, :, 30:], x[:, :, 30:])
    untouched = Stylizer(network, device="cpu").stylize(x, s, 0.0)
    torch.testing.assert_close(untouched, Stylizer(network, device="cpu", palette=False).stylize(x, s, 0.0))


def test_styles_are_kept_on_disk(network, tmp_path):
    stylizer = Stylizer(network, device="cpu", cache=tmp_path)
    x, s = picture(), picture(seed=1)
    first = stylizer.stylize(x, s)
    (file,) = tmp_path.glob("*.style")
    assert torch.equal(stylizer.stylize(x, file), first)
    stamp = file.stat().st_mtime_ns
    assert torch.equal(stylizer.stylize(x, s), first)
    assert file.stat().st_mtime_ns == stamp and len(list(tmp_path.glob("*"))) == 1
    loaded = Style.load(file)
    with torch.no_grad():
        network.encoder.conv1_1.weight.add_(1)
    with pytest.raises(InputError, match="another network"):
        Stylizer(network, device="cpu").prepare(loaded)


def test_a_sheet_has_a_cell_for_every_picture():
    sheet = contact_sheet([[None, picture()], [picture(20, 10), picture(100, 50)]], 32)
    assert sheet.shape == (3, 2 * 40, 2 * 40)
    assert (sheet[:, :40, :40] == 1).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"alpha": 2}, "outside"),
        ({"preserve_color": "hue"}, "neither"),
        ({"mask": torch.full((40, 56), 255.0)}, r"the mask has values from 255 to 255: expected \[0, 1\]; divide bytes"),
        ({"mask": torch.ones(40, 56).numpy()}, "the mask is a ndarray: give a tensor"),
        ({"mask": torch.ones(3, 4)}, "the mask is 4 x 3 pixels, its picture 56 x 40"),
        ({"labels": torch.ones(3, 4)}, "labels is"),
        ({"labels": torch.full((40, 56), 5)}, "from 0 to 0"),
        ({"style_labels": torch.ones(40, 56)}, "need labels"),
        ({"style_mask": torch.ones(4, 4)}, "style mask is"),
        ({"style_mask": torch.zeros(40, 56)}, "at least one"),
        ({"weights": [1, 2]}, "weight"),
        ({"style": []}, "0 styles"),
        ({"style": torch.rand(3, 4, 40)}, "at least 8"),
        ({"style": torch.rand(4, 40, 40)}, "expected"),
        ({"style": torch.full((3, 40, 40), torch.nan)}, "finite"),
        ({"content": torch.rand(3, 1, 1)}, "1 x 1 pixels"),
        ({"content": torch.zeros(3, 40, 40, dtype=torch.uint8)}, "expected"),
    ],
)
def test_what_does_not_fit_is_one_sentence(stylizer, options, sentence):
    given = {"content": picture(), "style": picture(seed=1), **options}
    with pytest.raises(InputError, match=sentence):
        stylizer.stylize(given.pop("content"), given.pop("style"), **given)


def test_tiles_must_fit_the_network(network):
    with pytest.raises(InputError, match="multiple of 8"):
        Stylizer(network, tile=100)
