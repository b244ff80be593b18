"""Videos: in, out with a heat map and the same sound, and files that are not what they should be."""

import numpy as np
import pytest
import torch

from avcurriculum import audio
from avcurriculum.network.model import Architecture, build
from avcurriculum.scenes.composer import LEVELS, Composer
from avcurriculum.scenes.pools import fill
from avcurriculum.separation.separate import Separator, SeparatorSettings
from avcurriculum.training.counting import fit_counter
from avcurriculum.video import apply, media
from avcurriculum.video.videos import complexity, hold_out, sounding_videos, video_scenes
from claimkit.errors import InputError
from claimkit.media.clip import read_frames

TINY = Architecture(widths=(4, 8, 8, 8), dim=8)


@pytest.fixture
def without(tmp_path):
    """A video without sound, and one without picture."""
    import av

    with av.open(str(tmp_path / "mute.mp4"), "w") as target:
        video = target.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        for i in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts = i
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
    audio.save(tmp_path / "blind.wav", np.ones(9000, np.float32))
    (tmp_path / "blind.wav").rename(tmp_path / "blind.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    return tmp_path


def test_a_clip_is_read(clip):
    read = media.read_clip(clip)
    assert (read.width, read.height, float(read.rate)) == (128, 96, 10.0)
    assert read.seconds == pytest.approx(3, abs=0.15) and abs(read.sound.size - 48_000) < 2_000
    assert np.abs(np.fft.rfft(read.sound[8_000:24_000])).argmax() == 440
    assert len(list(read_frames(clip))) == 30
    early, late, beyond = media.sample_frames(clip, [0.0, 2.0, 99.0])
    assert early[40, 15, 0] > 120 > early[40, 70, 0] and late[40, 55, 0] > 120 and beyond[40, 75, 0] > 120


def written(path, sounds, cover=False):
    """Two seconds of a grey picture, a track for each sound ``(channels, samples)``, and a cover picture in front."""
    import av

    with av.open(str(path), "w") as target:
        if cover:
            art = target.add_stream("mjpeg", rate=1)
            art.width, art.height, art.pix_fmt, art.disposition = 48, 48, "yuvj420p", av.stream.Disposition.attached_pic
        else:
            art = target.add_stream("libx264", rate=10)
            art.width, art.height, art.pix_fmt = 64, 64, "yuv420p"
        tracks = [target.add_stream("aac", rate=16_000, layout="stereo" if len(s) == 2 else "mono") for s in sounds]
        for _ in range(1 if cover else 20):
            frame = av.VideoFrame.from_ndarray(np.full((art.height, art.width, 3), 90, np.uint8), format="rgb24")
            target.mux(art.encode(frame.reformat(format=art.pix_fmt)))
        target.mux(art.encode(None))
        for track, sound in zip(tracks, sounds, strict=True):
            form = {"format": "fltp", "layout": "stereo" if len(sound) == 2 else "mono"}
            frame = av.AudioFrame.from_ndarray(sound.astype(np.float32), **form)
            frame.sample_rate = 16_000
            target.mux([*track.encode(frame), *track.encode(None)])
    return path


TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(32_000) / 16_000)[None]


@pytest.mark.parametrize(
    "sounds",
    [[0 * TONE, TONE], [np.concatenate([TONE, -TONE])], [0 * TONE, np.concatenate([TONE, -TONE])]],
    ids=["silent track first", "channels that cancel", "both"],
)
def test_the_track_or_channel_that_is_heard_is_read(sounds, tmp_path):
    """A silent first track, or a mix to nothing, was taken for a silent video."""
    sound = media.read_clip(written(tmp_path / "a.mp4", sounds)).sound
    assert audio.rms(sound) > 0.1 and np.abs(np.fft.rfft(sound[4_000:20_000])).argmax() == 440


def test_a_silent_video_stays_silent_and_a_cover_picture_is_no_video(tmp_path):
    silent = media.read_clip(written(tmp_path / "a.mp4", [0 * TONE, 0 * TONE]))
    with pytest.raises(InputError, match="is silent"):
        audio.audible(silent.sound, "it")
    with pytest.raises(InputError, match=r"b\.mp4 has no picture: a video is needed"):
        media.read_clip(written(tmp_path / "b.mp4", [TONE], cover=True))


