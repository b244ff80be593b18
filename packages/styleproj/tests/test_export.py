"""The exported graph gives what the network gives, in another runtime."""

from pathlib import Path

import pytest
import torch

from claimkit.errors import InputError
from styleproj import Stylizer, cli
from styleproj.networks.export import export
from styleproj.networks.weights import load_network
from styleproj.samples import photograph

SIZE, STYLE_SIZE = (48, 64), (32, 40)


@pytest.fixture(scope="module")
def pictures():
    return photograph("astronaut")[:, 100:148, 200:264].clone(), photograph("ihc")[:, :32, :40].clone()


@pytest.fixture(scope="module")
def expected(pictures):
    return Stylizer(Path("slim"), ties="stable", transform="projection", palette=False).stylize(*pictures, alpha=0.8)


def test_onnxruntime_gives_the_same_picture(pictures, expected, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    cli.main(["export", str(tmp_path / "net.onnx"), "--size", "64", "48", "--style-size", "40", "32"])
    session = runtime.InferenceSession(tmp_path / "net.onnx")
    content, style = (p[None].numpy() for p in pictures)
    (picture,) = session.run(None, {"content": content, "style": style, "strength": torch.tensor([0.8]).numpy()})
    assert (torch.from_numpy(picture[0]) - expected).abs().max() <= 1e-4


def test_the_program_of_torch_gives_the_same_picture(pictures, expected, tmp_path):
    program = torch.export.load(export(load_network(Path("slim")), tmp_path / "net.pt2", SIZE, STYLE_SIZE)).module()
    picture = program(*(p[None] for p in pictures), torch.tensor([0.8]))
    assert (picture[0] - expected).abs().max() <= 1e-5


def test_what_cannot_be_exported_is_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.onnx or \.pt2"):
        export(load_network(), tmp_path / "net.tflite", SIZE, STYLE_SIZE)
    with pytest.raises(InputError, match=r"65 x 48 pixels: sides must be multiples of"):
        export(load_network(), tmp_path / "net.pt2", (48, 65), STYLE_SIZE)
    assert not list(tmp_path.iterdir())
