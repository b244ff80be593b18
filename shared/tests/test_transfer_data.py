"""Image sets: arrays, folders, torchvision; crops and mirror images; splits of a seed."""

import numpy as np
import pytest
import torch
from PIL import Image

from claimkit.errors import InputError
from claimkit.transfer import data
from claimkit.transfer.data import Images, View, from_arrays, from_folder, from_torchvision
from claimkit.transfer.tasks import carve


@pytest.fixture
def folder(tmp_path):
    """Two classes of plain colour, three images each, of different sizes."""
    for name, colour in (("ants", (200, 0, 0)), ("bees", (0, 0, 200))):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (20 + i, 30), colour).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_arrays_of_any_layout_are_the_same_images():
    x = np.arange(2 * 5 * 4 * 3, dtype=np.uint8).reshape(2, 5, 4, 3)
    last = from_arrays(x, [0, 1])
    first = from_arrays(x.transpose(0, 3, 1, 2), [0, 1])
    assert last.x.dtype == torch.uint8 and torch.equal(last.x, first.x)
    assert from_arrays(np.zeros((4, 8, 8)), [0, 1, 2, 0]).x.shape == (4, 1, 8, 8)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, bool])
def test_whole_numbers_that_are_no_bytes_have_no_known_scale(dtype):
    """Pixels 0..255 as int64, as a list of lists gives them, were normalised as if 255 were 255 times white."""
    with pytest.raises(InputError, match="have no known scale: give uint8"):
        from_arrays(np.ones((2, 4, 4), dtype), [0, 1])


def test_parts_of_a_split_have_one_class_a_number():
    """A test folder without the first class scored every picture against the class beside its own."""
    train, test = (from_arrays(np.zeros((4, 8, 8)), [0, 1, 0, 1], names) for names in ("abc", "bc"))
    with pytest.raises(InputError, match="number other classes: 'a' here, 'b' there"):
        carve(train.only([0, 1]), test, 0)
    assert len(carve(train.only([0, 1]), from_arrays(np.zeros((2, 8, 8)), [0, 1], "abc"), 0).test) == 2


def test_only_renumbers_the_classes_in_the_order_given():
    images = from_arrays(np.arange(6)[:, None, None] * np.ones((6, 2, 2)), [0, 1, 2, 0, 1, 2], "abc")
    chosen = images.only([2, 0])
    assert chosen.classes == ("c", "a")
    assert chosen.y.tolist() == [1, 0, 1, 0] and chosen.x[:, 0, 0, 0].tolist() == [0, 2, 3, 5]


def test_a_folder_is_decoded_and_resized(folder):
    images = from_folder(folder, 16)
    assert images.classes == ("ants", "bees") and images.x.shape == (6, 3, 16, 16)
    assert images.y.tolist() == [0, 0, 0, 1, 1, 1]
    assert (images.x[:3, 0] == 200).all() and (images.x[3:, 2] == 200).all() and (images.x[:, 1] == 0).all()


def test_unreadable_files_are_named_or_left_out(folder):
    (folder / "bees" / "1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"cannot read bees/1\.png: repair"):
        from_folder(folder, 16)
    assert from_folder(folder, 16, "skip").y.tolist() == [0, 0, 0, 1, 1]


def test_folders_that_cannot_be_classified_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        from_folder(tmp_path / "nowhere", 16)
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no image"):
        from_folder(folder, 16)
    (folder / "empty").rmdir()
    for i in range(3):
        (folder / "bees" / f"{i}.png").unlink()
    (folder / "bees").rmdir()
    with pytest.raises(InputError, match=r"has 1 class folder\(s\)"):
        from_folder(folder, 16)


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (np.zeros((3, 2, 2)), [0, 1], "labels"),
        (np.zeros((3, 2, 2)), [0, 0, 0], "at least two"),
        (np.zeros((3, 2, 2)), [-1, 0, 1], r"labels must be 0\.\.1"),
        (np.zeros((3, 2)), [0, 1, 1], "expected images"),
        (np.zeros((3, 2, 2)), [0, 1.5, 1], "labels must be whole numbers"),
        (np.zeros((3, 2, 2)), [0, np.nan, 1], "labels must be whole numbers"),
        (np.zeros((3, 2, 2)), ["ant", "bee", "ant"], "return_inverse=True"),
        (np.full((3, 2, 2), np.nan), [0, 1, 1], "pixels are not finite"),
    ],
)
def test_arrays_that_are_no_labelled_images_are_refused(x, y, sentence):
    with pytest.raises(InputError, match=sentence):
        from_arrays(x, y)