def test_names_of_files_are_taken_as_text_too(clip, tmp_path):
    read, out = media.read_clip(str(clip)), str(tmp_path / "made.mp4")
    assert read.path == clip and len(list(media.sample_frames(str(clip), [0.0]))) == 1
    media.write_clip(out, [np.zeros((32, 32, 3), np.uint8)] * 10, 10, np.ones(16_000, np.float32))
    assert media.repaint(media.read_clip(out), out.replace("made", "again"), lambda time, frame: frame).frames == 10
    assert [p.name for p in media.folder_clips(str(tmp_path)).files] == ["again.mp4", "made.mp4"]


def test_the_heat_map_lies_over_the_video_and_the_sound_is_kept(clip, tmp_path):
    model = build(TINY).eval()
    read = media.read_clip(clip)
    heat = apply.localize_clip(read, model, sounds=2, every=0.5)
    assert heat.maps.shape[1:] == (2, 8, 8) and heat.maps.min() >= 0 and heat.maps.max() <= 1 + 1e-5
    out = tmp_path / "heat.mp4"
    media.repaint(read, out, lambda time, frame: apply.paint(frame, heat.at(time)))
    again = media.read_clip(out)
    np.testing.assert_allclose(again.sound, read.sound, atol=1e-6)
    pairs = list(zip(read_frames(clip), read_frames(out), strict=True))
    assert np.mean([np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in pairs]) > 2
    assert [a.time for a, _ in pairs] == pytest.approx([b.time for _, b in pairs], abs=5e-4)


def test_silence_is_not_lit_and_maps_are_linear_in_time():
    maps, there = np.stack([np.zeros((1, 2, 2)), np.ones((1, 2, 2))]), np.zeros((2, 1), bool)
    heat = apply.HeatMaps(np.array([0.0, 1.0]), maps, np.array([True, False]), there)
    assert heat.at(-1).max() == 0 and heat.at(0.25) == pytest.approx(0.25) and heat.at(9) == pytest.approx(1)
    shown = {"time": 1.0, "silent": False, "in_picture": [True], "center": [[0.5, 0.5]], "area": [1.0]}
    assert heat.places()[1] == shown and heat.places()[0]["center"] == [None]


def test_paint_by_hand():
    frame = np.full((4, 4, 3), 100, np.uint8)
    assert (apply.paint(frame, np.zeros((1, 2, 2))) == frame).all()
    painted = apply.paint(frame, np.ones((1, 2, 2)), strength=1.0)
    assert painted[0, 0].tolist() == [255, 70, 20]
    with pytest.raises(InputError, match="a frame of uint16: maps are laid over bytes"):
        apply.paint(frame.astype(np.uint16), np.ones((1, 2, 2)))


def test_a_frame_in_strips_is_the_frame_at_once():
    """Six maps over an odd frame of two strips: bilinear between the middles of the cells, one ink over the other."""
    rng = np.random.default_rng(0)
    frame, maps = rng.integers(0, 256, (97, 131, 3), np.uint8), rng.random((6, 5, 8)).astype(np.float32)
    expected = frame.astype(int)
    for i, m in enumerate(torch.nn.functional.interpolate(torch.from_numpy(maps)[None], (97, 131), mode="bilinear")[0]):
        ink = apply.COLORS[i % len(apply.COLORS)].numpy().astype(int)
        expected += (ink - expected) * (m.numpy() * 0.6 * 128).astype(int)[..., None] >> 7
    kept, painted = frame.copy(), apply.paint(frame, maps)
    assert np.abs(painted.astype(int) - expected).max() <= 1 and (frame == kept).all()
    assert np.shares_memory(apply.paint(frame, maps, in_place=True), frame) and (frame == painted).all()


def test_the_sounds_of_a_clip_are_as_long_as_it_is(clip):
    model, read = build(TINY).eval(), media.read_clip(clip)
    blind = SeparatorSettings(2, 3, 4, 4, 64, blind=True)
    for settings in (SeparatorSettings(8, 3, 4, 4, 64), blind):
        waves, maps = apply.separate_clip(read, model, Separator(settings).eval(), 2)
        assert waves.shape == (2, read.sound.size) and maps.shape == (2, 8, 8)
        np.testing.assert_allclose(waves.sum(0), read.sound, atol=1e-5)
    with pytest.raises(InputError, match="takes 2 sounds apart"):
        apply.separate_clip(read, model, Separator(blind), 3)
    with pytest.raises(InputError, match="expected at least two"):
        apply.separate_clip(read, model, Separator(blind), 1)
    with pytest.raises(InputError, match="wants conditions of size 5"):
        apply.separate_clip(read, model, Separator(SeparatorSettings(5, 3, 4, 4, 64)), 2)


