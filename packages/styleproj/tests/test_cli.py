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
from claimkit.media.colour import icc
from claimkit.media.policy import has_plugin
from claimkit.media.reading import read_picture
from claimkit.media.writing import VideoWriter
from claimkit.style.images import read_image, to_uint8, write_image
from styleproj.cli import main
from styleproj.networks.weights import save_network, weights_file
from styleproj.pictures.stylizer import Stylizer

call = partial(testing.call, main)


def picture(height=40, width=56, seed=0):
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, network):
    """A folder with a few pictures and a small network."""
    monkeypatch.chdir(tmp_path)
    save_network(network, Path("m.safetensors"))
    for i, name in enumerate(("photo", "other")):
        write_image(Path(f"photos/{name}.png"), picture(seed=i))
        write_image(Path(f"styles/style{i}.png"), picture(30 + i, 44, seed=10 + i))
    write_image(Path("mask.png"), torch.cat([torch.ones(3, 40, 28), torch.zeros(3, 40, 28)], 2))
    return tmp_path


MODEL = ("--model", "m.safetensors", "--suffix", ".png")
PHOTO, STYLE = "photos/photo.png", "styles/style0.png"


def test_one_picture(capsys):
    assert call("stylize", PHOTO, STYLE, "--model", "m.safetensors") == 0
    assert capsys.readouterr().out == "photo-style0.jpg\n"
    assert read_image(Path("photo-style0.jpg")).shape == (3, 40, 56)
    assert call("stylize", PHOTO, STYLE, "--out", "deep/er/y.png", "--alpha", "0.5", *MODEL) == 0
    assert Path("deep/er/y.png").exists()


def test_the_transform_and_the_bound_on_colours_are_options():
    made = []
    for options in ([], ["--transform", "projection"], ["--max-gain", "inf"]):
        name = f"{len(made)}.png"
        assert call("stylize", PHOTO, STYLE, "--out", name, *options, *MODEL) == 0
        made.append(Path(name).read_bytes())
    assert len(set(made)) == 3


def test_the_weights_before_have_a_name():
    before = ("--model", "slim", "--transform", "projection", "--max-gain", "inf")
    assert call("stylize", PHOTO, STYLE, "--out", "before.png", *before) == 0
    wanted = Stylizer(weights_file("slim"), transform="projection", max_gain=float("inf")).stylize(Path(PHOTO), Path(STYLE))
    torch.testing.assert_close(read_image(Path("before.png")), wanted, atol=2 / 255, rtol=0)
    assert (wanted - Stylizer().stylize(Path(PHOTO), Path(STYLE))).abs().mean() > 0.01


def test_strokes_and_detail_are_those_of_the_library():
    argv = ("stylize", PHOTO, STYLE, "--out", "y.png", "--stroke", "16", "--keep-detail", "0.5", *MODEL)
    assert call(*argv) == 0
    stylizer = Stylizer(Path("m.safetensors"))
    wanted = stylizer.stylize(Path(PHOTO), Path(STYLE), stroke=16, keep_detail=0.5)
    torch.testing.assert_close(read_image(Path("y.png")), wanted, atol=2 / 255, rtol=0)


def test_folders_all_pairs_and_matched():
    assert call("stylize", "photos", "styles", "--out", "all", *MODEL) == 0
    assert sorted(p.name for p in Path("all").iterdir()) == [
        "other-style0.png",
        "other-style1.png",
        "photo-style0.png",
        "photo-style1.png",
    ]
    assert call("stylize", "photos", "styles", "--out", "two", "--pairs", "matched", *MODEL) == 0
    assert sorted(p.name for p in Path("two").iterdir()) == ["other-style0.png", "photo-style1.png"]
    assert Path("two/other-style0.png").read_bytes() == Path("all/other-style0.png").read_bytes()


def test_a_mix_is_one_picture():
    assert call("stylize", PHOTO, STYLE, "styles/style1.png", "--mix", "1", "0", "--out", "mix", *MODEL) == 0
    assert call("stylize", PHOTO, STYLE, "--out", "one.png", *MODEL) == 0
    assert Path("mix/photo-style0-style1.png").read_bytes() == Path("one.png").read_bytes()


def test_masks_labels_and_colours():
    assert call("stylize", PHOTO, STYLE, "--mask", "mask.png", "--out", "m.png", *MODEL) == 0
    result, content = read_image(Path("m.png")), read_image(Path(PHOTO))
    assert torch.equal(result[:, :, 28:], content[:, :, 28:]) and not torch.equal(result, content)
    assert call("stylize", PHOTO, STYLE, "styles/style1.png", "--labels", "mask.png", "--out", "l.png", *MODEL) == 0
    assert call("stylize", PHOTO, "photos/other.png", "--labels", "mask.png", "--style-labels", "mask.png", *MODEL) == 0
    assert call("stylize", PHOTO, "photos/other.png", "--style-mask", "mask.png", "--out", "s.png", *MODEL) == 0
    assert call("stylize", PHOTO, STYLE, "--colour", "luminance", "--out", "y.png", *MODEL) == 0
    assert call("stylize", PHOTO, STYLE, "--colour", "coral", "--out", "c.png", *MODEL) == 0
    assert len({p.read_bytes() for p in Path().glob("?.png")}) == 5


