"""What training looks at: measures with known values, and a loop that makes pictures as the stylizer makes them."""

import pytest
import torch
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.style.images import write_image
from claimkit.style.metrics import ssim_edge
from styleproj.networks.teachers import Judge
from styleproj.pictures.stylizer import Stylizer
from styleproj.samples import photograph, square
from styleproj.training import looks
from styleproj.training.adaptation import Adaptation, adapt, as_made


@pytest.fixture(scope="module")
def photo():
    return square(photograph("astronaut"), 160)[None]


@pytest.mark.parametrize(("period", "along"), [(8, (0, 1)), (4, (0, 1)), (2, (1,))])
def test_a_grid_is_seen_at_its_period_only(photo, period, along):
    n = torch.arange(160)
    lines = (n % period < period / 2).float() * 0.1 - 0.05
    grid = sum((lines.view(-1, 1) if d == 0 else lines) for d in along)
    assert looks.weave(photo) < 1.3
    assert looks.weave(photo + grid) > 1.15 * looks.weave(photo)
    off = (n % 7 < 3.5).float() * 0.1 - 0.05
    assert looks.weave(photo + off) < 1.1 * looks.weave(photo)


def test_white_noise_has_no_weave():
    assert looks.weave(torch.rand(20, 3, 96, 104)).mean() == pytest.approx(1, abs=0.1)


def test_edges_are_compared_as_the_shared_metric_compares_them(photo):
    other = (photo + 0.1 * torch.randn_like(photo)).clamp(0, 1)
    assert looks.edge_similarity(photo, photo).item() == pytest.approx(1)
    assert looks.edge_similarity(other, photo).item() == pytest.approx(ssim_edge(other[0], photo[0]), abs=0.01)


def test_distances_to_a_style_are_shares_of_it():
    f = torch.rand(2, 4, 8, 8) + 1
    assert looks.style_distance([f, f], [f, f]).tolist() == pytest.approx([0, 0], abs=1e-4)
    # twice the features: means and deviations are off by their own size, products by three times theirs
    assert looks.style_distance([2 * f, f], [f, f]).tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
    assert looks.style_gram_distance([2 * f, f], [f, f]).tolist() == pytest.approx([1.5, 1.5], abs=1e-3)


def test_content_is_compared_without_its_contrast():
    f = torch.randn(1, 4, 32, 32)
    assert looks.content_distance(3 * f + 2, f).item() == pytest.approx(0, abs=1e-3)
    assert looks.content_distance(-f, f).item() == pytest.approx(2, abs=1e-3)
    assert looks.content_distance(torch.randn_like(f), f).item() == pytest.approx(2**0.5, abs=0.1)


def test_a_colour_that_the_style_has_is_not_foreign():
    red, blue = (torch.tensor(c)[None, :, None, None].expand(1, 3, 20, 20) for c in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    generator = torch.Generator().manual_seed(0)
    assert looks.foreign_colours(red, torch.cat([red, blue], 3), 0.1, generator).item() == 0
    assert looks.foreign_colours(red, blue, 0.1, generator).item() == pytest.approx(2**0.5 - 0.1)


def test_the_loop_makes_what_the_stylizer_makes(network):
    content, style = torch.rand(2, 3, 32, 40), torch.rand(2, 3, 40, 48)
    made, same = as_made(network, content, style, 1.1)
    stylizer = Stylizer(network, transform="ot-projection", max_gain=1.1)
    for x, s, y in zip(content, style, made, strict=True):
        torch.testing.assert_close(y.clamp(0, 1), stylizer.stylize(x, s), atol=0.05, rtol=0)  # bfloat16 in the loop
        assert (y.clamp(0, 1) - stylizer.stylize(x, s)).abs().mean() < 0.01
    torch.testing.assert_close(same, network.decode(network.encode(content[:1])), atol=0.05, rtol=0)


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """A file of VGG-19's shape to conv3_4, with random weights."""
    shapes = ((0, 3, 64), (2, 64, 64), (5, 64, 128), (7, 128, 128), (10, 128, 256), *((n, 256, 256) for n in (12, 14, 16)))
    state = {}
    for n, c, d in shapes:
        state |= {f"features.{n}.weight": torch.randn(d, c, 3, 3) / (3 * c**0.5), f"features.{n}.bias": torch.zeros(d)}
    path = tmp_path_factory.mktemp("vgg") / "vgg.pt"
    torch.save(state, path)
    return path


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


def test_adapting_changes_the_decoder_alone_and_goes_on(network, vgg, tmp_path):
    files = [tmp_path / f"{n}.png" for n in "ab"]
    for file in files:
        write_image(file, torch.rand(3, 100, 120))
    before = {k: v.clone() for k, v in network.state_dict().items()}
    settings = Adaptation(batch=1, crop=80)
    adapt(network, Judge(vgg), files, files, tmp_path / "out", 1, settings)
    path = adapt(network, Judge(vgg), files, files, tmp_path / "out", 2, settings, resume=True)
    assert path.exists() and (tmp_path / "out" / "samples" / "0000002.png").exists()
    changed = {k.split(".")[0] for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"decoder"}
