"""Packs and scenes: exact answers, determinism, and folders that are not what they should be."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from avcurriculum import audio
from avcurriculum.scenes import composer as composer_module
from avcurriculum.scenes.composer import LEVELS, Composer, Level, centre_square
from avcurriculum.scenes.generated import generate_pack
from avcurriculum.scenes.packs import SAMPLES, load_pack
from claimkit.errors import InputError


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_boxes_are_inside_disjoint_and_stems_sum_to_the_mixture(packs, level):
    composer = Composer(packs["train"], LEVELS[level], canvas=96, seed=level)
    for i in range(5):
        scene = composer.scene(i)
        tiles = np.concatenate([scene.boxes, scene.distractors])
        cover = np.zeros((96, 96), int)
        for x0, y0, x1, y1 in tiles:
            assert 0 <= x0 < x1 <= 96 and 0 <= y0 < y1 <= 96
            cover[y0:y1, x0:x1] += 1
        assert cover.max() == 1
        assert len(scene.classes) == len(set(scene.classes)) == LEVELS[level].sources
        assert len(scene.stems) == LEVELS[level].sources + LEVELS[level].offscreen
        np.testing.assert_allclose(scene.stems.sum(0), scene.mixture, atol=1e-6)
        c, item, gain = scene.classes[0], scene.items[0], scene.gains[0]
        np.testing.assert_allclose(scene.stems[0], packs["train"].sounds[packs["train"].classes[c]][item] * np.float32(gain))


def test_a_scene_depends_on_seed_and_index_alone(packs):
    composers = [Composer(packs["train"], LEVELS[3], seed=5) for _ in range(2)]
    late = composers[0].scene(7)
    for i in range(7):
        composers[1].scene(i)
    again = composers[1].scene(7)
    assert (late.image == again.image).all() and (late.mixture == again.mixture).all()
    assert (Composer(packs["train"], LEVELS[3], seed=6).scene(7).image != late.image).any()


def test_a_batch_holds_the_same_scenes_and_their_exact_features(packs):
    composer = Composer(packs["train"], LEVELS[4], seed=2)
    batch = composer.batch(range(3, 6))
    for n, i in enumerate(range(3, 6)):
        scene = composer.scene(i)
        assert (batch.images[n].numpy() == scene.image).all() and (batch.boxes[n] == scene.boxes).all()
        import torch

        want = audio.log_mel(torch.from_numpy(scene.mixture), composer.mel)
        torch.testing.assert_close(batch.features[n], want, atol=1e-3, rtol=1e-3)


def test_grey_tiles_hide_the_things_and_nothing_else(packs):
    seen, hidden = (Composer(packs["train"], LEVELS[3], seed=4, grey=grey) for grey in (False, True))
    for i in range(4):
        a, b = seen.scene(i), hidden.scene(i)
        assert (a.boxes == b.boxes).all() and (a.distractors == b.distractors).all() and (a.mixture == b.mixture).all()
        outside = np.ones(a.image.shape[:2], bool)
        for x0, y0, x1, y1 in [*a.boxes, *a.distractors]:
            outside[y0:y1, x0:x1] = False
            assert (b.image[y0:y1, x0:x1] == 128).all()
        assert (a.image == b.image)[outside].all() and (a.image != b.image)[~outside].any()


def test_generated_splits_share_no_item_and_are_reproducible(packs):
    seen = [{p.tobytes() for group in pack.pictures.values() for p in group} for pack in packs.values()]
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]
    again = generate_pack("val", items=4)
    assert all((a == b).all() for c in again.classes for a, b in zip(again.sounds[c], packs["val"].sounds[c], strict=True))


@pytest.mark.parametrize(
    ("level", "canvas", "sentence"),
    [(Level(9), 64, "9 sources of 8 classes"), (Level(1, 7), 64, "7 distractors"), (Level(1), 8, "canvas = 8")],
)
def test_impossible_scenes_are_refused(packs, level, canvas, sentence):
    with pytest.raises(InputError, match=sentence):
        Composer(packs["train"], level, canvas)


@pytest.mark.parametrize("k", [1, 3])
def test_features_of_a_batch_are_those_of_its_mixtures_one_by_one_to_the_last_bit(packs, k):
    composer = Composer(packs["train"], LEVELS[k])
    batch = composer.batch(range(6))
    for i, found in enumerate(batch.features):
        parts = [(torch.from_numpy(composer._sounds[c][j]), g) for c, j, g in composer._plan(i).sounds]
        whole, *others = (audio.spectrum(wave, composer.mel) * gain for wave, gain in parts)
        for other in others:
            whole = whole + other
        assert torch.equal(found, audio.log_mel_of(whole[None], composer.mel)[0])


def test_what_a_composer_keeps_is_bounded_and_changes_nothing(packs, monkeypatch):
    whole = Composer(packs["train"], 2).batch(range(12))
    monkeypatch.setattr(composer_module, "CACHED_SPECTRA", 3)
    monkeypatch.setattr(composer_module, "CACHED_TILES", 5)
    small = Composer(packs["train"], 2)
    batch = small.batch(range(12))
    assert torch.equal(batch.features, whole.features) and torch.equal(batch.images, whole.images)
    assert len(small._spectra) == 3 and len(small._tiles) == 5


def test_things_are_flipped_as_drawn(packs):
    composer = Composer(packs["train"], 1)
    pack, flips = packs["train"], set()
    for i in range(8):
        (group, item, x, y, side, flipped) = composer._plan(i).tiles[0]
        tile = centre_square(pack.pictures[pack.classes[group]][item], side)
        shown = composer.scene(i).image[y : y + side, x : x + side]
        assert (shown == (tile[:, ::-1] if flipped else tile)).all()
        flips.add(flipped)
    assert flips == {True, False}


@pytest.fixture
def folder(tmp_path):
    """A pack of two classes, one picture of each kind, and one corrupt sound."""
    rng = np.random.default_rng(0)
    rows = []
    for kind, cls, name in [
        ("audio", "a", "a.wav"),
        ("audio", "b", "b.wav"),
        ("audio", "a", "broken.wav"),
        ("image_object", "a", "a.png"),
        ("image_object", "b", "b.png"),
        ("image_background", "background", "back.png"),
    ]:
        if name == "broken.wav":
            (tmp_path / name).write_bytes(b"RIFF?")
        elif kind == "audio":
            audio.save(tmp_path / name, 0.1 * rng.standard_normal(3 * SAMPLES).astype(np.float32))
        else:
            Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / name)
        rows.append({"kind": kind, "path": name, "cls": cls, "split": "train", "pair_kind": "exact", "loud_start_s": "1.0"})
    _write(tmp_path, rows)
    return tmp_path


def _write(folder: Path, rows):
    with (folder / "manifest.csv").open("w", newline="") as f:
        table = csv.DictWriter(f, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def _rows(folder: Path):
    with (folder / "manifest.csv").open(newline="") as f:
        return list(csv.DictReader(f))


def test_a_folder_is_read_and_what_is_corrupt_is_skipped_and_named(folder):
    pack = load_pack(folder, "train")
    assert pack.classes == ("a", "b") and pack.skipped == ("broken.wav",) and len(pack.names) == 5
    assert Composer(pack, 2).scene(0).image.shape == (64, 64, 3)
    assert audio.rms(pack.sounds["a"][0]) == pytest.approx(0.1, rel=1e-3)


def test_a_row_without_its_file_and_other_wrong_manifests_are_refused(folder):
    rows = _rows(folder)
    (folder / "b.png").unlink()
    with pytest.raises(InputError, match=r"line 6: the file b\.png is not there"):
        load_pack(folder, "train")
    _write(folder, [r | {"kind": "film"} for r in rows])
    with pytest.raises(InputError, match="kind 'film'"):
        load_pack(folder, "train")
    _write(folder, [{k: v for k, v in r.items() if k != "cls"} for r in rows])
    with pytest.raises(InputError, match="lacks the column"):
        load_pack(folder, "train")
    (folder / "manifest.csv").unlink()
    with pytest.raises(InputError, match=r"holds no manifest\.csv"):
        load_pack(folder, "train")


def test_a_split_without_anything_is_refused(folder):
    with pytest.raises(InputError, match="the val split has 0 sounding classes"):
        load_pack(folder, "val")


@pytest.mark.data
def test_the_development_pack_is_whole():
    import hashlib
    import os

    root = os.environ.get("CLAIMKIT_DATA")
    if not root or not (Path(root) / "av").is_dir():
        pytest.skip("needs CLAIMKIT_DATA with a folder av")
    folder, seen = Path(root) / "av", {}
    for row in _rows(folder):
        assert row["licence"].strip(), row["path"]
        digest = hashlib.sha256((folder / row["path"]).read_bytes()).hexdigest()
        assert seen.setdefault(digest, row["split"]) == row["split"], row["path"]
    for split in ("train", "val", "test"):
        pack = load_pack(folder, split)
        assert len(pack.classes) == 8 and not pack.skipped and set(pack.offscreen) == {"crying_baby", "sneezing"}
    assert "chainsaw" not in load_pack(folder, "test", "exact").classes
