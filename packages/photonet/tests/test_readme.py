"""What the README shows runs as shown."""

from fractions import Fraction
from pathlib import Path

import pytest

from claimkit.media.writing import VideoWriter
from claimkit.style.images import write_image
from claimkit.testing import blocks, run_page
from photonet.cli import main
from photonet.samples import photograph

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_the_blocks(tmp_path, monkeypatch):
    """In turn, but for the installation, in a folder with the files that they name."""
    monkeypatch.chdir(tmp_path)
    photo, style = photograph("china", 96), photograph("coffee", 96)
    for name, image in (("content", photo), ("style", style)):
        write_image(Path(f"{name}.jpg"), image)
        write_image(Path(f"{name}_seg.png"), (image.mean(0) > image.mean()).float().expand_as(image))
    write_image(Path("photos/a.jpg"), photo)
    write_image(Path("styles/b.jpg"), style)
    with VideoWriter(Path("clip.mp4"), Fraction(25)) as writer:
        writer.write(photo)
    assert blocks(README)[0].body.startswith("pip install ./shared ./packages/photonet\n")
    picture = run_page(README, "photonet", main).names["picture"]
    assert picture.shape == photograph("china").shape and 0 <= picture.min() < picture.max() <= 1
    made = {"dusk.cube", "content-style.jpg", "regions.jpg", "styled.mp4", "lit/a-b.jpg", "network.png"}
    assert all(Path(m).exists() for m in made)
