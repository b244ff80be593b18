"""Every verb end to end, bad input in one sentence, and the README's commands."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
import torch

from avcurriculum.cli import main
from avcurriculum.options import EvalOptions
from avcurriculum.video.apply import shipped_localizer
from claimkit import testing
from claimkit.errors import InputError

call = partial(testing.call, main)
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_help_does_not_import_torch():
    assert "localize" in testing.help_text("avcurriculum", "torch")


def test_compose_writes_scenes_and_their_answers():
    from avcurriculum.audio import load

    assert call("compose", "--number", "2", "--sources", "3", "--out", "scenes") == 0
    table = json.loads(Path("scenes/scenes.json").read_text())["scenes"]
    assert len(table) == 2 and len(table[0]["boxes"]) == 3
    stems = sum(load(Path(f"scenes/scene-0000-stem{i}.wav")) for i in range(3))
    assert abs(stems - load(Path("scenes/scene-0000.wav"))).max() < 1e-3


def test_train_interrupt_resume_eval_localize_separate(clip, capsys):
    train = (
        "train",
        "--steps",
        "6",
        "--scenes",
        "16",
        "--batch",
        "8",
        "--look",
        "film",
        "--fresh",
        "--bf16",
        "--out",
        "run",
    )
    assert call(*train, "--checkpoint-every", "3", "--separator-steps", "2") == 0
    assert {p.name for p in Path("run").iterdir()} == {"model.pt", "separator.pt", "history.json", "checkpoint.pt"}
    assert call(*train) == 2 and "already holds a run" in capsys.readouterr().err
    assert call(*train, "--resume") == 0
    assert call("eval", "--model", "run/model.pt", "--scenes", "8", "--json", "eval.json") == 0
    assert 0 <= json.loads(Path("eval.json").read_text())["3 source(s)"]["IoU@0.3"] <= 1
    assert call("localize", str(clip), "--out", "heat.mp4", "--model", "run/model.pt", "--json", "places.json") == 0
    assert Path("heat.mp4").stat().st_size > 1000
    assert len(json.loads(Path("places.json").read_text())["places"]) >= 11
    options = ("--model", "run/model.pt", "--separator", "run/separator.pt", "--out", "sounds")
    assert call("separate", str(clip), *options) == 0
    assert {p.name for p in Path("sounds").iterdir()} == {"sound-1.wav", "sound-1.png", "sound-2.wav", "sound-2.png"}


def test_train_on_videos_interrupted_resumed_and_localized(folder_of_videos, capsys, monkeypatch):
    from avcurriculum.training.trainer import Trainer, load_model

    train = ("train", "--videos", str(folder_of_videos), "--steps", "6", "--scenes", "32", "--batch", "4")
    assert call(*train, "--out", "whole") == 0
    out = capsys.readouterr().out
    assert "notes.mp4 is not a video" in out and "scenes by estimated number of sources" in out
    counts = json.loads(re.search(r"sources: ({.*})", out)[1].replace("{", '{"').replace(":", '":').replace(", ", ', "'))
    assert sum(counts.values()) in (8, 9) and min(counts.values()) >= 4  # sound may lose its last moments in the codec

    step = Trainer._advance

    def stop(trainer, *stage):
        if trainer.step == 4:
            raise KeyboardInterrupt
        return step(trainer, *stage)

    monkeypatch.setattr(Trainer, "_advance", stop)
    assert call(*train, "--out", "run", "--checkpoint-every", "3") == 130
    assert "interrupted at step 4" in capsys.readouterr().out and not Path("run/model.pt").exists()
    monkeypatch.setattr(Trainer, "_advance", step)
    assert call(*train, "--out", "run", "--resume", "--separator-steps", "2") == 0
    whole, resumed = (load_model(Path(folder) / "model.pt").state_dict() for folder in ("whole", "run"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert len(json.loads(Path("run/history.json").read_text())["loss"]) == 6

    clip = str(folder_of_videos / "a.mp4")
    assert call("localize", clip, "--model", "run/model.pt", "--out", "heat.mp4", "--json", "places.json") == 0
    assert Path("heat.mp4").stat().st_size > 1000
    assert not any(place["silent"] for place in json.loads(Path("places.json").read_text())["places"])
    assert call("separate", clip, "--model", "run/model.pt", "--separator", "run/separator.pt", "--out", "sounds") == 0


def test_the_shipped_models_work_out_of_the_box_and_say_what_they_are(clip, capsys):
    torch.set_num_threads(2)
    Path("heat.mp4").write_bytes(b"mine")
    assert call("localize", str(clip), "--out", "heat.mp4", "--existing", "skip") == 0
    assert "heat.mp4 exists already and is skipped" in capsys.readouterr().out
    assert Path("heat.mp4").read_bytes() == b"mine"
    assert call("localize", str(clip), "--out", "heat.mp4") == 0
    assert torch.get_num_threads() == 1, "threads of small pictures wait for each other"
    assert capsys.readouterr().out.startswith("A demonstration on composed scenes")
    assert call("separate", str(clip), "--out", "sounds") == 0
    assert capsys.readouterr().out.startswith("A demonstration on composed scenes")
    assert Path("heat.mp4").exists() and len(list(Path("sounds").iterdir())) == 4


def test_demo_draws_a_picture_with_the_carried_networks_or_trained_ones(capsys):
    assert call("demo") == 0
    assert Path("avcurriculum-demo.png").stat().st_size > 20_000
    gains = [float(g) for g in re.findall(r"with ([+-][\d.]+) dB SI-SDR", capsys.readouterr().out)]
    assert len(gains) == 2 and min(gains) > 3, "what was learned is carried"
    assert call("demo", "--steps", "4", "--out", "trained.png") == 0
    assert Path("trained.png").stat().st_size > 20_000 and "SI-SDR" in capsys.readouterr().out


def test_eval_hands_seed_and_prior_on(monkeypatch, tmp_path):
    from avcurriculum.verbs import evaluation

    asked = []

    def measure(net, samples, seed, prior):
        asked.append((seed, prior))
        raise InputError("asked")

    monkeypatch.setattr(evaluation.field, "measure", measure)
    monkeypatch.setattr(evaluation.readers, "read", lambda *_: ([], []))
    with pytest.raises(InputError, match="asked"):
        evaluation.evaluate_annotations(shipped_localizer(), EvalOptions(clips=tmp_path, seed=7, prior=0.5), tmp_path, None)
    assert asked == [(7, 0.5)]


def test_eval_on_annotated_clips_names_what_is_missing(clip, capsys):
    """A picture beside its sound, one in the references' folders, a video, and one entry without any file."""
    import shutil

    import numpy as np
    from PIL import Image

    from avcurriculum import audio

    rng = np.random.default_rng(0)
    for picture, sound in (("a.jpg", "a.wav"), ("frames/b.jpg", "audio/b.wav")):
        for name in (picture, sound):
            Path("clips", name).parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(rng.integers(0, 255, (50, 60, 3), np.uint8)).save(Path("clips", picture))
        audio.save(Path("clips", sound), (0.1 * rng.standard_normal(40_000)).astype(np.float32))
    shutil.copy(clip, "clips/c.mp4")
    boxes = {"bbox": [[0.2, 0.2, 0.7, 0.7]]}
    classes = {"a": "dog", "b": "cat", "c": "horn", "d": "dog"}
    Path("v.json").write_text(json.dumps([boxes | {"file": n, "class": c} for n, c in classes.items()]))
    Path("n.csv").write_text("video,audio,label\na,c,non-sounding\n")
    options = ("eval", "--annotations", "v.json", "--kind", "vggss")
    assert call(*options, "--clips", "clips", "--negatives", "n.csv", "--json", "out.json") == 0
    out = capsys.readouterr().out
    assert "1 of 5 annotated pictures could not be used, first: clips holds no picture and no video d" in out
    assert out.count("\n") < 40 and "3 annotated pictures measured" in out
    found = json.loads(Path("out.json").read_text())
    assert set(found["localization"]) == {"model", "center", "saliency", "whole picture", "things"}
    assert found["localization"]["whole picture"]["cIoU median"] == pytest.approx(112 * 112 / 224**2, abs=0.01)
    assert set(found["listening"]) == {"listed", "silence", "noise", "off-screen", "own sound"}
    assert [row["name"] for row in found["rows"]] == ["a", "b", "c"] and len(found["sweep"]["fixed"]) == 19
    assert call(*options) == 2 and "need --clips" in capsys.readouterr().err
    assert call(*options, "--clips", "no") == 2 and "no is not a folder" in capsys.readouterr().err
    Path("none").mkdir()
    assert call(*options, "--clips", "none") == 2 and "none of the 4 annotated clips" in capsys.readouterr().err


