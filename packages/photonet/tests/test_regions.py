"""Maps of labels as people have them: any numbers, any colours, other sizes, void, soft borders, and frames."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from claimkit import testing
from claimkit.errors import InputError
from claimkit.style.images import read_image, write_image
from photonet.cli import main
from photonet.regions import read_segmentations
from photonet.regions.labels import NOWHERE, feathered, from_labels
from photonet.samples import photograph


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stripes(values, dtype=np.uint8, high=12, width=30):
    return np.repeat(np.repeat(np.array(values, dtype), high, 0)[:, None], width, 1)


def labels_of(array, name="m.png", **options):
    Image.fromarray(array).save(name, **options)
    size = array.shape[:2]
    return read_segmentations(Path(name), Path(name), size, size)


@pytest.mark.parametrize(
    "values", [[2, 4, 9, 120], [1, 2, 5, 13, 84, 139, 150], [0, 1], [0, 255], [63, 64], [7], list(range(0, 150, 10))]
)
def test_numbers_of_one_channel_are_labels(values):
    mine, theirs = labels_of(stripes(values))
    assert mine[::12, 0].tolist() == values and torch.equal(mine, theirs)
    rgb = np.repeat(stripes(values)[:, :, None], 3, 2)
    assert labels_of(rgb)[0][::12, 0].tolist() == values, "three equal channels are one"


def test_numbers_of_sixteen_bits_are_labels():
    """Cityscapes writes instances as 1000 times the class and a number."""
    values = [7, 11000, 26001, 26002]
    assert labels_of(stripes(values, np.uint16))[0][::12, 0].tolist() == values


def test_numbers_of_any_kind_come_as_they_are():
    """As programs of science save them: 32 and 64 bits, whole floating point, -1 for nothing, three channels of 16 bits."""
    values = [3, 70001, 70002, 2_000_000]
    for kind in (np.int32, np.int64, np.uint32, np.float32, np.float64):
        tifffile.imwrite("t.tif", stripes(values, kind))
        found = read_segmentations(Path("t.tif"), Path("t.tif"), (48, 30), (48, 30))[0]
        assert found[::12, 0].tolist() == values, kind
    tifffile.imwrite("t.tif", stripes([-1, 0, 1], np.int16))
    assert read_segmentations(Path("t.tif"), Path("t.tif"), (36, 30), (36, 30))[0][::12, 0].tolist() == [NOWHERE, 0, 1]
    tifffile.imwrite("t.tif", np.repeat(stripes([7, 300, 301], np.uint16)[..., None], 3, 2), photometric="rgb")
    assert read_segmentations(Path("t.tif"), Path("t.tif"), (36, 30), (36, 30))[0][::12, 0].tolist() == [7, 300, 301]
    near = stripes([(300, 0, 0), (301, 0, 0)], np.uint16)
    tifffile.imwrite("t.tif", near, photometric="rgb")
    with pytest.raises(InputError, match="only 16 bits tell apart"):
        read_segmentations(Path("t.tif"), Path("t.tif"), (24, 30), (24, 30))
    tifffile.imwrite("t.tif", near + np.uint16([0, 0, 60000]) * (near[..., :1] > 300), photometric="rgb")
    assert len(read_segmentations(Path("t.tif"), Path("t.tif"), (24, 30), (24, 30))[0].unique()) == 2


def test_large_numbers_stay_apart_however_thin():
    """Instances of Cityscapes: thousands, and neighbours differ by one."""
    thin = np.tile(np.array([26001, 26002, 26003], np.uint16), (36, 10))
    assert labels_of(thin)[0][0, :3].tolist() == [26001, 26002, 26003]
    city = np.tile(np.uint8([7, 8, 255]), (36, 10))
    assert labels_of(city)[0][0, :2].tolist() == [7, 8], "numbers below 64 beside void stay, too"


def test_what_is_transparent_is_no_region():
    rgba = np.dstack([stripes([(9, 0, 0), (0, 200, 0), (250, 250, 250)]), stripes([255, 255, 0])])
    found = labels_of(rgba)[0]
    assert len(found[:24].unique()) == 2 and (found[24:] == NOWHERE).all()
    with pytest.raises(InputError, match="transparent everywhere"):
        labels_of(rgba * np.uint8([1, 1, 1, 0]))


def test_colours_that_encode_near_numbers_are_not_merged_without_a_word():
    """COCO's panoptic maps write a number as red + 256 green + 65536 blue."""
    with pytest.warns(UserWarning, match="1 colours of the segmentations are so near to others"):
        assert len(labels_of(stripes([(7, 1, 0), (8, 1, 0), (200, 1, 0)]))[0].unique()) == 2
    grey = np.kron(np.random.default_rng(0).integers(64, 200, (40, 40)), np.ones((1, 2))).astype(np.uint8)
    grey[:8, :40], grey[8:16, :40] = 100, 101  # ragged numbers elsewhere: two that fill a place are merged, and it is said
    with pytest.warns(UserWarning, match="values that fill a place of their own"):
        labels_of(grey)


