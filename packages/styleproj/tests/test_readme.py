"""What the README shows runs as shown."""

import re
import shlex
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from claimkit.media.writing import VideoWriter
from claimkit.style.images import write_image
from styleproj.cli import main
from styleproj.samples import photograph

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(console|python)\n(.*?)```", README, re.DOTALL)
RECIPES = Path(__file__).parents[3] / "docs" / "styleproj" / "recipes.md"
(PICTURE,) = (body for kind, body in BLOCKS if kind == "python")
in_checkout = pytest.mark.skipif(not RECIPES.exists(), reason="the pages are no part of an sdist")


def recipe(word):
    """The first example of the recipes that has this word."""
    examples = re.findall(r"```python\n(.*?)```", RECIPES.read_text(encoding="utf-8"), re.DOTALL)
    return run(next(body for body in examples if word in body))


def run(code):
    """The names that an example leaves."""
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    return names


def test_a_picture():
    picture = run(PICTURE)["picture"]
    assert picture.shape == photograph("astronaut").shape
    assert 0 <= picture.min() < picture.max() <= 1


@in_checkout
def test_options():
    n = recipe("mask")
    for name in ("half", "between", "colours", "left", "parts", "style"):
        assert name in n
    assert all(n[name].shape == n["photo"].shape for name in ("half", "between", "colours", "left", "parts"))
    assert torch.equal(n["left"][..., 128:], n["photo"][..., 128:])  # "stays exactly what it is"
    assert len(n["frames"]) == 2


@in_checkout
def test_the_operator():
    n = recipe("StyleProjection")
    assert n["z"].shape == n["x"].shape
    assert torch.equal(n["x"].grad, torch.ones_like(n["x"]))  # straight through


@pytest.mark.slow
def test_commands(tmp_path, monkeypatch, capsys):
    """Every line of the console blocks but the installation, in a folder with the files that they name."""
    monkeypatch.chdir(tmp_path)
    photo, style = photograph("astronaut", 96), photograph("ihc", 96)
    for name, image in (("photo", photo), ("painting", style), ("other", photograph("flower", 96))):
        write_image(Path(f"{name}.jpg"), image)
    write_image(Path("photos/a.jpg"), photo)
    write_image(Path("styles/b.jpg"), style)
    write_image(Path("mask.png"), torch.ones_like(photo))
    with VideoWriter(Path("clip.mp4"), Fraction(25)) as writer:
        writer.write(photo)
    lines = [line for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]
    assert lines[0] == "pip install ./shared ./packages/styleproj"
    for line in lines[1:]:
        name, *arguments = shlex.split(line)
        assert name == "styleproj"
        main(arguments)
    made = {
        "photo-painting.jpg",
        "mixed.jpg",
        "broad.jpg",
        "masked.jpg",
        "styled.mp4",
        "styled/a-b.jpg",
    }
    assert all(Path(m).exists() for m in made)