def test_eval_of_a_separator_gives_the_bounds_of_its_assignment(capsys):
    from avcurriculum.separation.separate import Separator, SeparatorSettings, save_separator

    torch.manual_seed(0)
    save_separator(Separator(SeparatorSettings(2, 2, 2, 2, 32, blind=True)), Path("s.pt"))
    assert call("eval", "--separator", "s.pt", "--scenes", "16", "--json", "s.json") == 0
    found = json.loads(Path("s.json").read_text())
    assert set(found) == {"assigned", "random order", "better order"} and 0 <= found["assigned"]["right order"] <= 1
    assert (
        found["random order"]["nsdr"] <= found["better order"]["nsdr"]
        and "16 mixes of two sounds" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["localize", "no.mp4"], "avcurriculum: no.mp4 does not exist"),
        (["localize", "no.mp4", "--out", "x.txt"], "avcurriculum: x.txt: write videos as .mp4"),
        (["localize", "no.mp4", "--hdr", "keep"], "avcurriculum: hdr = 'keep': colours of maps are those of SDR"),
        (["separate", "no.mp4"], "avcurriculum: no.mp4 does not exist"),
        (["compose", "--pack", "."], "avcurriculum: . holds no manifest.csv"),
        (["compose", "--sources", "9"], "avcurriculum: 9 sources of 8 classes"),
        (["compose", "--number", "0"], "avcurriculum: number = 0"),
        (["train", "--steps", "2"], "avcurriculum: 2 steps for up to 3 sources"),
        (["train", "--scenes", "4"], "avcurriculum: checkpoint_every = 200, scenes = 4"),
        (["train", "--videos", "no"], "avcurriculum: no is no folder: give a folder of videos"),
        (["train", "--videos", "."], "avcurriculum: . holds no videos: expected files that end in"),
        (["train", "--hardest", "0"], "avcurriculum: hardest = 0"),
        (["train", "--fresh", "--videos", "."], "avcurriculum: fresh scenes are composed"),
        (["train", "--bf16", "--arch", "pretrained"], "avcurriculum: frozen backbones are computed once"),
        (["train", "--resume"], "avcurriculum: avcurriculum-run/checkpoint.pt does not exist"),
        (["train", "--arch", "pretrained"], "avcurriculum: pretrained backbones need the weight files"),
        (["eval", "--model", "no.pt"], "avcurriculum: no.pt does not exist"),
        (["eval", "--clips", "."], "avcurriculum: --clips, --negatives and --prior are of annotated data"),
        (["eval", "--prior", "0.5"], "avcurriculum: --clips, --negatives and --prior are of annotated data"),
        (
            ["eval", "--annotations", "a.json", "--prior", "0.5", "--separator", "s.pt"],
            "avcurriculum: a prior of things is of a localiser's maps",
        ),
        (["eval", "--weights", "a", "b"], "avcurriculum: --weights are of a pretrained network"),
        (["demo", "--sources", "9"], "avcurriculum: sources = 9"),
        (["demo", "--steps", "2"], "avcurriculum: sources = 2, steps = 2"),
        (["demo", "--out", "a.txt"], "avcurriculum: a.txt is no name of a picture"),
        (["reproduce", "E77"], "avcurriculum: avcurriculum has no claim 'E77'"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(argv, sentence, capsys):  # in every package: a test shows what it asks for
    assert call(*argv) == 2
    err = capsys.readouterr().err
    assert err.startswith(sentence) and err.count("\n") == 1
    assert not list(Path().rglob("*")), "something was left behind"


def test_cite_and_list(capsys):
    assert call("cite") == 0 and "2001.09414" in capsys.readouterr().out
    assert call("list") == 0
    assert "E1" in capsys.readouterr().out


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_python_of_the_readme_runs():
    names = {}
    (example,) = blocks("python")
    exec(compile(example, "README", "exec"), names)
    assert names["centers"].shape == (24, 4, 64)
    assert torch.allclose(names["assign"].sum(1), torch.ones(24, 64))


def test_commands_of_the_readme_are_commands(clip, capsys):
    """Each line's options are known: --help after it exits 0."""
    lines = [line.split("#")[0].split() for block in blocks("console")[1:] for line in block.splitlines()]
    commands = [line for line in lines if line and line[0] == "avcurriculum"]
    assert len(commands) >= 6
    for line in commands:
        assert call(*line[1:], "--help") == 0, line
        capsys.readouterr()
