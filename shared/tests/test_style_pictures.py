import numpy as np
import pytest
import torch
from PIL import Image

from claimkit.errors import InputError
from claimkit.media.reading import read_picture
from claimkit.style.images import checked_image, fit, from_uint8, image_files, read_image, to_uint8, write_image
from claimkit.style.padding import crop, pad_to_multiple

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


@pytest.fixture
def two_pixels():
    """Red on the left, blue on the right; blocks of 16 pixels so that JPEG keeps them apart."""
    array = np.zeros((16, 32, 3), np.uint8)
    array[:, :16], array[:, 16:] = RED, BLUE
    return array


def test_every_mode_becomes_the_same_picture(tmp_path, two_pixels):
    for mode, suffix in (("RGB", "png"), ("P", "png"), ("CMYK", "tif"), ("RGBA", "png"), ("RGB", "bmp"), ("RGB", "webp")):
        path = tmp_path / f"{mode}.{suffix}"
        Image.fromarray(two_pixels).convert(mode).save(path, **({"lossless": True} if suffix == "webp" else {}))
        image = read_image(path)
        assert image.dtype == torch.float32 and image.shape == (3, 16, 32)
        assert torch.equal(image, from_uint8(two_pixels)), mode


def test_exif_orientation_is_applied(tmp_path, two_pixels):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned: show it rotated by 90 degrees clockwise
    Image.fromarray(two_pixels).save(tmp_path / "a.jpg", exif=exif, quality=95, subsampling=0)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (3, 32, 16)
    assert image[0, 0, 8] > 0.9 and image[2, -1, 8] > 0.9  # red above, blue below


@pytest.mark.parametrize("dtype, top", [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1.0)])
def test_grey_of_any_depth_keeps_its_range(tmp_path, dtype, top):
    ramp = (np.linspace(0, 1, 256)[None].repeat(4, 0) * top).astype(dtype)
    Image.fromarray(ramp).save(tmp_path / "a.tif")
    image = read_image(tmp_path / "a.tif")
    assert torch.allclose(image, torch.linspace(0, 1, 256).expand(3, 4, 256), atol=1 / 255)


def test_alpha_is_kept_and_laid_over_white(tmp_path):
    Image.fromarray(np.array([[[255, 0, 0, 255], [255, 0, 0, 51]]], np.uint8)).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.alpha is not None
    assert torch.allclose(picture.alpha, torch.tensor([[1.0, 0.2]]))
    assert torch.allclose(read_image(tmp_path / "a.png")[:, 0, 1], torch.tensor([1.0, 0.8, 0.8]))
    write_image(tmp_path / "b.png", picture.rgb, picture.alpha)
    again = read_picture(tmp_path / "b.png")
    assert torch.equal(again.rgb, picture.rgb) and again.alpha is not None and torch.equal(again.alpha, picture.alpha)


def test_bytes_survive_the_way_there_and_back(tmp_path):
    array = np.arange(256 * 3, dtype=np.uint8).reshape(16, 16, 3)
    assert np.array_equal(to_uint8(from_uint8(array)), array)
    write_image(tmp_path / "new" / "a.png", from_uint8(array) * 3 - 1)  # clamped
    assert read_image(tmp_path / "new" / "a.png").max() <= 1


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\xff\xd8\xff\xe0" + b"\0" * 100]
)
def test_what_is_no_picture_is_refused_in_one_sentence(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png is (no picture|empty)"):
        read_image(tmp_path / "a.png")


def test_a_truncated_picture_is_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    whole = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is no picture"):
        read_image(tmp_path / "a.jpg")


def test_missing_files_folders_and_odd_suffixes(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "a.png")
    with pytest.raises(InputError, match="is no folder"):
        image_files(tmp_path / "b")
    with pytest.raises(InputError, match="no pictures"):
        image_files(tmp_path)
    with pytest.raises(InputError, match="names no picture format"):
        write_image(tmp_path / "a.xyz", torch.zeros(3, 4, 4))
    assert not list(tmp_path.iterdir())


def test_image_files_are_sorted_and_only_pictures(tmp_path):
    for name in ("b.JPG", "a.png", "c.txt", ".hidden.png"):
        (tmp_path / name).touch()
    (tmp_path / "d.png").mkdir()
    assert [p.name for p in image_files(tmp_path)] == ["a.png", "b.JPG"]


def test_fit_shrinks_and_never_enlarges():
    image = torch.rand(3, 30, 60)
    assert fit(image, 20).shape == (3, 10, 20)
    assert fit(image, 60) is image
    assert fit(torch.rand(3, 1, 500), 10).shape == (3, 1, 10)
    assert torch.allclose(fit(torch.full((3, 30, 60), 0.25), 20), torch.tensor(0.25), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 3), (8, 16), (17, 33), (2, 100)])
def test_padding_mirrors_and_crops_back(size):
    image = torch.rand(1, 3, *size)
    padded = pad_to_multiple(image, 8)
    assert padded.shape[2] % 8 == padded.shape[3] % 8 == 0 and min(padded.shape[2:]) >= 16
    assert torch.equal(crop(padded, *size), image)
    if size == (17, 33):
        assert torch.equal(padded[..., 17, :33], image[..., 15, :])


def test_padding_leaves_what_fits_alone():
    image = torch.rand(1, 3, 16, 24)
    assert torch.equal(pad_to_multiple(image, 8), image)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (np.zeros((8, 9, 3), np.uint8), "the content is a ndarray: expected a file, or a tensor"),
        (Image.new("RGB", (9, 8)), "the content is a Image: expected a file, or a tensor"),
        (torch.full((3, 8, 9), 255.0), r"values from 255 to 255: expected \[0, 1\]; divide bytes by 255"),
        ((torch.rand(3, 8, 9) - 0.45) / 0.225, r"values from -[12].* expected \[0, 1\]"),
        (torch.zeros(3, 8, 9, dtype=torch.uint8), r"of torch\.uint8: expected \(3, height, width\)"),
        (torch.zeros(8, 9, 3), "expected"),
        (torch.zeros(1, 3, 8, 9), r"shape \(1, 3, 8, 9\)"),
    ],
)
def test_what_people_take_for_a_picture_is_refused_in_one_sentence(given, sentence):
    with pytest.raises(InputError, match=sentence):
        checked_image(given, "the content")


def test_a_picture_a_little_beyond_its_range_is_taken():
    image = torch.rand(3, 8, 9, dtype=torch.float64) * 1.8 - 0.4
    assert torch.equal(checked_image(image, "the content"), image.float())