def test_void_is_no_region():
    content, style = labels_of(stripes([0, 7, 18, 255]))
    assert content[::12, 0].tolist() == [0, 7, 18, NOWHERE]
    masks, style_masks, lacking = from_labels(content, style)
    void = lacking.index(NOWHERE) if NOWHERE in lacking else None
    assert void == 0 and style_masks[0].all() and masks[0][-1].all(), "void takes all of the style"


def test_thin_and_ragged_labels_stay_numbers():
    city = stripes([0, 11, 90], high=70, width=200)
    city[10:70, 30:32] = 17  # a pole two pixels wide
    city[100:106, 5:11] = 24
    assert set(labels_of(city)[0].unique().tolist()) == {0, 11, 90, 24}, "what never fills 3 x 3 pixels is its surroundings"
    pole = labels_of(np.minimum(city, 60))[0]
    assert set(pole.unique().tolist()) == {0, 11, 17, 24, 60}, "small numbers stay, however thin"


def test_near_colours_of_a_palette_are_labels_and_noise_is_not():
    palette = [(255, 41, 10), (255, 51, 7), (255, 61, 6), (120, 120, 120), (140, 140, 140)]
    assert len(labels_of(stripes(palette))[0].unique()) == 5
    noisy = stripes([(255, 0, 0), (0, 255, 0), (0, 0, 255)]).astype(int)
    noisy = np.clip(noisy + np.random.default_rng(0).integers(-9, 10, noisy.shape), 0, 255).astype(np.uint8)
    assert len(labels_of(noisy)[0].unique()) == 3


def test_what_is_merged_is_said():
    """Smoothed borders: two of the colours that fill a place are then one main colour, and a sentence says so."""
    colours = stripes([(200, 0, 0), (230, 0, 0), (0, 0, 200)], high=16)
    blurred = colours.copy()
    blurred[::16][1:] = np.arange(30, dtype=np.uint8)[None, :, None]  # every pixel of the border another
    with pytest.warns(UserWarning, match="1 values that fill a place of their own were taken for the nearest of 2"):
        assert len(labels_of(blurred)[0].unique()) == 2
    heard = []
    Image.fromarray(colours).save("exact.png")
    maps = read_segmentations(Path("exact.png"), Path("exact.png"), (48, 30), (48, 30), heard.append)
    assert len(maps[0].unique()) == 3 and not heard


def test_colours_far_enough_apart_are_three_and_nearer_than_that_one():
    """The radius of 48: in a map with noise 70 apart is two labels, 30 apart is one."""
    rng = np.random.default_rng(1)
    for apart, wanted in ((70, 2), (30, 1)):
        noisy = stripes([(100, 100, 90), (100 + apart, 100, 90)], high=20).astype(int) + rng.integers(-2, 3, (40, 30, 3))
        with warnings.catch_warnings(action="ignore"):
            assert len(labels_of(noisy.astype(np.uint8))[0].unique()) == wanted


def test_a_map_of_the_same_shape_is_given_the_pictures_size():
    Image.fromarray(stripes([3, 200])).save("m.png")
    mine, theirs = read_segmentations(Path("m.png"), Path("m.png"), (48, 60), (12, 15))
    assert mine.shape == (48, 60) and theirs.shape == (12, 15)
    assert mine[23, 0] == 3 and mine[24, 0] == 200
    with pytest.raises(InputError, match="30 x 24 pixels, the style 24 x 30: give one of its shape"):
        read_segmentations(Path("m.png"), Path("m.png"), (48, 60), (30, 24))