def test_sizes_and_transparency():
    write_image(Path("big.png"), picture(150, 300), torch.linspace(0, 1, 300).expand(150, 300))
    assert call("stylize", "big.png", STYLE, "--size", "100", "--style-size", "20", "--out", "s.png", *MODEL) == 0
    with Image.open("s.png") as made:
        assert made.size == (141, 71) and made.mode == "RGBA", "100 x 100 pixels in the shape of 2 to 1"
        alpha = np.asarray(made)[35, :, 3].astype(int)
    assert (np.diff(alpha) >= 0).all() and alpha[-1] > 240
    assert call("stylize", "big.png", STYLE, "--size", "0", "--tile", "64", "--out", "b.png", *MODEL) == 0
    assert read_image(Path("b.png")).shape == (3, 150, 300)


def test_what_is_transparent_counts_neither_in_a_content_nor_in_a_style():
    """Whatever lies under transparency, the result is the same, and what is transparent stays as it is."""
    hidden = torch.cat([torch.zeros(40, 28), torch.ones(40, 28)], 1)
    for name in (PHOTO, "photos/other.png"):
        seen = read_image(Path(name))
        write_image(Path(f"half-{Path(name).name}"), seen, hidden)
        write_image(Path(f"black-{Path(name).name}"), seen * hidden, hidden)
    for out, content, style in (
        ("a", "half-photo.png", STYLE),
        ("b", "black-photo.png", STYLE),
        ("c", PHOTO, "half-other.png"),
        ("d", PHOTO, "black-other.png"),
        ("e", PHOTO, "photos/other.png"),
    ):
        assert call("stylize", content, style, "--out", f"{out}.png", *MODEL) == 0
    made = {n: read_picture(Path(f"{n}.png")) for n in "abcde"}
    assert torch.equal(made["a"].rgb[:, :, :28], read_image(Path(PHOTO))[:, :, :28]), "what is transparent was styled"
    assert torch.equal(made["a"].alpha, hidden)
    assert torch.equal(made["a"].rgb[:, :, 28:], made["b"].rgb[:, :, 28:]), "what is hidden counted in the content"
    assert torch.equal(made["c"].rgb, made["d"].rgb), "what is hidden counted in the style"
    assert not torch.equal(made["c"].rgb, made["e"].rgb), "the whole style was taken"
    write_image(Path("nothing.png"), picture(40, 56), torch.zeros(40, 56))
    assert call("stylize", PHOTO, "nothing.png", *MODEL) == 2


