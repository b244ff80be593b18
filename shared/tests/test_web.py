"""What the page does with files, without the page."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from claimkit.errors import InputError
from claimkit.media import reading
from claimkit.media.colour.icc import adobe_rgb
from claimkit.style.web import Chosen, Desk, Painter

torch = pytest.importorskip("torch")
WORDS = ("add",)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def desk(calls):
    """The style's mean, added as far as the strength says."""

    def prepare(style, words, maps):
        calls.append("prepare")
        return style.rgb.mean()

    def begin(content, mean, words, maps):
        calls.append("begin")
        if min(content.pixels.shape[:2]) < 2:
            raise InputError("the content is 1 x 1 pixels: give a larger one")
        return lambda strength: content.rgb + strength * mean

    return Desk(Painter(prepare, begin, {"how": ("add", "subtract")}))


@pytest.fixture
def files(tmp_path):
    Image.new("RGB", (40, 10), (50, 60, 70)).save(tmp_path / "photo.png")
    Image.new("RGB", (8, 8), (100, 100, 100)).save(tmp_path / "painting.png")
    return tmp_path / "photo.png", tmp_path / "painting.png"


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_result_has_the_strength_that_was_asked_for_and_says_that_it_is_srgb(desk, files, tmp_path, suffix):
    assert desk.make(*files, tmp_path / f"out{suffix}", 0.5, Chosen(0, 0, WORDS)) == ()
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert image.size == (40, 10)
        assert np.abs(np.asarray(image).reshape(-1, 3).mean(0) - (100, 110, 120)).max() <= 1
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)


def test_a_strength_asks_for_no_second_look_and_a_choice_or_size_does(desk, files, calls, tmp_path):
    out = tmp_path / "out.png"
    for strength in (1, 0.5, 0):
        desk.make(*files, out, strength, Chosen(0, 0, WORDS))
    assert calls == ["prepare", "begin"]
    desk.make(*files, out, 1, Chosen(10, 0, WORDS))
    assert calls == ["prepare", "begin", "begin"]
    assert pixels_of(out).shape == (5, 20, 3)  # the area of 10 x 10
    desk.make(*files, out, 1, Chosen(10, 0, ("subtract",)))
    assert calls == ["prepare", "begin", "begin", "prepare", "begin"]


def test_while_the_slider_moves_a_quick_picture_is_asked_for(files, tmp_path):
    def begin(content, prepared, words, maps):
        return lambda strength, quick=False: torch.full_like(content.rgb, 0.2 if quick else strength)

    desk = Desk(Painter(lambda style, words, maps: None, begin, {"how": ("add",)}, quick=True))
    shown = []
    for quick in (True, False):
        desk.make(*files, tmp_path / "out.png", 0.8, Chosen(0, 0, WORDS), quick)
        shown.append(pixels_of(tmp_path / "out.png").mean() / 255)
    assert shown == pytest.approx([0.2, 0.8], abs=0.01)


def test_a_mask_is_handed_on_looked_at_once_and_named_as_the_user_named_it(files, tmp_path):
    asked = []

    def begin(content, prepared, words, maps):
        asked.append(maps)
        if maps[0] is not None and maps[0].name == "wide.png":
            raise InputError(f"the mask {maps[0]} is 9 x 9 pixels, its picture 40 x 10")
        return lambda strength: content.rgb

    desk = Desk(Painter(lambda style, words, maps: None, begin, {"how": WORDS}, ("mask", "regions")))
    mask, wide = tmp_path / "mask.png", tmp_path / "wide.png"
    for maps in ((None, None), (mask, None), (mask, None)):
        desk.make(*files, tmp_path / "out.png", 1, Chosen(0, 0, WORDS, maps))
    assert asked == [(None, None), (mask, None)]
    with pytest.raises(InputError, match=r"^the mask wide\.png is 9 x 9 pixels"):
        desk.make(*files, tmp_path / "out.png", 1, Chosen(0, 0, WORDS, (wide, None)))


def test_colours_are_read_as_their_profile_says(desk, files, tmp_path):
    Image.new("RGB", (8, 8), (50, 200, 60)).save(tmp_path / "adobe.png", icc_profile=adobe_rgb())
    desk.make(tmp_path / "adobe.png", files[1], tmp_path / "out.png", 0, Chosen(0, 0, WORDS))
    assert pixels_of(tmp_path / "out.png")[3, 3, 0] == 0  # that green is outside sRGB


def test_what_is_transparent_stays_as_it_was(desk, files, tmp_path):
    pixels = np.full((8, 8, 4), 80, np.uint8)
    pixels[:4, :, 3], pixels[4:, :, 3] = 255, 0
    Image.fromarray(pixels).save(tmp_path / "half.png")
    desk.make(tmp_path / "half.png", files[1], tmp_path / "out.png", 1, Chosen(0, 0, WORDS))
    out = pixels_of(tmp_path / "out.png")
    assert (out[4:] == pixels[4:]).all()
    assert (out[:4, :, :3] == 180).all()


def test_what_was_lost_is_said(desk, files, tmp_path):
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    (said,) = desk.make(tmp_path / "moving.gif", files[1], tmp_path / "out.png", 1, Chosen(0, 0, WORDS))
    assert "moving.gif holds 2 pictures: the first is taken" in said


@pytest.mark.parametrize("place", ["content", "style"])
@pytest.mark.parametrize(
    ("name", "held", "sentence"),
    [
        (
            "phone.heic",
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
            "phone.heic is no JPEG, PNG or the like: a HEIC picture needs",
        ),
        ("notes.jpg", b"Dear diary", "notes.jpg is no picture that can be read, or it is damaged"),
        ("empty.png", b"", "empty.png is empty: give a picture"),
    ],
)
def test_a_file_that_is_no_picture_is_named_as_the_user_named_it(
    desk, files, tmp_path, monkeypatch, place, name, held, sentence
):
    monkeypatch.setattr(reading, "has_plugin", lambda suffix: False)
    (tmp_path / name).write_bytes(held)
    pair = (tmp_path / name, files[1]) if place == "content" else (files[0], tmp_path / name)
    with pytest.raises(InputError) as error:
        desk.make(*pair, tmp_path / "out.png", 1, Chosen(0, 0, WORDS))
    assert str(error.value).startswith(sentence)
    assert str(tmp_path) not in str(error.value)
    assert not (tmp_path / "out.png").exists()


def test_a_picture_that_cannot_be_worked_on_is_named(desk, files, tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    with pytest.raises(InputError, match=r"^dot.png: the content is 1 x 1 pixels"):
        desk.make(tmp_path / "dot.png", files[1], tmp_path / "out.png", 1, Chosen(0, 0, WORDS))
