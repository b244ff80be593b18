"""Looks that are kept: tables as other programs read them, their error, and rolls of photographs."""

from pathlib import Path

import av.filter
import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from claimkit import testing
from claimkit.errors import InputError
from claimkit.media.reading import read_picture
from claimkit.style.images import read_image, to_uint8, write_image
from photonet import PhotoStylizer
from photonet.cli import main
from photonet.look import Table
from photonet.samples import photograph


@pytest.fixture(scope="module")
def made():
    content, style = photograph("coffee", 96), photograph("rocket", 96)
    return content, PhotoStylizer(method="mk").stylize(content, style)


def swapped(size=5):
    """A table that gives red the blue, green the red and blue the green."""
    axis = torch.linspace(0, 1, size)
    blue, green, red = torch.meshgrid(axis, axis, axis, indexing="ij")
    return Table(torch.stack([blue, red, green], -1), name="swapped")


def test_a_table_is_looked_up_in_the_right_order_and_between_its_entries(tmp_path):
    picture = torch.rand(3, 12, 10)
    assert torch.allclose(swapped()(picture), picture[[2, 0, 1]], atol=1e-6)
    swapped().save(tmp_path / "s.cube")
    lines = (tmp_path / "s.cube").read_text().splitlines()
    assert lines[:2] == ['TITLE "swapped"', "LUT_3D_SIZE 5"] and len(lines) == 4 + 125
    assert [float(x) for x in lines[5].split()] == [0, 0.25, 0], "the second entry is a quarter of red"
    assert torch.allclose(Table.load(tmp_path / "s.cube")(picture), picture[[2, 0, 1]], atol=1e-6)


def test_pillow_reads_the_table_as_we_do(made, tmp_path):
    """Pillow takes entries in the order of a .cube file: red fastest."""
    content, result = made
    Table.fit(content, result, 17).save(tmp_path / "t.cube")
    rows = [line.split() for line in (tmp_path / "t.cube").read_text().splitlines()[4:]]
    theirs = ImageFilter.Color3DLUT(17, [float(x) for row in rows for x in row])
    image = np.asarray(Image.fromarray(to_uint8(content)).filter(theirs)).astype(int)
    assert np.abs(image - to_uint8(Table.load(tmp_path / "t.cube")(content)).astype(int)).max() <= 2


def test_a_look_of_colours_is_kept_within_two_levels(made):
    content, result = made
    mean, most, worst = Table.fit(content, result).error(content, result)
    assert mean <= most <= worst <= 2
    curved = (content**1.6 * 0.9).clamp(0, 1)  # no matrix: the table has to carry what an affine map leaves
    mean, most, worst = Table.fit(content, curved).error(content, curved)
    assert most < 2 and mean < 0.5


def test_what_is_no_map_of_colours_has_an_error(made):
    content, _ = made
    lit = content * torch.linspace(0.4, 1, content.shape[2])
    assert Table.fit(content, lit, 9).error(content, lit)[0] > 3


def test_a_hald_picture_holds_the_table(made):
    hald = swapped().hald(3)
    plain = Table(torch.stack(torch.meshgrid(*[torch.linspace(0, 1, 2)] * 3, indexing="ij")[::-1], -1)).hald(3)
    assert hald.shape == (3, 27, 27) and torch.allclose(hald, plain[[2, 0, 1]], atol=1e-6)
    assert torch.allclose(plain[:, 0, 1], torch.tensor([1 / 8, 0, 0])) and torch.allclose(
        plain[:, 0, 9], torch.tensor([0, 1 / 8, 0])
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("LUT_3D_SIZE 2\n0 0 0\n", "LUT_3D_SIZE 2, and 1 colours"),
        ("LUT_1D_SIZE 2\n0 0 0\n1 1 1\n", "one dimension"),
        ("LUT_3D_SIZE two\n", "no .cube table"),
        ("0 0\n", "no .cube table"),
        ("hello", "no whole .cube table"),
        ("LUT_3D_SIZE 2\n" + "nan 0 0\n" * 8, "no whole .cube table"),
        ("LUT_3D_SIZE 2\n" + "0 0 inf\n" * 8, "no whole .cube table"),
        ("LUT_3D_SIZE 2\nDOMAIN_MAX inf inf inf\n" + "0 0 1\n" * 8, "no whole .cube table"),
    ],
)
def test_what_is_no_table_is_one_sentence(text, said, tmp_path):
    (tmp_path / "x.cube").write_text(text)
    with pytest.raises(InputError, match=said):
        Table.load(tmp_path / "x.cube")


