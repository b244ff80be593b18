"""The exported graph gives what the stylizer gives, in another runtime."""

from pathlib import Path

import pytest
import torch

from claimkit.errors import InputError
from styleproj import Stylizer, cli
from styleproj.networks.export import export
from styleproj.networks.portable import PortableStylizer
from styleproj.networks.weights import load_network
from styleproj.samples import photograph

SIZE, STYLE_SIZE = (48, 64), (32, 40)
NETWORK = Path("brush")
"""Weights by which no two features of these pictures are so near that rounding swaps them."""
LEAST = 2e-3
"""Half a step of eight bits: what two values may do that are equal but for the rounding of a runtime."""


@pytest.fixture(scope="module")
def pictures():
    return photograph("astronaut")[:, 100:148, 200:264].clone(), photograph("ihc")[:, :32, :40].clone()


@pytest.fixture(scope="module")
def graph():
    return PortableStylizer(load_network(NETWORK), SIZE, STYLE_SIZE, "ot-projection").eval()


def test_onnxruntime_gives_the_picture_that_stylize_gives_by_default(pictures, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    cli.main(["export", str(tmp_path / "net.onnx"), "--size", "64", "48", "--style-size", "40", "32"])
    session = runtime.InferenceSession(tmp_path / "net.onnx")
    content, style = (p[None].numpy() for p in pictures)
    for alpha in (1.0, 0.8):
        (picture,) = session.run(None, {"content": content, "style": style, "strength": torch.tensor([alpha]).numpy()})
        apart = (torch.from_numpy(picture[0]) - Stylizer().stylize(*pictures, alpha=alpha)).abs()
        assert apart.mean() <= 1e-4
        assert apart.max() <= LEAST
    even = torch.full_like(pictures[0], 0.5)
    (picture,) = session.run(None, {"content": even[None].numpy(), "style": style, "strength": torch.ones(1).numpy()})
    assert (torch.from_numpy(picture[0]) - Stylizer().stylize(even, pictures[1])).abs().max() <= LEAST, "no grain"


def test_the_program_of_torch_gives_the_same_picture_by_the_projection_alone(pictures, tmp_path):
    network = load_network(Path("slim"))
    program = torch.export.load(export(network, tmp_path / "net.pt2", SIZE, STYLE_SIZE, "projection")).module()
    picture = program(*(p[None] for p in pictures), torch.tensor([0.8]))
    expected = Stylizer(network, transform="projection").stylize(*pictures, alpha=0.8)
    assert (picture[0] - expected).abs().max() <= 1e-5


@pytest.mark.parametrize("alpha", [0.0, 0.04, 0.06, 1.0])
def test_every_strength_gives_the_same_picture(pictures, graph, alpha):
    with torch.inference_mode():
        picture = graph(*(p[None] for p in pictures), torch.tensor([alpha]))[0]
    assert (picture - Stylizer(NETWORK).stylize(*pictures, alpha=alpha)).abs().max() <= 1e-4


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_what_is_of_one_colour_stays_as_even_as_in_the_stylizer(pictures, graph, grey):
    flat = pictures[0].clone()
    flat[:, :, :40] = grey
    whole = torch.full_like(flat, grey)
    with torch.inference_mode():
        for content in (flat, whole):
            picture = graph(content[None], pictures[1][None], torch.ones(1))[0]
            assert (picture - Stylizer(NETWORK).stylize(content, pictures[1])).abs().max() <= LEAST


def test_what_cannot_be_exported_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.onnx or \.pt2"):
        export(load_network(), tmp_path / "net.tflite", SIZE, STYLE_SIZE)
    with pytest.raises(InputError, match=r"65 x 48 pixels: sides must be multiples of"):
        export(load_network(), tmp_path / "net.pt2", (48, 65), STYLE_SIZE)
    assert not list(tmp_path.iterdir())