def test_pictures_are_turned_as_the_camera_noted(folder):
    lying = np.zeros((16, 32, 3), np.uint8)
    lying[:, :16] = 200  # a phone held upright stores the picture on its side: its left is the bottom
    noted = Image.Exif()
    noted[0x0112] = 8
    Image.fromarray(lying).save(folder / "ants" / "phone.jpg", exif=noted)
    x = from_folder(folder, 16).x[3].float()
    assert (x[:, :6] < 20).all() and (x[:, 10:] > 180).all()


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_keeps_its_range(folder, suffix):
    grey = np.full((20, 20), 0x4000, np.uint16)
    grey[:, 10:] = 0xFFFF
    Image.fromarray(grey).save(folder / "ants" / f"x-ray.{suffix}")
    x = from_folder(folder, 20).x[3]
    assert x[:, :, :8].unique().tolist() == [64] and x[:, :, 12:].unique().tolist() == [255]


def test_pixels_whose_white_is_unknown_are_refused(folder):
    Image.fromarray(np.ones((20, 20), np.float32)).save(folder / "ants" / "x-ray.tif")
    for unreadable in ("refuse", "skip"):
        with pytest.raises(InputError, match=r"x-ray\.tif has pixels of 32 bits \(mode F\)"):
            from_folder(folder, 16, unreadable)


def test_pixels_on_another_scale_than_the_views_are_refused():
    bright = torch.full((2, 3, 8, 8), 255.0)
    with pytest.raises(InputError, match=r"pixels reach 255, .* divide the pixels by 255"):
        View(8).test(bright)
    assert torch.allclose(View(8).test(bright / 255), View(8).test(bright.byte()))
    assert View(8, mean=(127.5,), std=(127.5,)).test(bright).unique().tolist() == [1]


def test_a_set_that_is_too_large_lives_in_a_mapped_file(folder, monkeypatch):
    inside = from_folder(folder, 16)
    monkeypatch.setattr(data, "IN_MEMORY", 100)
    assert torch.equal(from_folder(folder, 16).x, inside.x)


def test_torchvision_sets_are_read_by_index():
    class Pictures:
        classes = ("dark", "light")

        def __len__(self):
            return 4

        def __getitem__(self, i):
            return Image.new("L", (9, 9), 255 * (i % 2)), i % 2

    images = from_torchvision(Pictures(), 8)
    assert images.y.tolist() == [0, 1, 0, 1] and images.classes == ("dark", "light")
    assert images.x[1].min() == 255 and images.x[0].max() == 0


def test_the_view_of_training_draws_crops_and_mirror_images():
    x = torch.arange(36.0).reshape(1, 1, 6, 6).expand(200, 1, 6, 6)
    view = View(4, pad=1, mean=(0,), std=(1,))
    seen = view.train(x, torch.Generator().manual_seed(0))
    assert seen.shape == (200, 1, 4, 4)
    padded = torch.nn.functional.pad(x[0, 0], (1, 1, 1, 1))
    crops = [padded[i : i + 4, j : j + 4] for i in range(5) for j in range(5)]
    possible = {tuple(c.flatten().tolist()) for crop in crops for c in (crop, crop.flip(1))}
    drawn = {tuple(s.flatten().tolist()) for s in seen}
    assert drawn <= possible and len(drawn) > 40
    assert torch.equal(seen, view.train(x, torch.Generator().manual_seed(0)))
    with pytest.raises(InputError, match="smaller than the crop of 9"):
        View(9, mean=(0,), std=(1,)).train(x, torch.Generator())


def test_the_view_of_testing_is_the_whole_image_resized():
    x = torch.full((2, 3, 8, 8), 255, dtype=torch.uint8)
    seen = View(4).test(x)
    assert seen.shape == (2, 3, 4, 4)
    assert torch.allclose(seen[0, :, 0, 0], torch.tensor([(1 - m) / s for m, s in zip(View.mean, View.std, strict=True)]))


def test_splits_are_stratified_disjoint_and_those_of_their_seed():
    pool = Images(torch.arange(40.0).reshape(40, 1, 1, 1), torch.arange(40) % 2, ("a", "b"))
    one, again, other = (carve(pool, pool, seed, per_class=10, validation=0.3) for seed in (0, 0, 1))
    assert torch.bincount(one.train.y).tolist() == [7, 7] and torch.bincount(one.validation.y).tolist() == [3, 3]
    assert not set(one.train.x.flatten().tolist()) & set(one.validation.x.flatten().tolist())
    assert torch.equal(one.train.x, again.train.x) and not torch.equal(one.train.x, other.train.x)
    assert len(carve(pool, pool, 0, None, 0).train) == 40
    with pytest.raises(InputError, match="class 'a' has 20 images: 21 wanted"):
        carve(pool, pool, 0, 21)


def test_only_refuse_and_skip_say_what_becomes_of_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="unreadable = 'raise' is none of refuse, skip"):
        from_folder(tmp_path, 8, "raise")