def test_fractions_are_no_labels():
    Image.fromarray(stripes([0.5, 1.0], np.float32)).save("f.tif")
    with pytest.raises(InputError, match="holds fractions"):
        read_segmentations(Path("f.tif"), Path("f.tif"), (24, 30), (24, 30))


def test_borders_are_soft_where_the_picture_has_no_edge_and_follow_it_where_it_has_one():
    hard = torch.zeros(2, 20, 480)
    hard[0, :, :80], hard[1, :, 80:] = 1, 1
    flat = torch.full((3, 20, 480), 0.5)
    soft = feathered(hard, flat)
    assert torch.allclose(soft.sum(0), torch.ones(20, 480), atol=1e-5)
    assert ((soft[0] > 0.05) & (soft[0] < 0.95)).sum(1).float().mean() >= 3
    edge = flat.clone()
    edge[:, :, 82:] = 0.9  # the picture's edge is two pixels beside the map's
    followed = feathered(hard, edge)
    assert followed[0, 10, 81] > 0.55 > 0.45 > followed[0, 10, 82]
    assert torch.equal(feathered(hard[:1], flat), hard[:1])


def run(verb, *arguments):
    return testing.call(main, verb, *arguments, "--method", "mk")


def test_soft_masks_are_folders_of_grey_pictures(capsys):
    pictures = {"c": photograph("coffee", 64), "s": photograph("rocket", 64)}
    for name, picture in pictures.items():
        write_image(Path(f"{name}.png"), picture)
        ramp = torch.linspace(0, 1, picture.shape[2]).expand_as(picture)
        write_image(Path(f"{name}m/sky.png"), ramp)
        write_image(Path(f"{name}m/rest.png"), 1 - ramp)
    masks = ("--labels", "cm", "--style-labels", "sm")
    assert run("transfer", "c.png", "s.png", *masks, "--out", "a.png") == 0
    assert run("transfer", "c.png", "s.png", "--out", "b.png") == 0
    assert (read_image(Path("a.png")) - read_image(Path("b.png"))).abs().mean() > 0.005
    Path("sm/rest.png").rename("sm/ground.png")
    assert run("transfer", "c.png", "s.png", *masks, "--out", "a.png") == 2
    assert "ground is in one of them only" in capsys.readouterr().err


def test_regions_of_a_video(capsys):
    """What a frame gets is what a still picture gets; a map for each frame, or one for all."""
    content, style = photograph("coffee", 64)[:, :42], photograph("rocket", 64)
    for name, picture in (("c", content), ("s", style)):
        write_image(Path(f"{name}.png"), picture)
        halves = np.zeros(picture.shape[1:], np.uint8)
        halves[:, picture.shape[2] // 2 :] = 90
        Image.fromarray(halves).save(f"{name}seg.png")
    for k in range(2):
        write_image(Path(f"clip/{k}.png"), content)
        Path("maps").mkdir(exist_ok=True)
        Image.open("cseg.png").save(f"maps/{k}.png")
    assert run("transfer", "c.png", "s.png", "--out", "still.png", "--labels", "cseg.png", "--style-labels", "sseg.png") == 0
    for maps in ("cseg.png", "maps"):
        assert run("video", "clip", "s.png", "--out", "made", "--labels", maps, "--style-labels", "sseg.png") == 0
        assert (read_image(Path("made/000001.png")) - read_image(Path("still.png"))).abs().max() < 0.02
    Path("clip/2.png").write_bytes(Path("clip/1.png").read_bytes())
    assert run("video", "clip", "s.png", "--out", "more", "--labels", "maps", "--style-labels", "sseg.png") == 2
    assert "there are 2 segmentations, but more frames" in capsys.readouterr().err
    assert run("video", "clip", "s.png", "--out", "more", "--labels", "maps") == 2
    assert "the other way round" in capsys.readouterr().err