def test_files_are_never_mixed_up_or_replaced(capsys):
    Path("many").mkdir()
    write_image(Path("many/a.png"), picture(40, 56, seed=1))
    write_image(Path("many/a.jpg"), picture(40, 56, seed=2))
    Path("many/phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    Path("many/shot.nef").write_bytes(b"raw")
    Path("many/notes.txt").touch()
    damaged = 2 if has_plugin(".heic") else 0  # without the plugin it is skipped, with it found to be no picture
    assert call("stylize", "many", STYLE, "--out", "out", *MODEL) == damaged
    assert sorted(p.name for p in Path("out").iterdir()) == ["a.jpg-style0.png", "a.png-style0.png"]
    said = capsys.readouterr().err
    assert all(word in said for word in ("shot.nef", "raw file", "1 .txt")) and ("phone.heic" in said)
    before = {p: p.read_bytes() for p in Path("many").iterdir()}
    Path("same.png").symlink_to("many/a.png")
    for out in ("many/a.png", "same.png", "many/../many/a.png"):
        assert call("stylize", "many/a.png", STYLE, "--out", out, *MODEL) == 2
        assert "would replace the input" in capsys.readouterr().err
    assert call("stylize", "many/a.png", STYLE, "--mask", "mask.png", "--out", "mask.png", *MODEL) == 2
    assert {p: p.read_bytes() for p in Path("many").iterdir()} == before
    made = Path("out/a.jpg-style0.png").stat().st_mtime_ns
    assert call("stylize", "many", STYLE, "--out", "out", "--existing", "refuse", *MODEL) == 2
    assert call("stylize", "many", STYLE, "--out", "out", "--existing", "skip", *MODEL) == damaged
    assert "2 result(s) exist already" in capsys.readouterr().err
    assert Path("out/a.jpg-style0.png").stat().st_mtime_ns == made


def test_a_result_has_its_contents_meaning(capsys):
    profile, exif = icc.matrix_profile("P3", icc.PRIMARIES["Display P3"], icc.D65, None), Image.Exif()
    exif[33432], exif[0x0112] = "(c) she", 6
    Image.fromarray(np.asarray(to_uint8(picture(40, 56)))).save("p3.png", icc_profile=profile, exif=exif, dpi=(300, 300))
    for out, *more in (("s.png",), ("own.png", "--profile", "content"), ("bare.jpg", "--strip", "--quality", "70")):
        assert call("stylize", "p3.png", STYLE, "--out", out, "--model", "m.safetensors", *more) == 0
    with Image.open("s.png") as made, Image.open("own.png") as own, Image.open("bare.jpg") as bare:
        assert made.size == (40, 56) and made.getexif()[33432] == "(c) she" and round(made.info["dpi"][0]) == 300
        assert own.info["icc_profile"] == profile != made.info["icc_profile"]
        assert 33432 not in bare.getexif() and "icc_profile" in bare.info
    assert call("stylize", "p3.png", STYLE, "--out", "d.jpg", "--depth", "16", "--model", "m.safetensors") == 2
    assert ".jpg holds 8 bits" in capsys.readouterr().err
    assert call("stylize", "p3.png", STYLE, "--out", "d.tif", "--depth", "16", "--model", "m.safetensors") == 0
    assert read_picture(Path("d.tif")).depth == 16


def test_styles_are_cached_and_can_be_given_as_files():
    assert call("stylize", PHOTO, STYLE, "--cache", "cache", "--out", "a.png", *MODEL) == 0
    (kept,) = Path("cache").glob("*.style")
    assert call("stylize", PHOTO, kept, "--out", "b.png", *MODEL) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_a_bad_file_costs_only_its_own_pictures(capsys):
    Path("photos/bad.png").write_bytes(b"no picture")
    Path("photos/empty.jpg").write_bytes(b"")
    write_image(Path("photos/dot.png"), picture(1, 1))
    assert call("stylize", "photos", "styles", "--out", "out", *MODEL) == 2
    done = capsys.readouterr()
    assert len(list(Path("out").iterdir())) == 4 == done.out.count("\n")
    for name in ("bad.png", "empty.jpg", "dot"):
        assert any(name in line for line in done.err.splitlines()), name
    assert done.err.splitlines()[-1] == "styleproj: 6 of 10 pictures were not made, for the reasons above"


def test_a_bad_style_costs_only_its_own_pictures(capsys):
    Path("styles/bad.png").write_bytes(b"no picture")
    assert call("stylize", PHOTO, "styles", "--out", "out", *MODEL) == 2
    assert len(list(Path("out").iterdir())) == 2
    assert "bad.png" in capsys.readouterr().err


def clip(path, frames=4):
    with VideoWriter(path, Fraction(25)) as writer:
        for i in range(frames):
            writer.write(picture(48, 64, seed=3).roll(2 * i, 2))


def test_a_video_and_a_folder_of_frames(capsys):
    clip(Path("clip.mp4"))
    assert call("video", "clip.mp4", STYLE, "--out", "styled.mp4", "--model", "m.safetensors") == 0
    assert "4 frames" in capsys.readouterr().out
    frames = list(read_frames(Path("styled.mp4")))
    assert len(frames) == 4 and frames[0].pixels.shape == (48, 64, 3)
    assert call("video", "clip.mp4", STYLE, "--out", "frames", "--size", "32", "--model", "m.safetensors") == 0
    assert [p.name for p in sorted(Path("frames").iterdir())] == [f"{i:06d}.png" for i in range(4)]
    assert call("video", "frames", STYLE, "--out", "again.mkv", "--model", "m.safetensors") == 0
    assert len(list(read_frames(Path("again.mkv")))) == 4
    capsys.readouterr()
    assert call("video", "clip.mp4", STYLE, "--out", "steady.mp4", "--steady", "--model", "m.safetensors") == 0
    assert "flicker" in capsys.readouterr().out
    assert [f.pixels.tobytes() for f in read_frames(Path("steady.mp4"))] != [f.pixels.tobytes() for f in frames]


def test_frames_of_an_earlier_clip_are_not_taken_for_this_ones(capsys):
    for name, count in (("photos", 4), ("less", 2)):
        for i in range(count):
            write_image(Path(f"{name}/{i}.png"), picture(32, 32, seed=i))
    Path("photos/photo.png").unlink()
    Path("photos/other.png").unlink()
    model = ("--out", "out", "--model", "m.safetensors")
    assert call("video", "photos", STYLE, *model) == 0
    write_image(Path("out/mine.png"), picture(8, 8))
    assert call("video", "less", STYLE, *model, "--existing", "refuse") == 2
    assert "holds frames already" in capsys.readouterr().err
    assert call("video", "less", STYLE, *model, "--existing", "skip") == 0
    assert sorted(p.name for p in Path("out").iterdir()) == [*(f"{i:06d}.png" for i in range(4)), "mine.png"]
    assert call("video", "less", STYLE, *model) == 0
    assert sorted(p.name for p in Path("out").iterdir()) == ["000000.png", "000001.png", "mine.png"]


def test_training_resumes_and_gives_a_model():
    small = (
        "--out",
        "run",
        "--crop",
        "32",
        "--batch",
        "2",
        "--style-crops",
        "8",
        "--sample-every",
        "0",
        "--checkpoint-every",
        "1",
    )
    train = ("train", "--content", "photos", "--style", "styles", *small)
    for name in ("photos", "styles"):
        write_image(Path(f"{name}/large.png"), picture(64, 64))
    assert call(*train, "--steps", "1") == 0
    assert call(*train, "--steps", "2", "--resume") == 0
    assert call("stylize", PHOTO, STYLE, "--model", "run/network.safetensors", "--out", "y.png") == 0
    assert call(*train, "--steps", "2") == 2, "a finished run is not overwritten"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("stylize", "absent.jpg", STYLE), "absent.jpg"),
        (("stylize", PHOTO, "absent.jpg"), "absent.jpg"),
        (("stylize", PHOTO), "style"),
        (("stylize", PHOTO, STYLE, "--alpha", "3"), "outside"),
        (("stylize", PHOTO, STYLE, "--stroke", "0"), "stroke = 0.0"),
        (("stylize", PHOTO, STYLE, "--keep-detail", "-1"), "keep_detail = -1.0"),
        (("stylize", PHOTO, STYLE, "--mask", STYLE), "pixels"),
        (("stylize", PHOTO, STYLE, "--mix", "-1"), "weight"),
        (("stylize", PHOTO, STYLE, "--out", "y.xyz"), "xyz"),
        (("stylize", PHOTO, STYLE, "--tile", "7"), "multiple"),
        (("stylize", PHOTO, STYLE, "--size", "-5"), "expected a number of pixels"),
        (("stylize", PHOTO, "styles", "--out", "y.png"), "folder"),
        (("stylize", "photos", STYLE, "--pairs", "matched"), "matched"),
        (("stylize", "empty", STYLE), "empty"),
        (("stylize", PHOTO, STYLE, "--model", PHOTO), "network"),
        (("stylize", PHOTO, STYLE, "--model", "absent"), "absent"),
        (("stylize", PHOTO, STYLE, "--out", "/proc/none/y.png"), "/proc"),
        (("video", "absent.mp4", STYLE), "absent.mp4"),
        (("video", PHOTO + "x", STYLE), "does not exist"),
        (("video", "bad.mp4", STYLE), "bad.mp4"),
        (("video", "photos", STYLE, "--hdr", "keep"), "hdr = 'keep'"),
        (("video", "photos", STYLE, "--out", "y.xyz"), "xyz"),
        (("demo", "--out", "y.xyz"), "xyz"),
        (("demo", "--size", "1"), "64"),
        (("bench", "--size", "1"), "64"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(argv, sentence, capsys):
    Path("empty").mkdir()
    Path("bad.mp4").write_bytes(b"no video")
    before = sorted(Path().rglob("*"))
    model = () if "--model" in argv or argv[0] in ("demo", "bench") else ("--model", "m.safetensors")
    assert call(*argv, *model) == 2
    if argv[1:] != (PHOTO,):
        err = capsys.readouterr().err
        assert err.startswith("styleproj: ") and sentence in err and err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before, "something was left behind"


def test_a_full_disk_is_one_sentence(capsys, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("styleproj.pictures.batch.write_picture", full)
    assert call("stylize", PHOTO, STYLE, "--out", "y.png", *MODEL) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not Path("y.png").exists()


def test_help_is_quick_because_torch_is_not_imported():
    assert "demo" in testing.help_text("styleproj", "torch")


def test_cite_and_list(capsys):
    assert call("cite") == 0
    assert "2003.07694" in capsys.readouterr().out


@pytest.mark.slow
def test_the_shipped_network_makes_the_demo_and_the_benchmark(capsys):
    assert call("demo", "--size", "64") == 0
    assert read_image(Path("styleproj-demo.jpg")).shape == (3, 5 * 72, 5 * 72)
    assert call("bench", "--size", "64", "--rounds", "3") == 0
    assert "a second" in capsys.readouterr().out
