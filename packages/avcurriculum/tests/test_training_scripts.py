"""The scripts that made the shipped weights run from beginning to end, on little data and for few steps."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from avcurriculum import audio
from avcurriculum.network.backbones import YAMNet
from avcurriculum.network.model import Architecture
from avcurriculum.scenes.generated import generate_pack
from avcurriculum.separation.separate import load_separator
from avcurriculum.training.trainer import load_model, save_model
from avcurriculum.video.apply import shipped_localizer, shipped_separator
from claimkit.media.picture import Picture, write_picture

SCRIPTS = Path(__file__).parents[1] / "training"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCRIPTS.is_dir(), reason="the training scripts lie in the repository alone"),
]


def script(name, **sizes):
    """One of the scripts, its sizes replaced."""
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for key, value in sizes.items():
        assert hasattr(module, key)
        setattr(module, key, value)
    return module


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder as the scripts take it: a generated pack, a photograph, weights drawn at random."""
    from torchvision.models import mobilenet_v2

    root = tmp_path_factory.mktemp("data")
    rows = []

    def add(kind, name, split, fold, path, item):
        if kind == "audio":
            audio.save(root / "av" / path, item)
        else:
            write_picture(root / "av" / path, Picture(item))
        rows.append({"kind": kind, "path": path, "cls": name, "split": split, "fold": fold})

    for fold, split in enumerate(("train", "val", "test"), 1):
        pack = generate_pack(split, items=2)
        for c in pack.classes:
            for i in range(2):
                add("audio", c, split, fold, f"audio/{split}-{c}-{i}.wav", pack.sounds[c][i])
                add("image_object", c, split, fold, f"image/{split}-{c}-{i}.png", pack.pictures[c][i])
        add("audio", "noise", split, fold, f"audio/{split}-noise.wav", pack.offscreen["noise"][0])
        for c, pictures in pack.distractors.items():
            add("image_distractor", c, split, fold, f"image/{split}-{c}.png", pictures[0])
        add("image_background", "background", split, fold, f"image/{split}-background.png", pack.backgrounds[0])
    with (root / "av" / "manifest.csv").open("w", newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    write_picture(root / "images" / "photo.png", Picture(generate_pack("train", items=1).backgrounds[0]))
    (root / "images" / "photos.csv").write_text("file,split\nphoto.png,train\nnot-there.png,eval\n")
    (root / "weights").mkdir()
    torch.save(mobilenet_v2(weights=None).state_dict(), root / "weights" / "mobilenet_v2_imagenet.pt")
    torch.save(YAMNet().state_dict(), root / "weights" / "yamnet_audioset.pt")
    return root


def test_the_localiser_of_films_is_trained_calibrated_and_written(data, tmp_path, capsys):
    rng, more = np.random.default_rng(0), tmp_path / "more"
    for name in ("Kedi-Part1", "Kus-Part1", "Aslan", "Inek", "Koyun", "Kurbaga", "Esek", "Maymun"):
        audio.save(more / "animals" / name / "a.wav", rng.uniform(-0.5, 0.5, 3 * audio.RATE).astype(np.float32))
    for name in ("wild_cat", "pigeon", "ibis", "cougar_face", "cougar_body", "cup"):
        write_picture(more / "caltech" / name / "a.jpg", Picture(rng.integers(0, 256, (40, 60, 3), np.uint8)))
    sizes = {"SCENES": 32, "HELD_OUT": 8, "CHECKS": 8, "CANVAS": 64, "TEACHER_STEPS": 4, "DISTILL": 2, "CURRICULUM": 4}
    student = Architecture("small", widths=(8, 8, 8, 8), canvas=32)
    film = script("train_film", **sizes, STUDENT=student, TEACHER_BATCH=8, BATCH=8, STUDENT_BATCH=8)
    film.main(data, more, tmp_path / "film.pt")
    net = load_model(tmp_path / "film.pt")
    assert net.architecture == student and len(net.offscreen) == 3
    assert "absent sounds found" in capsys.readouterr().out
    wide = film.widened(data, more)
    assert len(wide.classes) == 11 and len(wide.backgrounds) == 2, "three classes and a photograph are added"
    assert set(wide.distractors) >= {"zcup"} and not set(wide.distractors) & {"zpigeon", "zibis"}
    assert {c for c in wide.offscreen if c.startswith("z")} == {"zInek", "zKoyun", "zKurbaga", "zEsek", "zMaymun"}


def test_a_separator_goes_on_from_its_checkpoint_and_is_measured_beside_the_shipped_one(data, tmp_path, capsys):
    save_model(shipped_localizer(), tmp_path / "localizer.pt")
    sizes = script("train_separator", SCENES=16, HELD_OUT=8, WINDOWS=1, MIXES=2, SAVE_EVERY=2)
    sizes.main(data, tmp_path / "localizer.pt", tmp_path / "told.pt", 2, blind=False)
    first = capsys.readouterr().out
    assert all(f"{split}, {which}: SI-SDR gain" in first for split in ("val", "test") for which in ("new", "shipped"))
    assert first.count(": not told apart, the shipped one stays") + first.count("one is worse") + first.count(": ship") == 1
    before = load_separator(tmp_path / "told.pt").state_dict()
    sizes.main(data, tmp_path / "localizer.pt", tmp_path / "told.pt", 2, blind=False)
    after = load_separator(tmp_path / "told.pt").state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before), "it was trained to its end before"
    assert load_separator(tmp_path / "told.pt").settings == shipped_separator().settings


def test_a_separator_is_shipped_only_where_the_same_mixes_tell_it_apart():
    rule, rng = script("train_separator").decision, np.random.default_rng(0)
    old = rng.normal(3, 5, 40)
    assert rule(old + rng.normal(1, 1, 40), old).endswith("over 40 mixes: ship the new one")
    assert rule(old - rng.normal(1, 1, 40), old).endswith("the shipped one stays, the new one is worse")
    assert rule(old + rng.normal(0.25, 5, 40), old).endswith("not told apart, the shipped one stays")
    silent = np.where(np.arange(40) < 4, np.nan, old)
    assert "over 36 mixes" in rule(silent + 1 + 0.1 * rng.random(40), old)


def test_the_networks_of_the_demo_are_those_that_the_demo_loads(tmp_path):
    script("train_demo").main(tmp_path, 3)
    net, separator = load_model(tmp_path / "demo-localizer.pt"), load_separator(tmp_path / "demo-separator.pt")
    assert separator.settings.condition == net.architecture.dim
