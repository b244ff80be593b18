"""Broken and odd input: refused in one sentence, or read as it is; never taken for silence, darkness or a miss."""

import csv
import dataclasses
import json
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from avcurriculum import audio, metrics
from avcurriculum.audio import RATE
from avcurriculum.cli import main
from avcurriculum.evaluation import annotations
from avcurriculum.evaluation.composed import pair_accuracy
from avcurriculum.evaluation.field import Sample
from avcurriculum.evaluation.separation import mixes_of
from avcurriculum.network.model import Architecture, build
from avcurriculum.options import EvalOptions, TrainOptions
from avcurriculum.scenes.composer import Composer
from avcurriculum.scenes.packs import SAMPLES, load_pack, read_manifest
from avcurriculum.scenes.pools import fill
from avcurriculum.separation import conditions
from avcurriculum.separation.mixing import draw_mix
from avcurriculum.training.curriculum import make
from avcurriculum.training.trainer import Trainer, Training, save_model
from avcurriculum.verbs import evaluation, training
from avcurriculum.video import apply, media
from avcurriculum.video.videos import video_scenes
from claimkit import testing
from claimkit.errors import InputError
from claimkit.media.clip import read_frames

TINY = Architecture(widths=(4, 8, 8, 8), dim=8)
TRUTH = np.arange(16).reshape(4, 4) < 8
call = partial(testing.call, main)


