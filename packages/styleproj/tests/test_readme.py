"""What the README shows runs as shown."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch

from claimkit.media.writing import VideoWriter
from claimkit.style.images import write_image
from claimkit.testing import blocks, run_page
from styleproj.cli import main
from styleproj.samples import photograph

README = Path(__file__).parents[1] / "README.md"
RECIPES = Path(__file__).parents[3] / "docs" / "styleproj" / "recipes.md"
in_checkout = pytest.mark.skipif(not RECIPES.exists(), reason="the pages are no part of an sdist")


def recipe(word):
    """The names that the first example of the recipes with this word leaves."""
    names = {}
    exec(next(b.body for b in blocks(RECIPES) if b.kind == "python" and word in b.body), names)
    return names


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
def test_the_blocks(tmp_path, monkeypatch):
    """In turn, but for the installation, in a folder with the files that they name."""
    monkeypatch.chdir(tmp_path)
    photo, style = photograph("astronaut", 96), photograph("ihc", 96)
    for name, image in (("photo", photo), ("painting", style), ("other", photograph("flower", 96))):
        write_image(Path(f"{name}.jpg"), image)
    write_image(Path("photos/a.jpg"), photo)
    write_image(Path("styles/b.jpg"), style)
    write_image(Path("mask.png"), torch.ones_like(photo))
    with VideoWriter(Path("clip.mp4"), Fraction(25)) as writer:
        writer.write(photo)
    assert blocks(README)[0].body.startswith("pip install ./shared ./packages/styleproj\n")
    picture = run_page(README, "styleproj", main).names["picture"]
    assert picture.shape == photograph("astronaut").shape and 0 <= picture.min() < picture.max() <= 1
    made = {
        "photo-painting.jpg",
        "mixed.jpg",
        "styled.mp4",
        "styled/a-b.jpg",
    }
    assert all(Path(m).exists() for m in made)
