"""What the README shows runs as shown."""

import re
import shlex
from fractions import Fraction
from pathlib import Path

import pytest

from claimkit.media.writing import VideoWriter
from claimkit.style.images import write_image
from photonet.cli import main
from photonet.samples import photograph

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(console|python)\n(.*?)```", README, re.DOTALL)
(PICTURE,) = (body for kind, body in BLOCKS if kind == "python")


def run(code):
    """The names that an example leaves."""
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_a_picture():
    picture = run(PICTURE)["picture"]
    assert picture.shape == photograph("china").shape
    assert 0 <= picture.min() < picture.max() <= 1


@pytest.mark.slow
def test_commands(tmp_path, monkeypatch):
    """Every line of the console blocks but the installation, in a folder with the files that they name."""
    monkeypatch.chdir(tmp_path)
    photo, style = photograph("china", 96), photograph("coffee", 96)
    for name, image in (("content", photo), ("style", style)):
        write_image(Path(f"{name}.jpg"), image)
        write_image(Path(f"{name}_seg.png"), (image.mean(0) > image.mean()).float().expand_as(image))
    write_image(Path("photos/a.jpg"), photo)
    write_image(Path("styles/b.jpg"), style)
    with VideoWriter(Path("clip.mp4"), Fraction(25)) as writer:
        writer.write(photo)
    lines = [line for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]
    assert lines[0] == "pip install ./shared ./packages/photonet"
    for line in lines[1:]:
        name, *arguments = shlex.split(line)
        assert name == "photonet"
        main(arguments)
    made = {"dusk.cube", "content-style.jpg", "regions.jpg", "styled.mp4", "lit/a-b.jpg", "network.png"}
    assert all(Path(m).exists() for m in made)
