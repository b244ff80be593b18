"""Every verb end to end on files; what cannot be used is one sentence and exit code 2, and costs nothing else."""

from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from claimkit import testing
from claimkit.media.clip import read_frames
from claimkit.media.reading import read_picture
from claimkit.media.writing import VideoWriter
from claimkit.style.images import read_image, to_uint8, write_image
from photonet.cli import main
from photonet.look import Table
from photonet.weights import save_networks

call = partial(testing.call, main)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, network, picture):
    """A folder with a few pictures and two small networks."""
    monkeypatch.chdir(tmp_path)
    nets = {n: network(n) for n in ("photonet", "photonas")}
    save_networks(nets["photonet"].encoder, {n: net.decoder for n, net in nets.items()}, Path("m.safetensors"))
    for i, name in enumerate(("dawn", "noon")):
        write_image(Path(f"photos/{name}.png"), picture(40, 56, seed=i)[0])
        write_image(Path(f"styles/style{i}.png"), picture(34, 44, seed=10 + i)[0])
    halves = torch.zeros(3, 40, 56)
    halves[:, :, 28:] = 1
    write_image(Path("seg.png"), halves)
    write_image(Path("style_seg.png"), halves[:, :34, 8:52])
    return tmp_path


MODEL = ("--model", "m.safetensors")
PHOTO, STYLE = "photos/dawn.png", "styles/style0.png"


def test_one_picture(capsys):
    assert call("transfer", PHOTO, STYLE, *MODEL) == 0
    assert capsys.readouterr().out == "dawn-style0.jpg\n"
    assert read_image(Path("dawn-style0.jpg")).shape == (3, 40, 56)
    assert call("transfer", PHOTO, STYLE, "--out", "a/b/y.png", "--network", "photonas", "--transform", "ot", *MODEL) == 0
    assert call("transfer", PHOTO, STYLE, "--out", "a0.png", "--alpha", "0.2", "--size", "32", *MODEL) == 0
    assert read_image(Path("a0.png")).shape == (3, 27, 38)


def test_folders_all_pairs_and_matched():
    assert call("transfer", "photos", "styles", "--out", "all", "--suffix", ".png", *MODEL) == 0
    made = sorted(p.name for p in Path("all").iterdir())
    assert made == ["dawn-style0.png", "dawn-style1.png", "noon-style0.png", "noon-style1.png"]
    assert call("transfer", "photos", "styles", "--out", "two", "--pairs", "matched", "--suffix", ".png", *MODEL) == 0
    assert sorted(p.name for p in Path("two").iterdir()) == ["dawn-style0.png", "noon-style1.png"]
    assert Path("two/noon-style1.png").read_bytes() == Path("all/noon-style1.png").read_bytes()


def test_segmentations(capsys):
    seg = ("--labels", "seg.png", "--style-labels", "style_seg.png")
    former = ("--content-seg", "seg.png", "--style_seg=style_seg.png")
    assert call("transfer", PHOTO, STYLE, "--out", "seg_out.png", *seg, *MODEL) == 0
    assert call("transfer", PHOTO, STYLE, "--out", "whole.png", *MODEL) == 0
    assert Path("seg_out.png").read_bytes() != Path("whole.png").read_bytes()
    assert call("transfer", PHOTO, STYLE, "--out", "small.png", "--size", "32", *seg, *MODEL) == 0
    capsys.readouterr()
    assert call("transfer", PHOTO, STYLE, "--out", "former.png", *former, *MODEL) == 0
    assert "--content-seg is called --labels now" in capsys.readouterr().err
    assert Path("seg_out.png").read_bytes() == Path("former.png").read_bytes()


def test_transparency_stays():
    with Image.open(PHOTO) as opened:
        opened.putalpha(120)
        opened.save("clear.png")
    assert call("transfer", "clear.png", STYLE, "--out", "r.png", *MODEL) == 0
    with Image.open("r.png") as made:
        assert made.mode == "RGBA" and made.getpixel((3, 3))[3] == 120


def test_what_is_hidden_counts_nowhere_and_files_keep_their_meaning(picture, capsys):
    hidden = torch.cat([torch.zeros(40, 28), torch.ones(40, 28)], 1)
    for name, rgb in (("half", read_image(Path(PHOTO))), ("black", read_image(Path(PHOTO)) * hidden)):
        write_image(Path(f"{name}.png"), rgb, hidden)
        assert call("transfer", f"{name}.png", STYLE, "--out", f"{name}-c.png", *MODEL) == 0
        assert call("transfer", PHOTO, f"{name}.png", "--out", f"{name}-s.png", *MODEL) == 0
    made = {n: read_picture(Path(f"{n}.png")).rgb for n in ("half-c", "black-c", "half-s", "black-s")}
    assert torch.equal(made["half-c"][:, :, 28:], made["black-c"][:, :, 28:]) and torch.equal(
        made["half-s"], made["black-s"]
    )
    assert torch.equal(made["half-c"][:, :, :28], read_image(Path(PHOTO))[:, :, :28])
    Path("two").mkdir()
    exif = Image.Exif()
    exif[33432] = "(c) she"
    for suffix in ("png", "jpg"):
        Image.fromarray(np.asarray(to_uint8(picture(40, 56)[0]))).save(f"two/a.{suffix}", exif=exif, dpi=(300, 300))
    assert call("transfer", "two", STYLE, "--out", "out", *MODEL) == 0
    assert sorted(p.name for p in Path("out").iterdir()) == ["a.jpg-style0.jpg", "a.png-style0.jpg"]
    with Image.open("out/a.png-style0.jpg") as made:
        assert made.getexif()[33432] == "(c) she" and made.info["dpi"] == (300, 300) and "icc_profile" in made.info
    before = Path("two/a.png").read_bytes()
    assert call("transfer", "two/a.png", STYLE, "--out", "two/a.png", *MODEL) == 2
    assert "would replace the input" in capsys.readouterr().err and Path("two/a.png").read_bytes() == before