def test_tables_of_other_programs(tmp_path):
    """Comments, Windows lines, a byte-order mark, Resolve's input range, another domain."""
    body = "".join(f"{r} {g} {b}\r\n" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    (tmp_path / "x.cube").write_bytes(
        b"\xef\xbb\xbf" + f"# made elsewhere\r\nLUT_3D_SIZE 2\r\nLUT_3D_INPUT_RANGE 0.0 2.0\r\n{body}".encode()
    )
    assert torch.allclose(Table.load(tmp_path / "x.cube")(torch.full((3, 2, 2), 0.5)), torch.full((3, 2, 2), 0.25))


def test_make_and_apply(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call = testing.call
    write_image(Path("c.png"), photograph("coffee", 64))
    write_image(Path("s.png"), photograph("rocket", 64))
    for k in range(2):
        write_image(Path(f"roll/{k}.png"), photograph("coffee", 48))
    assert call(main, "look", "make", "c.png", "s.png", "--method", "mk", "--out", "looks/dusk") == 0
    assert "0.0 of 255 in the mean" in capsys.readouterr().out
    with Image.open("looks/dusk.png") as hald:
        assert hald.size == (512, 512)
    assert read_picture(Path("looks/dusk.png")).depth == 16
    wanted = PhotoStylizer(method="mk").stylize("roll/0.png", "s.png")
    for look in ("looks/dusk.cube", "looks/dusk.style"):
        assert call(main, "look", "apply", look, "roll", "--out", "lit", "--suffix", ".png") == 0
        assert (read_image(Path("lit/0-dusk.png")) - wanted).abs().mean() < 0.01
    assert call(main, "look", "apply", "looks/dusk.cube", "roll/0.png", "--out", "none.png", "--alpha", "0") == 0
    assert torch.equal(read_image(Path("none.png")), read_image(Path("roll/0.png")))
    assert call(main, "look", "make", "c.png", "s.png", "--network", "stylenas", "--out", "net", "--entries", "9") == 0
    assert "more than colours was changed" in capsys.readouterr().out
    assert call(main, "look", "apply", "net.style", "roll/0.png", "--out", "net.jpg") == 0, (
        "the network is found by the style"
    )
    capsys.readouterr()
    assert call(main, "look", "apply", "s.png", "roll") == 2
    assert "is no look" in capsys.readouterr().err


@pytest.mark.parametrize(
    "made",
    [
        ("--network", "photonas", "--transform", "adain"),
        ("--network", "stylenas", "--max-gain", "1.5"),
        ("--max-gain", "1.2"),
    ],
)
def test_a_kept_style_is_used_as_it_was_made(made, tmp_path, monkeypatch, capsys):
    """Its transform and its bound on gain are kept with it; its strength is not, which is said."""
    monkeypatch.chdir(tmp_path)
    write_image(Path("c.png"), photograph("coffee", 96) * 0.3 + 0.3)
    write_image(Path("s.png"), photograph("rocket", 64))
    assert (
        testing.call(main, "look", "make", "c.png", "s.png", "--out", "dusk", "--entries", "5", "--alpha", "0.5", *made) == 0
    )
    assert "dusk.style keeps no strength" in capsys.readouterr().err
    Path("dusk.style").rename("dusk.STYLE")
    assert testing.call(main, "look", "apply", "dusk.STYLE", "c.png", "--out", "kept.png") == 0
    for name, words in (("asked", made), ("plain", made[:2] if made[0] == "--network" else ())):
        assert testing.call(main, "transfer", "c.png", "s.png", "--out", f"{name}.png", *words) == 0
    kept, asked, plain = (read_image(Path(f"{n}.png")) for n in ("kept", "asked", "plain"))
    assert (kept - asked).abs().max() < 1.5 / 255 and (kept - plain).abs().max() > 5 / 255, "but for rounding to 8 bits"


@pytest.mark.skipif("lut3d" not in av.filter.filters_available, reason="this FFmpeg has no lut3d")
def test_ffmpeg_makes_the_same_of_the_table_as_we_do(tmp_path):
    """Its lut3d, trilinear, on bytes; it cuts where we round."""
    content = (photograph("coffee", 96) * 255).round()
    result = PhotoStylizer().stylize(content / 255, photograph("rocket", 96))
    table = Table.fit(content / 255, result, 17)
    table.save(tmp_path / "a.cube")
    frame = av.VideoFrame.from_ndarray(content.byte().permute(1, 2, 0).contiguous().numpy(), format="rgb24")
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format="rgb24", time_base="1/25")
    looked = graph.add("lut3d", f"file={tmp_path / 'a.cube'}:interp=trilinear")
    end = graph.add("buffersink")
    source.link_to(looked)
    looked.link_to(end)
    graph.configure()
    graph.push(frame)
    theirs = torch.from_numpy(graph.pull().to_ndarray(format="rgb24").copy()).permute(2, 0, 1)
    assert (theirs - 255 * table(content / 255)).abs().max() <= 1.01
    hald = table.hald(4).reshape(3, 16, 16, 16).permute(1, 2, 3, 0)  # read as darktable does: rows are blue, then green
    assert (Table(hald)(content / 255) - table(content / 255)).abs().max() < 0.01