def noise(samples, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_map_or_a_score_that_is_not_finite_is_not_measured(bad):
    """Comparisons with nan are false: such a map would be dark, which is right where nothing sounds."""
    map_ = np.arange(16.0).reshape(4, 4)
    map_[3, 3] = bad
    for of in (
        *(lambda cut=cut: metrics.binarize(map_, cut) for cut in metrics.CUTS),
        lambda: metrics.pointing_hit(map_, TRUTH),
        lambda: metrics.lit_area(map_, 0.5),
        lambda: metrics.no_sounding_area([map_]),
        lambda: metrics.success_rate([1.0, bad]),
        lambda: metrics.auc([1.0, bad]),
        lambda: metrics.box_mask([[0, 0, 2, bad]], 4, 4),
    ):
        with pytest.raises(InputError, match="is not finite: nothing can be measured"):
            of()
    wave = noise(4000).reshape(2, 2000)
    broken = wave.copy()
    broken[1, 7] = bad
    for measure in (metrics.si_sdr, metrics.bss_eval):
        for pair in ((wave, broken), (broken, wave)):
            with pytest.raises(InputError, match="a reference or an estimate is not finite"):
                measure(*pair)


def test_nothing_is_no_score():
    with pytest.raises(InputError, match="no scores"):
        metrics.success_rate([])
    with pytest.raises(InputError, match="no maps"):
        metrics.threshold_sweep([], [])


def test_sounds_with_samples_that_are_not_finite_are_refused(tmp_path, clip):
    wave = noise(SAMPLES)
    wave[5] = np.nan
    for rate in (16_000, 44_100):
        soundfile.write(tmp_path / "x.wav", wave, rate, subtype="FLOAT")
        with pytest.raises(InputError, match=r"x\.wav is not a sound file that can be read: .*not finite"):
            audio.load(tmp_path / "x.wav")
    with pytest.raises(InputError, match="the sound has samples that are not finite"):
        audio.audible(wave, "the sound")
    with pytest.raises(InputError, match="not finite"):
        apply.localize_clip(dataclasses.replace(media.read_clip(clip), sound=wave), build(TINY).eval())


def test_a_video_whose_sound_is_not_finite_is_refused(clip, monkeypatch):
    monkeypatch.setattr(media.clips, "read_sound", lambda *_: np.array([0, np.nan], np.float32))
    with pytest.raises(InputError, match=r"clip\.mp4 has a sound that is not finite"):
        media.read_clip(clip)


def test_a_pack_leaves_out_a_broken_sound_and_names_it(tmp_path):
    from PIL import Image

    def written(rows, sign=""):
        with (tmp_path / "manifest.csv").open("w", encoding="utf-8", newline="") as f:
            f.write(sign)
            csv.writer(f).writerows([["kind", "path", "cls", "split", "loud_start_s"], *rows])

    soundfile.write(tmp_path / "good.wav", noise(SAMPLES), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "bad.wav", np.full(SAMPLES, np.nan), RATE, subtype="FLOAT")
    Image.new("RGB", (64, 64)).save(tmp_path / "p.png")
    pictures = [[kind, "p.png", "a", "train", ""] for kind in ("image_object", "image_background")]
    sounds = [["audio", f"{name}.wav", "a", "train", "0.5"] for name in ("good", "bad")]
    for sign in ("", "\ufeff"):  # spreadsheets put a byte order mark before the first column
        written([*pictures, *sounds], sign)
        pack = load_pack(tmp_path, "train")
        assert pack.skipped == ("bad.wav",) and len(pack.sounds["a"]) == 1
    for row, message in (
        (["audio", "good.wav", "a", "train", "soon"], "line 2: loud_start_s 'soon' is no number of seconds"),
        (["audio", "good.wav", "a", "train", "nan"], "line 2: loud_start_s 'nan' is no number"),
        (["audio", "good.wav", "", "train", "1"], "line 2: path 'good.wav', cls '': both are needed"),
    ):
        written([row])
        with pytest.raises(InputError, match=message):
            read_manifest(tmp_path)


def test_boxes_that_are_no_four_finite_numbers_are_left_out_with_a_word(tmp_path):
    good, scored = [0.1, 0.1, 0.5, 0.5], [0.1, 0.1, 0.5, 0.5, 0.9]
    (path := tmp_path / "b.json").write_text(
        json.dumps([{"file": f, "class": "x", "bbox": b} for f, b in (("a", [good]), ("b", [scored] * 4))])
    )
    entries, notes = annotations.vggss_json(path)
    assert [e.name for e in entries] == ["a"] and notes[0].startswith("1 entries, first 1, are skipped")
    boxes = {"a": [{"normbox": good[:4], "category": 1}], "b": [{"normbox": scored, "category": 1}] * 4}
    path.write_text(json.dumps({n: {"bbox": b} for n, b in boxes.items()}))
    entries, notes = annotations.dsol_json(path)
    assert [e.name for e in entries] == ["a"] and notes[0].startswith("1 entries, first b, are skipped")
    xml = "<bbox><n>1</n><a>{}</a><b>0</b><c>128</c><d>128</d></bbox>"
    (tmp_path / "c.xml").write_text(f"<annotation>{xml.format('nan')}{xml.format(200)}{xml.format(64)}</annotation>")
    ((entry,), notes) = annotations.flickr_xml(tmp_path)
    assert entry.truth(224, 224).sum() == 56 * 112 / 2, "one annotator of two that must agree"
    assert "1 of 3 boxes are no boxes" in notes[0] and "1 of 3 boxes have no area" in notes[1]


def test_a_list_without_negatives_is_not_one_of_an_extended_set(tmp_path):
    (path := tmp_path / "n.csv").write_text("\ufeffvideo,audio,label\na, b ,non-sounding \n\n", encoding="utf-8")
    (entry,) = annotations.negatives_csv(path)
    assert (entry.name, entry.sound) == ("a", "b")
    path.write_text("a,b,silent\n")
    with pytest.raises(InputError, match="marks none of its 1 pairs non-sounding"):
        annotations.negatives_csv(path)
    with pytest.raises(InputError, match="does not exist"):
        annotations.negatives_csv(tmp_path / "no.csv")


def test_two_sounds_of_one_picture_are_no_mix():
    """An interactive set asks a picture with each of its sounds: both would be given to the same clusters."""

    def sample(group, what, seed):
        entry = annotations.Annotated(f"{group}_{what}", (np.array([[0, 0, 1, 1]]),), (what,), group=group)
        return Sample(entry, torch.zeros(64, 64, 3, dtype=torch.uint8), noise(SAMPLES, seed))

    net, two = build(TINY).eval(), [sample("x", "cat", 0), sample("x", "dog", 1)]
    with pytest.raises(InputError, match="there are no two such clips"):
        list(mixes_of(net, two))
    (mix,) = mixes_of(net, [*two, sample("y", "dog", 2)])
    assert np.array_equal(mix.waves, [two[0].wave, noise(SAMPLES, 2)])


def test_the_last_second_of_a_clip_is_heard():
    """2.9 s of which the last 0.4 s sound, and a sound that comes only then."""
    net, late = build(TINY).eval(), noise(int(0.4 * RATE))
    wave = np.concatenate([np.zeros(int(2.5 * RATE), np.float32), late])
    torch.testing.assert_close(conditions.clip_centers(net, wave, 2), conditions.clip_centers(net, wave[-SAMPLES:], 2))
    first = np.concatenate([noise(2 * RATE, 1), np.zeros(int(0.9 * RATE), np.float32)])
    both = first.copy()
    both[-late.size :] = 0.3 * np.sin(np.arange(late.size))
    assert (conditions.clip_centers(net, first, 2) - conditions.clip_centers(net, both, 2)).abs().max() > 1e-3


def test_a_sound_that_goes_on_when_the_picture_has_ended_is_no_scene(tmp_path, monkeypatch):
    pictures = [np.full((64, 64, 3), 90, np.uint8)] * 40
    media.write_clip(tmp_path / "x.mp4", pictures, 10, noise(4 * RATE))
    read = media.read_clip(tmp_path / "x.mp4")
    long = dataclasses.replace(read, sound=noise(20 * RATE))
    monkeypatch.setattr("avcurriculum.video.videos.read_clip", lambda _: long)
    scenes, _ = video_scenes([tmp_path / "x.mp4"], build(TINY).eval())
    assert len(scenes.pool) == 2


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts"])
def test_a_picture_that_begins_late_is_looked_at_to_its_end(tmp_path, suffix):
    """Sound from 0 to 9 s; the picture, which gets brighter, from 3 s to 9 s."""
    import av

    with av.open(str(tmp_path / f"x.{suffix}"), "w") as target:
        video, sound = target.add_stream("libx264", rate=10), target.add_stream("aac", rate=RATE, layout="mono")
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        packets = []
        for i in range(60):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 + 3 * i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = 30 + i, Fraction(1, 10)
            packets += video.encode(frame)
        wave = av.AudioFrame.from_ndarray(noise(9 * RATE)[None], "fltp", "mono")
        wave.sample_rate, wave.pts = RATE, 0
        packets += [*video.encode(None), *sound.encode(wave), *sound.encode(None)]
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            target.mux(packet)
    read = media.read_clip(tmp_path / f"x.{suffix}")
    first, *_, last = (frame.time for frame in read_frames(read.path))
    assert last - first == pytest.approx(5.9, abs=0.01) and 0 <= read.seconds - last < 0.25
    heat = apply.localize_clip(read, build(TINY).eval(), every=0.5)
    assert abs(last - heat.times[-1]) < 0.5


def test_scenes_that_all_share_a_class_validate_nothing(packs, tmp_path):
    """The last step is kept where no validation is a number; of four classes two sources can be told apart, three cannot."""
    pack = packs["train"]
    some = list(pack.classes)[:4]
    few = dataclasses.replace(pack, sounds={c: pack.sounds[c] for c in some}, pictures={c: pack.pictures[c] for c in some})
    net = build(TINY)
    assert np.isnan(pair_accuracy(net, fill(Composer(few, 3), 12, net), 3))
    assert np.isfinite(pair_accuracy(net, fill(Composer(few, 2), 12, net), 2))
    settings = Training(batch=8, validate_every=2, warmup=0, keep_best=True)
    pools = {1: fill(Composer(few, 1), 16, net)}
    trainer = Trainer(net, pools, make("direct", 4, hardest=1), settings, lambda _: float("nan"))
    list(trainer.run())
    assert trainer.best is None and trainer.history.validation[-1][0] == 4
    with torch.no_grad():
        net.audio_projection[1].weight[0, 0] = torch.nan
    with pytest.raises(InputError, match=r"not finite, first audio_projection\.1\.weight: training has diverged"):
        save_model(net, tmp_path / "m.pt")
    one = fill(
        Composer(
            dataclasses.replace(few, sounds={some[0]: pack.sounds[some[0]]}, pictures={some[0]: pack.pictures[some[0]]}), 1
        ),
        4,
        net,
    )
    with pytest.raises(InputError, match="4 scenes show one class"):
        draw_mix(few, one, np.random.default_rng(0))


def test_few_classes_are_trained_and_measured_by_scenes_that_can_be_told_apart(packs, monkeypatch, capsys):
    def few(n):
        def pack(folder, split):
            some, full = list(packs[split].classes)[:n], packs[split]
            return dataclasses.replace(
                full, sounds={c: full.sounds[c] for c in some}, pictures={c: full.pictures[c] for c in some}
            )

        return pack

    net = build(TINY).eval()
    monkeypatch.setattr(training, "read_pack", few(4))
    material = training._composed(TrainOptions(scenes=16, batch=8), net, False, 0)
    assert material.asked == 2 and {len(c) for c in material.val.classes} == {2} and max(material.pools) == 3
    monkeypatch.setattr(evaluation, "read_pack", few(2))
    evaluation.evaluate_scenes(net, EvalOptions(scenes=4))
    out = capsys.readouterr().out
    assert "2 source(s)" in out and "3 source(s)" not in out and "pair accuracy is nan where no two of the scenes" in out


def test_looks_that_never_come_are_refused(clip):
    with pytest.raises(InputError, match="every = inf"):
        apply.localize_clip(media.read_clip(clip), build(TINY).eval(), every=np.inf)


@pytest.mark.parametrize("wrong", [{"scale": -1.0}, {"scale": 0.0}, {"learning_rate": np.nan}, {"seed": -1}])
def test_numbers_that_would_teach_the_opposite_or_nothing_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Training(**wrong)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("eval", "--scenes", "0"), "scenes = 0"),
        (
            ("eval", "--separator", "s.pt", "--negatives", "n.csv", "--annotations", "a.json"),
            "leave out --negatives, or --separator",
        ),
        (("compose", "--seed", "-1"), "seed = -1"),
        (("compose", "--look", "film", "--offscreen"), "leave out --offscreen"),
        (("demo", "--seed", "-1"), "seed = -1"),
    ],
)
def test_options_out_of_range_or_not_heeded_are_refused(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*words) == 2 and message in capsys.readouterr().err
    assert not list(Path().iterdir())
