"""Measures of training with known values, and a loop that makes pictures as the stylizer makes them."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from claimkit.style.images import write_image
from claimkit.style.looks import Judge
from claimkit.style.transforms import Statistics, ot_map
from styleproj.operator.projection import project
from styleproj.pictures.colour import LIMIT, repaint
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


def test_a_colour_that_the_style_has_is_not_foreign():
    red, blue = (torch.tensor(c)[None, :, None, None].expand(1, 3, 20, 20) for c in ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    generator = torch.Generator().manual_seed(0)
    assert looks.foreign_colours(red, torch.cat([red, blue], 3), 0.1, generator).item() == 0
    assert looks.foreign_colours(red, blue, 0.1, generator).item() == pytest.approx(2**0.5 - 0.1)


def test_the_loop_makes_what_the_stylizer_makes(network):
    content, style = torch.rand(2, 3, 32, 40), torch.rand(2, 3, 40, 48)
    made, same = as_made(network, content, style, 1.1, 0.2, LIMIT)
    stylizer = Stylizer(network, transform="ot-projection", max_gain=1.1)
    for x, s, y in zip(content, style, made, strict=True):
        torch.testing.assert_close(y.clamp(0, 1), stylizer.stylize(x, s), atol=0.05, rtol=0)  # bfloat16 in the loop
        assert (y.clamp(0, 1) - stylizer.stylize(x, s)).abs().mean() < 0.01
    torch.testing.assert_close(same, network.decode(network.encode(content[:1])), atol=0.05, rtol=0)


def test_the_loop_bends_what_leaves_the_range_as_the_stylizer_does():
    content, style = torch.rand(2, 2, 3, 24, 24)
    cubic = SimpleNamespace(encode=lambda image: (image,), decode=lambda features: (2 * features[0] - 1) ** 3)
    made, _ = as_made(cubic, content, style, 1.15, 0.2, LIMIT)
    decoded = (2 * project(ot_map(Statistics.of(content), Statistics.of(style))(content), style, ties="average") - 1) ** 3
    for y, s, picture in zip(made, style, decoded, strict=True):
        expected = repaint(picture, [(None, Statistics.of(s[None]))], 1.0, 1.15, 0.2, LIMIT)
        torch.testing.assert_close(y, expected, atol=1e-3, rtol=0)


def test_an_encoder_that_is_not_frozen_gets_gradients_and_nothing_else_changes(network):
    content, style = torch.rand(2, 3, 32, 40), torch.rand(2, 3, 40, 48)
    frozen = as_made(network, content, style, 1.15, 0.2, LIMIT)
    network.requires_grad_(True)
    made, same = as_made(network, content, style, 1.15, 0.2, LIMIT)
    assert torch.equal(made, frozen[0]) and torch.equal(same, frozen[1])
    for part in (made.sum(), same.sum()):
        found = torch.autograd.grad(part, list(network.encoder.parameters()), retain_graph=True)
        assert all(g.isfinite().all() and g.abs().sum() > 0 for g in found)


def test_the_gradient_to_the_content_holds_the_moments_that_the_projection_replaces():
    """Features that are the picture and a pattern, a decoder that does nothing: the gradient in closed form."""
    content, style, weights = torch.rand(3, 1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    patterns = torch.stack([torch.ones_like(content), content, weights.flip(3)])
    amount = torch.zeros(3, requires_grad=True)

    def encode(image):
        return (image + torch.tensordot(amount, patterns, 1) if image is content else image,)

    made, _ = as_made(SimpleNamespace(encode=encode, decode=lambda f: f[0]), content, style, math.inf, 0.0, math.inf)
    wanted = Statistics.of(style)
    fit = ot_map(Statistics.of(content), wanted)
    moved, changed = fit(content), torch.einsum("ij,bjhw->bihw", fit.matrix[0].float(), patterns[2])
    unit, centred = F.instance_norm(moved), changed - changed.mean((2, 3), keepdim=True)
    through = centred - unit * (centred * unit).mean((2, 3), keepdim=True)
    painted = ot_map(Statistics.of(project(moved, style, ties="average")), wanted).matrix[0].float()
    expected = (weights * torch.einsum("ij,bjhw->bihw", painted, through)).sum()
    (found,) = torch.autograd.grad((weights * made).sum(), amount)
    assert found[0].abs() < 0.1, "a constant is replaced: without that it is the sum of 1,728 weights"
    assert found[2] == pytest.approx(expected.item(), rel=0.01)
    assert expected.abs() > 1


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
    adapt(network, Judge(vgg), files, files, tmp_path / "along", 1, replace(settings, encoder=0.1))
    moved = {k: (v - before[k]).abs().max() for k, v in network.state_dict().items() if k.startswith("encoder")}
    assert all(0 < m <= 1.1e-6 for m in moved.values())  # a step of Adam at a hundredth (its first) of a tenth of 1e-3


@pytest.mark.parametrize("half_size", [False, True])
def test_what_is_judged_is_a_part_or_the_whole_at_half_the_size(network, vgg, tmp_path, half_size):
    write_image(tmp_path / "a.png", torch.rand(3, 100, 120))
    judge, seen = Judge(vgg), []
    judge.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    settings = Adaptation(batch=1, crop=80, half_size=half_size, learning_rate=0.0)
    adapt(network, judge, [tmp_path / "a.png"], [tmp_path / "a.png"], tmp_path / "out", 2, settings)
    assert {tuple(x.shape) for x in seen} == {(1, 3, 40, 40)}
    first, second = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    fine = [float(max(x.std() for x in part)) > 0.12 for part in (first, second)]  # noise, whose halves are smoother
    assert fine == [not half_size, False]