def test_a_bad_file_costs_its_own_pictures_only(capsys):
    Path("photos/broken.jpg").write_bytes(b"no picture")
    assert call("transfer", "photos", STYLE, "--out", "o", *MODEL) == 2
    err = capsys.readouterr().err
    assert "broken.jpg" in err and "1 of 3 pictures were not made" in err
    assert len(list(Path("o").iterdir())) == 2


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("transfer", "absent.jpg", STYLE), "absent.jpg"),
        (("transfer", PHOTO, STYLE, "--network", "0101"), "4 characters"),
        (("transfer", PHOTO, STYLE, "--network", "0" * 32), "weights for photonet, photonas"),
        (("transfer", PHOTO, STYLE, "--alpha", "-1"), "outside [0, 1]"),
        (("transfer", PHOTO, STYLE, "--labels", "seg.png"), "the other way round"),
        (
            ("transfer", PHOTO, STYLE, "--labels", "seg.png", "--style-labels", "seg.png"),
            "the style 44 x 34",
        ),
        (("transfer", "photos", STYLE, "--labels", "seg.png", "--style-labels", "seg.png"), "one content and one style"),
        (("transfer", "photos", STYLE, "--out", "one.jpg"), "give --out a folder"),
        (("transfer", PHOTO, STYLE, "--out", "x.nope"), "suffix"),
        (("video", "absent.mp4", STYLE), "absent.mp4"),
        (("video", "photos", STYLE, "--memory", "1"), "memory"),
        (("video", "photos", STYLE, "--hdr", "keep"), "hdr = 'keep'"),
    ],
)
def test_bad_input_is_one_sentence(argv, said, capsys):
    assert call(*argv, *MODEL) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and err.startswith("photonet: ")
    assert not list(Path().glob("*.jpg"))


def test_a_video_and_a_folder_of_frames(picture, capsys):
    with VideoWriter(Path("clip.mp4"), Fraction(10)) as writer:
        for k in range(4):
            writer.write(picture(32, 48, seed=k // 2)[0])
    assert call("video", "clip.mp4", STYLE, *MODEL) == 0
    assert "4 frames" in capsys.readouterr().out
    assert len(list(read_frames(Path("styled.mp4")))) == 4
    assert call("video", "photos", STYLE, "--out", "frames", "--size", "40", *MODEL) == 0
    assert len(list(Path("frames").iterdir())) == 2
    Table(torch.ones(2, 2, 2, 3)).save(Path("white.cube"))  # a table can be made for HDR: it may be kept then
    assert call("video", "clip.mp4", "white.cube", "--hdr", "keep", *MODEL) == 0
    assert next(read_frames(Path("styled.mp4"))).rgb.min() > 0.97
    assert call("video", "clip.mp4", "white.cube", "--hdr", "keep", "--out", "folder", *MODEL) == 2
    assert "pictures are written as SDR" in capsys.readouterr().err and not Path("folder").exists()


def test_train_makes_a_model(picture):
    for k in range(2):
        write_image(Path(f"many/{k}.png"), picture(64, 64, seed=k)[0])
    small = ("--steps", 2, "--batch", 1, "--crop", 32, "--out", "run", "--networks", "photonas", "1" * 32)
    assert call("train", "--content", "many", *small) == 0
    assert call("transfer", PHOTO, STYLE, "--network", "photonas", "--model", "run/network.safetensors") == 0
    assert call("train", "--content", "many", *small) == 2  # it would overwrite a run


def test_describe(capsys):
    assert call("describe", "photonas", "--picture", "net.png") == 0
    out = capsys.readouterr().out
    assert "transfer on f1" in out and "01010000000100000000000000001111: 7 operators" in out and "GMACs" in out
    assert read_image(Path("net.png")).shape[0] == 3
    assert call("describe", "0" * 31) == 2
    assert "31 characters" in capsys.readouterr().err
    assert call("describe", "1" * 32, "--size", "20") == 2


def test_demo_and_common_verbs(capsys):
    assert call("demo", "--size", "64") == 0
    assert read_image(Path("photonet-demo.jpg")).shape[0] == 3
    assert call("demo", "--out", "x.txt") == 2
    assert call("cite") == 0
    assert "1907.03118" in capsys.readouterr().out
    assert call("bench", "--size", "64", "--rounds", "3") == 0
    assert "lazy, style kept" in capsys.readouterr().out


def test_help_is_quick_because_torch_is_not_imported():
    assert "demo" in testing.help_text("photonet", "torch")