def test_videos_without_sound_or_picture_and_other_files_are_named(without, clip, tmp_path):
    wrong = {"mute": "has no sound", "blind": "has no picture", "text": "is not a video", "no": "does not exist"}
    for name, sentence in wrong.items():
        with pytest.raises(InputError, match=rf"{name}\.mp4 {sentence}"):
            media.read_clip(without / f"{name}.mp4")
    with pytest.raises(InputError, match=r"none of 3 video\(s\) has two seconds of picture with sound: .*blind"):
        video_scenes(media.folder_clips(without).files, build(TINY))
    (without / "good.mp4").write_bytes(clip.read_bytes())
    scenes, skipped = video_scenes(media.folder_clips(without).files, build(TINY))
    assert len(scenes.pool) == 1 and len(skipped) == 3
    with pytest.raises(InputError, match="is no folder"):
        media.folder_clips(without / "nothing")


def test_a_silent_clip_is_refused(tmp_path):
    media.write_clip(tmp_path / "s.mp4", [np.zeros((32, 32, 3), np.uint8)] * 10, 10, np.zeros(16_000, np.float32))
    with pytest.raises(InputError, match="is silent"):
        apply.localize_clip(media.read_clip(tmp_path / "s.mp4"), build(TINY))


def test_an_interrupted_repainting_leaves_nothing(clip, tmp_path):
    def stop(time, frame):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        media.repaint(media.read_clip(clip), tmp_path / "x.mp4", stop)
    assert not list(tmp_path.iterdir())


def test_a_folder_of_videos_becomes_scenes_that_are_grouped_by_complexity(folder_of_videos, packs):
    net = build(TINY).eval()
    pools = {k: fill(Composer(packs["train"], LEVELS[k], seed=k), 40, net) for k in (1, 2)}
    counter = fit_counter(pools)
    scenes, skipped = video_scenes(media.folder_clips(folder_of_videos).files, net)
    assert len(skipped) == 1 and set(scenes.videos) == {0, 1, 2} and len(scenes.pool) in (8, 9)  # number 3 is the text
    assert torch.isfinite(scenes.pool.audio).all()
    for picture, color in zip(scenes.pictures[[0, -1]], (0, 2), strict=True):
        assert picture[28, 20].argmax() == color and picture[28, 20, color] > 120 > picture[60, 60, color]
    level = complexity(scenes.pool, counter, 2, batch=3)
    assert all(n >= 3 for n in np.bincount(level)[1:]) and 1 in level
    assert set(complexity(scenes.pool, counter, 2, batch=5)) == {1}, "two numbers cannot both have five of nine scenes"
    assert set(complexity(scenes.pool, None, 1, batch=5)) == {1}
    with pytest.raises(InputError, match=r"the videos give \d scenes"):
        complexity(scenes.pool, counter, 2, batch=10)


def test_every_tenth_video_is_held_out_where_there_are_more_than_ten(clip):
    net = build(TINY).eval()
    few, none = hold_out(video_scenes([clip] * 10, net)[0])
    assert none is None and len(few.pool) == 10
    many, held = hold_out(video_scenes([clip] * 11, net)[0])
    assert set(many.videos) == set(range(1, 10)) and held.classes == [(0,), (10,)]


def test_videos_as_a_pack_pair_each_picture_with_the_sound_of_its_video(folder_of_videos):
    scenes, _ = video_scenes(media.folder_clips(folder_of_videos).files, build(TINY).eval())
    simple = scenes.videos > 0  # b and c
    pack, shown = sounding_videos(scenes, simple)
    assert pack.classes == ("000000", "000001") and len(shown) == simple.sum()
    for (v,), picture in zip(shown.classes, shown.visual, strict=True):
        assert picture[28, 20].argmax() == v + 1
        pitch = [np.abs(np.fft.rfft(s)).argmax() / 2 for s in pack.sounds[pack.classes[v]]]
        assert pitch == pytest.approx([(900, 2000)[v]] * len(pitch), abs=2)
    with pytest.raises(InputError, match="fewer than two have scenes with one sound"):
        sounding_videos(scenes, scenes.videos == 0)
