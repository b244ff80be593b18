"""Videos as cameras and programs make them, one property each; what came out is read by PyAV's own demuxer and decoder."""

import gc
import itertools
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.sidedata.sidedata import Type
from av.video.reformatter import Interpolation

from claimkit.errors import InputError
from claimkit.media import policy, stream, writing
from claimkit.media.batch import plan
from claimkit.media.clip import clip_info, read_frames, read_sound, sample_frames
from claimkit.media.colour import hdr
from claimkit.media.colour.video import VideoColour, from_rgb, to_rgb
from claimkit.media.depth.values import read_values
from claimkit.media.frames import transform_frames
from claimkit.media.options import ClipOptions
from claimkit.media.picture import Picture, write_picture
from claimkit.media.reading import read_picture
from claimkit.media.stream import Reader, open_clip
from claimkit.media.tracks import HEADER
from claimkit.media.writing import LIBRARY, VideoWriter, rewrite_clip

SCALER = {1: 1, 5: 5, 6: 5, 7: 7, 9: 9}
EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
EVEN, ODD = list(range(0, 320, 40)), [0, 40, 80, 120, 360, 600, 640, 1000]  # milliseconds: constant and variable rate
RATE, MILLI = 8000, Fraction(1, 1000)


def picture(height=48, width=64, step=0):
    """Smooth waves, which every codec keeps."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x + step) / 17) * np.cos(y / 15), np.cos((x + step) / 19) * np.sin(y / 14), np.sin((x + y + step) / 21)]
    return np.round(127.5 + 87 * np.stack(waves, -1)).astype(np.uint8)


def patches(colours, height=48, width=96):
    """Flat stripes."""
    array = np.asarray(colours)
    array = array.astype(np.uint8) if array.dtype.kind == "i" else array
    return np.repeat(np.repeat(array[None], height, 0), width // len(colours), 1)


def make(path, times=EVEN, base=MILLI, codec="libx264", form="yuv420p", tags=(6, 1, 6, 6), pictures=None, **more):
    """A clip: ``times`` in milliseconds, ``tags`` matrix, range, primaries and transfer; sound, text, turn, shape."""
    sound, tracks = more.get("sound", "aac"), more.get("tracks", 0)
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25, options=more.get("options", {"crf": "4"} if codec == "libx264" else {}))
        pictures = [picture(step=k) for k in range(len(times))] if pictures is None else pictures
        video.height, video.width, video.pix_fmt = *pictures[0].shape[:2], form
        context = video.codec_context
        context.time_base, context.sample_aspect_ratio = base, more.get("aspect", Fraction(1))
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = tags
        if "turn" in more:
            video.set_display_rotation(more["turn"])
        if "matrix" in more:
            video.set_display_matrix(more["matrix"])
        sounds = [out.add_stream(sound, rate=RATE, layout="mono") for _ in range(tracks)]
        for stream, language in zip(sounds, ("deu", "eng"), strict=False):
            stream.metadata["language"] = language
        if "text" in more:
            text = out.add_stream(more["text"])
            text.codec_context.subtitle_header = HEADER
        out.metadata.update(more.get("metadata", {}))
        packets = []
        for pixels, time in zip(pictures, times, strict=True):
            name = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name).reformat(
                format=form,
                dst_colorspace=SCALER.get(tags[0], 5),
                src_color_range=2,
                dst_color_range=tags[1] or 1,
                interpolation=EXACT,
            )
            frame.pts, frame.time_base = round(time / 1000 / base), base
            packets += video.encode(frame)
        packets += video.encode(None)
        for number, stream in enumerate(sounds):
            wave = 0.3 * np.sin(2 * np.pi * 200 * (number + 1) * np.arange(RATE * (times[-1] + 200) // 1000) / RATE)
            whole = "pcm" in sound or sound == "flac"
            wave = (np.round(wave * 32767).astype(np.int16) if whole else wave.astype(np.float32))[None]
            frame = av.AudioFrame.from_ndarray(wave, format="s16" if whole else "fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, more.get("delay", 0) * RATE // 1000, Fraction(1, RATE)
            packets += [*stream.encode(frame), *stream.encode(None)]
        for number, line in enumerate((b"first line", b"second") if "text" in more else ()):
            packet = av.Packet(len(line).to_bytes(2, "big") + line if more["text"] == "mov_text" else line)
            packet.pts = packet.dts = 200 * number
            packet.duration, packet.time_base, packet.stream = 100, Fraction(1, 1000), text
            packets.append(packet)
        for packet in sorted(packets, key=lambda p: float(p.dts * p.time_base)):
            out.mux(packet)
    return path


def times_of(path):
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def packets_of(path, **stream):
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(**stream) if packet.size]


def shown(path):
    """The frames as swscale decodes them by their own tags, not turned."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [
            frame.reformat(
                format="rgb24",
                src_colorspace=SCALER[int(frame.colorspace)],
                src_color_range=int(frame.color_range),
                dst_color_range=2,
                interpolation=EXACT,
            ).to_ndarray()
            for frame in frames
        ]


def tags_of(path):
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return int(frame.colorspace), int(frame.color_range), int(frame.color_primaries), int(frame.color_trc)


def same(frame):
    return frame.pixels


@pytest.mark.parametrize("after", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("before", ["constant", "variable", "late", "mkv", "90 kHz", "NTSC", "transport stream", "avi"])
def test_frames_keep_their_times(tmp_path, before, after):
    if before == "NTSC":
        source = make(tmp_path / "a.mp4", [k * 1001 / 30 for k in range(8)], Fraction(1001, 30_000))
    elif before in ("transport stream", "avi"):
        source = make(tmp_path / ("a.ts" if before != "avi" else "a.avi"), EVEN, Fraction(1, 25), codec="mpeg4")
    else:
        times, base = (EVEN, Fraction(1, 1000)) if before == "constant" else (ODD, Fraction(1, 1000))
        times = [700 + t for t in times] if before == "late" else times
        base = Fraction(1, 90_000) if before == "90 kHz" else base
        source = make(tmp_path / ("a.mkv" if before in ("mkv", "late") else "a.mp4"), times, base, tracks=1)
    wanted = times_of(source)
    assert before != "late" or wanted[0] == 0.7
    report = rewrite_clip(source, tmp_path / f"b.{after}", same)
    assert np.abs(np.subtract(times_of(tmp_path / f"b.{after}"), wanted)).max() <= 0.0005 + 1e-9
    assert report.frames == 8 and report.seconds == pytest.approx(wanted[-1] - wanted[0], abs=1e-3)


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (6, 1, 6, 6), (5, 1, 5, 6), (1, 2, 1, 1), (5, 2, 5, 6), (7, 1, 7, 7)])
def test_the_identity_keeps_colours_and_their_tags(tmp_path, tags):
    source = make(tmp_path / "a.mp4", tags=tags)
    rewrite_clip(source, tmp_path / "b.mp4", same, ClipOptions(quality=95))
    assert tags_of(tmp_path / "b.mp4") == tags == tags_of(source)
    assert np.abs(np.subtract(shown(tmp_path / "b.mp4"), shown(source), dtype=float)).mean() <= 2
    first = next(read_frames(source)).pixels
    assert np.abs(first.astype(float) - picture()).mean() <= 2, "not the colours that were put in"


@pytest.mark.parametrize("colour", [(32, 176, 64), (200, 30, 30), (20, 20, 220)])
@pytest.mark.parametrize("size", [(720, 1280), (48, 64)])
def test_flat_colours_are_shown_within_two(tmp_path, colour, size):
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        for _ in range(2):
            writer.write(torch.tensor(colour).float()[:, None, None].expand(3, *size) / 255)
    assert tags_of(tmp_path / "a.mp4")[0] == (1 if size[0] == 720 else 6)
    assert np.abs(shown(tmp_path / "a.mp4")[0].astype(float) - colour).max() <= 2


@pytest.mark.parametrize("size, matrix", [((48, 64), 6), ((576, 64), 5), ((720, 64), 6), ((48, 1280), 1)])
def test_untagged_video_is_taken_as_players_take_it(tmp_path, size, matrix):
    flat = np.full((*size, 3), (30, 160, 90), np.uint8)
    source = make(tmp_path / "a.mkv", [0, 40], tags=(matrix, 1, 2, 2), pictures=[flat] * 2)
    untagged = tmp_path / "b.avi"
    with av.open(str(source)) as given, av.open(str(untagged), "w") as out:
        video = out.add_stream("mpeg4", rate=25, options={"qscale": "2"})
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        for k, frame in enumerate(given.decode(video=0)):
            frame.pts, frame.time_base = k, Fraction(1, 25)
            frame.colorspace = frame.color_range = frame.color_primaries = frame.color_trc = 2
            frame.color_range = 0
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    assert tags_of(untagged)[0] == 2
    assert np.abs(next(read_frames(untagged)).pixels.astype(float) - (30, 160, 90)).max() <= 4
    rewrite_clip(untagged, tmp_path / "c.mp4", same)
    assert np.abs(shown(tmp_path / "c.mp4")[0].astype(float) - (30, 160, 90)).max() <= 4


def test_all_sounds_are_copied_bit_by_bit_with_their_languages(tmp_path):
    source = make(tmp_path / "a.mp4", ODD, tracks=2, metadata={"title": "Film", "comment": "mine"})
    for suffix in ("mp4", "mkv", "mov"):
        rewrite_clip(source, tmp_path / f"b.{suffix}", same)
        for track in (0, 1):
            assert packets_of(tmp_path / f"b.{suffix}", audio=track) == packets_of(source, audio=track) != []
        with av.open(str(tmp_path / f"b.{suffix}")) as container:
            assert container.metadata.get("title", container.metadata.get("TITLE")) == "Film"
            assert suffix == "mov" or [s.metadata.get("language") for s in container.streams.audio] == ["deu", "eng"]
    rewrite_clip(source, tmp_path / "c.mp4", same, ClipOptions(strip=True))
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert "title" not in container.metadata and len(container.streams.audio) == 2


def test_sound_stays_in_step_where_it_begins_later(tmp_path):
    source = make(tmp_path / "a.mkv", ODD, tracks=1, delay=300, sound="flac")
    rewrite_clip(source, tmp_path / "b.mp4", same)
    for path in (source, tmp_path / "b.mp4"):
        sound = read_sound(path, RATE)
        assert abs(int(np.flatnonzero(np.abs(sound) > 0.01)[0]) - 0.3 * RATE) < 20, path


@pytest.mark.parametrize("sound, suffix, becomes", [
    ("aac", "webm", "opus"), ("pcm_s16le", "mp4", "pcm_s16le"), ("flac", "m4v", "aac"), ("flac", "webm", "opus"),
])  # fmt: skip
def test_sound_that_a_container_cannot_hold_is_changed_with_a_word(tmp_path, sound, suffix, becomes):
    source = make(tmp_path / "a.mkv", EVEN, tracks=1, sound=sound)
    report = rewrite_clip(source, tmp_path / f"b.{suffix}", same)
    with av.open(str(tmp_path / f"b.{suffix}")) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == becomes
    assert any("cannot hold its sound" in note for note in report.notes) == (becomes != sound)
    was, now = (read_sound(p, 16_000) for p in (source, tmp_path / f"b.{suffix}"))
    level = [np.sqrt(np.mean(s[2000:6000] ** 2)) for s in (was, now)]
    assert level[1] == pytest.approx(level[0], rel=0.1) and abs(was.size - now.size) < 1600


@pytest.mark.parametrize("before, text, after, wanted", [
    ("mkv", "subrip", "mp4", "mov_text"), ("mp4", "mov_text", "mkv", "subrip"), ("mkv", "subrip", "mkv", "subrip"),
    ("mp4", "mov_text", "webm", "webvtt"), ("mp4", "mov_text", "mov", "mov_text"),
])  # fmt: skip
def test_subtitles_come_along(tmp_path, before, text, after, wanted):
    source = make(tmp_path / f"a.{before}", EVEN, text=text)
    rewrite_clip(source, tmp_path / f"b.{after}", same)
    with av.open(str(tmp_path / f"b.{after}")) as container:
        assert container.streams.subtitles[0].codec_context.codec.canonical_name == wanted
        packets = [p for p in container.demux(subtitles=0) if b"first line" in bytes(p) or b"second" in bytes(p)]
        assert [round(float(p.pts * p.time_base), 2) for p in packets] == [0, 0.2]


def turned_scene():
    """Upright: a red top left corner."""
    scene = picture(64, 48)
    scene[:16, :12] = (220, 20, 20)
    return scene


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_clip_is_set_upright_once(tmp_path, turn):
    scene = turned_scene()
    lying = np.rot90(scene, turn // 90)
    for sign in (turn, -turn):  # whichever way the library counts: the file that shows upright is meant
        source = make(tmp_path / "a.mp4", [0, 40], pictures=[lying] * 2, turn=sign, tags=(1, 1, 1, 1))
        with av.open(str(source)) as container:
            frame = next(container.decode(video=0))
            if np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)[4, 4, 0] > 150:
                break
    info = clip_info(source)
    assert (info.height, info.width) == (64, 48)
    frame = next(read_frames(source)).pixels
    assert frame.flags.c_contiguous, "torch takes no negative strides"
    assert frame.shape == (64, 48, 3) and np.abs(frame[4, 4].astype(int) - (220, 20, 20)).max() < 12
    rewrite_clip(source, tmp_path / "b.mp4", same)
    with av.open(str(tmp_path / "b.mp4")) as container:
        again = next(container.decode(video=0))
        assert again.rotation == 0 and (again.height, again.width) == (64, 48)
    assert np.abs(shown(tmp_path / "b.mp4")[0].astype(float) - scene).mean() < 4


def test_a_mirrored_clip_is_set_right(tmp_path):
    scene = turned_scene()
    mirror = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    source = make(tmp_path / "a.mp4", [0, 40], pictures=[scene[:, ::-1]] * 2, matrix=mirror)
    with av.open(str(source)) as container:
        assert next(container.decode(video=0)).side_data.get(Type.DISPLAYMATRIX) is not None
    assert np.abs(next(read_frames(source)).pixels[4, 4].astype(int) - (220, 20, 20)).max() < 12


@pytest.mark.parametrize("turn", [0, 90])
def test_the_shape_of_pixels_stays(tmp_path, turn):
    source = make(tmp_path / "a.mp4", EVEN, aspect=Fraction(4, 3), turn=turn)
    rewrite_clip(source, tmp_path / "b.mp4", same)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == (Fraction(3, 4) if turn else Fraction(4, 3))


@pytest.mark.parametrize("form", ["yuv444p", "yuv422p", "yuv420p10le", "yuvj420p", "gray"])
def test_pixel_formats_are_read(tmp_path, form):
    codec = "mjpeg" if form == "yuvj420p" else "ffv1" if form == "gray" else "libx264"
    tags = (5, 2, 5, 6) if form == "yuvj420p" else (6, 1, 6, 6)
    options = {"qmax": "2"} if codec == "mjpeg" else {}
    source = make(tmp_path / "a.mkv", [0, 40], form=form, codec=codec, tags=tags, options=options)
    frame = next(read_frames(source)).pixels.astype(float)
    if form == "gray":
        luma = picture() @ (0.299, 0.587, 0.114)
        assert np.abs(frame[..., 0] - luma).mean() < 12 and np.ptp(frame, -1).max() == 0
    else:
        assert np.abs(frame - picture()).mean() < 3


def test_an_animated_picture_is_a_clip(tmp_path):
    from PIL import Image

    frames = [Image.fromarray(patches([(250, 0, 0), (0, 0, 40 * k)])).quantize(16) for k in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[100, 300, 100, 100])
    rewrite_clip(tmp_path / "a.gif", tmp_path / "b.mp4", same)
    assert times_of(tmp_path / "b.mp4") == pytest.approx([0, 0.1, 0.4, 0.5], abs=1e-3)
    assert shown(tmp_path / "b.mp4")[0][20, 10, 0] > 230 and tags_of(tmp_path / "b.mp4")[0] == 1


def hlg(light):
    e = np.asarray(light, float)
    return np.where(e <= 1 / 12, np.sqrt(3 * e), 0.17883277 * np.log(np.maximum(12 * e - 0.28466892, 1e-9)) + 0.55991073)


def pq(nits):
    power = (np.asarray(nits, float) / 10000) ** hdr.M1
    return ((hdr.C1 + hdr.C2 * power) / (1 + hdr.C3 * power)) ** hdr.M2


RED = np.linalg.solve(hdr.TO_709, (1.0, 0.0, 0.0))  # BT.709's red in BT.2020's primaries
SIGNALS = {18: [[0.75] * 3, [0.5] * 3, hlg(0.265 * RED)], 16: [[pq(203)] * 3, [pq(30)] * 3, pq(203 * RED)]}


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_becomes_sdr_by_a_named_curve_or_stays(tmp_path, transfer):
    coded = np.round(patches(np.clip(SIGNALS[transfer], 0, 1)) * 65535).astype(np.uint16)
    source = make(tmp_path / "a.mp4", [0, 40], form="yuv420p10le", tags=(9, 1, 9, transfer), pictures=[coded] * 2)
    assert clip_info(source).colour == VideoColour(9, 1, 9, transfer)
    report = rewrite_clip(source, tmp_path / "b.mp4", same)
    assert "BT.2390" in report.notes[0] and hdr.NAMES[transfer] in report.notes[0]
    assert tags_of(tmp_path / "b.mp4") == (1, 1, 1, 1)
    white, grey, red = shown(tmp_path / "b.mp4")[0][24, 16::32].astype(float)
    assert white.min() > 225 and np.ptp(white) <= 2 and 90 < grey.mean() < 140 and red[0] > 215 and red[1:].max() < 25
    if "libx265" not in av.codecs_available:
        return
    kept = rewrite_clip(source, tmp_path / "c.mp4", same, ClipOptions(hdr="keep", quality=95))
    assert kept.notes == () and tags_of(tmp_path / "c.mp4") == (9, 1, 9, transfer)
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p10le"
    first = next(read_frames(tmp_path / "c.mp4", hdr="keep")).pixels
    assert first.dtype == np.uint16 and np.abs(first[24, 16::32] / 65535 - np.clip(SIGNALS[transfer], 0, 1)).max() < 0.02


def test_the_curve_is_smooth_and_keeps_what_is_dark():
    light = np.linspace(0, 1000, 500)
    out = hdr.roll_off(light, 1000)
    assert (np.diff(out) > -1e-6).all() and out[-1] == pytest.approx(hdr.WHITE, rel=1e-3)
    assert np.abs(out - light)[light < 60].max() < 1e-6 and np.abs(hdr.pq_light(hdr.pq_signal(light)) - light).max() < 1e-6


@pytest.mark.parametrize("primaries, name", [(9, "BT.2020"), (12, "Display P3")])
def test_wide_primaries_are_converted(tmp_path, primaries, name):
    from claimkit.media.colour import icc

    grey_and_warm = np.array([(128, 128, 128), (180, 90, 70), (90, 140, 100)], np.uint8)
    matrix = np.linalg.solve(icc.rgb_to_xyz(icc.PRIMARIES["sRGB"]), icc.rgb_to_xyz(icc.PRIMARIES[name]))
    wanted = 255 * icc.srgb_encode(np.clip(icc.srgb_decode((grey_and_warm / 255).astype(np.float32)) @ matrix.T, 0, 1))
    tags = (9, 1, 9, 14) if primaries == 9 else (1, 1, 12, 13)
    source = make(tmp_path / "a.mp4", [0, 40], tags=tags, form="yuv420p10le", pictures=[patches(grey_and_warm)] * 2)
    notes = []
    frame = next(iter(list(read_frames(source, notes=notes)))).pixels
    assert np.abs(frame[24, 16::32] - wanted).max() <= 4 and "beyond sRGB" in notes[0]


@pytest.mark.parametrize("cut", ["tail", "middle"])
def test_damaged_files_are_used_as_far_as_they_go_with_a_word(tmp_path, cut):
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    source = make(
        tmp_path / "a.mkv", list(range(0, 1600, 40)), pictures=list(noise), codec="mjpeg", form="yuvj420p", tags=(5, 2, 5, 6)
    )
    data = bytearray(source.read_bytes())
    if cut == "tail":
        data = data[: len(data) * 2 // 3]
    else:
        data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    source.write_bytes(data)
    report = rewrite_clip(source, tmp_path / "b.mp4", same)
    assert 15 <= report.frames < 40 and len(times_of(tmp_path / "b.mp4")) == report.frames
    assert any("damaged" in note or "cut" in note for note in report.notes), "less than there was, without a word"


def test_a_cut_mp4_says_how_much_is_missing(tmp_path):
    source = make(tmp_path / "a.mp4", list(range(0, 1600, 40)), options={"movflags": "faststart", "crf": "4"})
    with av.open(str(source)) as given, av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    data = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "fast.mp4").write_bytes(data[: len(data) * 3 // 4])
    report = rewrite_clip(tmp_path / "fast.mp4", tmp_path / "b.mp4", same)
    assert 5 < report.frames < 40 and any("damaged" in n or "of 40" in n or "40 frames" in n for n in report.notes)


@pytest.mark.parametrize("encoder, suffix, codec", [
    ("h264", "mkv", "h264"), ("hevc", "mp4", "hevc"), ("vp9", "webm", "vp9"), ("av1", "mkv", "av1"),
    ("prores", "mov", "prores"), ("ffv1", "mkv", "ffv1"),
])  # fmt: skip
def test_encoders_by_name(tmp_path, encoder, suffix, codec):
    if LIBRARY[encoder] not in av.codecs_available:
        pytest.skip(f"this PyAV has no {LIBRARY[encoder]}")
    large = [picture(64, 96, k) for k in range(3)]
    source = make(tmp_path / "a.mp4", [0, 40, 200], pictures=large)
    rewrite_clip(source, tmp_path / f"b.{suffix}", same, ClipOptions(encoder, 90))
    with av.open(str(tmp_path / f"b.{suffix}")) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
    assert times_of(tmp_path / f"b.{suffix}") == pytest.approx(times_of(source), abs=1e-3)
    assert np.abs(np.subtract(shown(tmp_path / f"b.{suffix}"), shown(source), dtype=float)).mean() < 3


def test_quality_counts_and_what_does_not_fit_is_refused(tmp_path):
    noise = list(np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), np.uint8))
    source = make(tmp_path / "a.mp4", [0, 40, 80, 120], pictures=noise)
    sizes = []
    for quality in (20, 95):
        rewrite_clip(source, tmp_path / "b.mp4", same, ClipOptions(quality=quality))
        sizes.append((tmp_path / "b.mp4").stat().st_size)
    assert sizes[0] < 0.5 * sizes[1]
    for name, options, sentence in (
        ("c.avi", ClipOptions(), r"write videos as \.mp4"),
        ("c.webm", ClipOptions("h264"), r"\.webm does not hold h264: use \.mkv, or --encoder vp9"),
        ("c.mp4", ClipOptions("ffv1"), r"\.mp4 does not hold ffv1"),
    ):
        with pytest.raises(InputError, match=sentence):
            rewrite_clip(source, tmp_path / name, same, options)
    with pytest.raises(InputError, match="quality = 101"):
        ClipOptions(quality=101)


@pytest.mark.parametrize("size", [(47, 63), (1, 1), (2, 130)])
def test_odd_sizes_are_made_even(tmp_path, size):
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        writer.write(np.full((*size, 3), 90, np.uint8))
    frame = shown(tmp_path / "a.mp4")[0]
    assert frame.shape[:2] == (size[0] + size[0] % 2, size[1] + size[1] % 2) and np.abs(frame.astype(int) - 90).max() <= 2


def test_frames_are_shrunk_by_area_while_they_are_read(tmp_path):
    source = make(tmp_path / "a.mp4", [0, 40], pictures=[picture(64, 256)] * 2)
    assert next(read_frames(source, side=64)).pixels.shape == (32, 128, 3)


def test_the_frame_that_is_shown_at_a_time(tmp_path):
    flat = [np.full((48, 64, 3), 40 + 20 * k, np.uint8) for k in range(8)]
    source = make(tmp_path / "a.mp4", ODD, pictures=flat)
    wanted = [0.0, 0.05, 0.36, 0.5, 0.99, 1.0, 5.0, 6.0]
    levels = [float(f.pixels.mean()) for f in sample_frames(source, wanted)]
    assert np.round((np.array(levels) - 40) / 20).tolist() == [0, 1, 4, 4, 6, 7, 7, 7]


def test_sound_is_read_with_its_gaps_and_its_start(tmp_path):
    source = make(tmp_path / "a.mkv", ODD, tracks=2, sound="flac")
    sound = read_sound(source, 16_000, track=1)
    assert abs(sound.size - 19_200) < 50 and np.abs(np.fft.rfft(sound[:16_000])).argmax() == 400
    with pytest.raises(InputError, match="has no sound track 5"):
        read_sound(source, 16_000, track=5)


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    with (tmp_path / "zeros.mp4").open("wb") as file:
        file.truncate(4 << 30)
    make(tmp_path / "good.mp4", [0, 40], tracks=1)
    with av.open(str(tmp_path / "sound.mka"), "w") as out:
        stream = out.add_stream("flac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    for name, sentence in (
        ("text", "is not a video"), ("empty", "is not a video"), ("zeros", "is not a video"), ("none", "does not exist"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=rf"{name}\.mp4 {sentence}"):
            rewrite_clip(tmp_path / f"{name}.mp4", tmp_path / "out.mp4", same)
    with pytest.raises(InputError, match="has no picture"):
        clip_info(tmp_path / "sound.mka")
    assert not (tmp_path / "out.mp4").exists()


def test_an_interruption_leaves_nothing(tmp_path):
    source = make(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"what was there")

    def stop(frame):
        if frame.pts:
            raise KeyboardInterrupt
        return frame.pixels

    with pytest.raises(KeyboardInterrupt):
        rewrite_clip(source, tmp_path / "b.mp4", stop)
    with pytest.raises(InputError, match="those before it had 64 x 48"):
        rewrite_clip(source, tmp_path / "b.mp4", lambda f: f.pixels if f.pts == 0 else f.pixels[:-2])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]
    assert (tmp_path / "b.mp4").read_bytes() == b"what was there"


def test_memory_does_not_grow_with_length(tmp_path):
    """Six seconds against one of 320 x 240 with sound: the frames between are 34 MB."""
    grown = []
    for seconds in (1, 6):
        pictures = itertools.repeat(picture(240, 320), 25 * seconds)
        source = make(
            tmp_path / f"{seconds}.mp4", list(range(0, 1000 * seconds, 40)), pictures=list(pictures), tracks=1, codec="mpeg4"
        )
        code = (
            "import resource, sys; from pathlib import Path; from claimkit.media.writing import rewrite_clip\n"
            "rewrite_clip(Path(sys.argv[1]), Path(sys.argv[1] + '.mp4'), lambda f: f.pixels)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        done = subprocess.run([sys.executable, "-c", code, source], capture_output=True, text=True, check=True)
        grown.append(float(done.stdout))
    assert grown[1] - grown[0] < 20


@pytest.mark.parametrize(
    ("size", "ahead", "others"),
    [((64, 48), 40, 3), ((1280, 720), 22, 3), ((1920, 1080), 10, 3), ((2560, 1440), 5, 3), ((3840, 2160), 2, 1)],
)
def test_what_an_encoder_holds_grows_neither_with_the_frame_nor_with_the_machine(tmp_path, monkeypatch, size, ahead, others):
    """x264 writes its settings into the stream: there they are read."""
    assert 1 <= stream.THREADS <= 4
    monkeypatch.setattr(stream, "THREADS", 3)
    monkeypatch.setattr(writing, "THREADS", 3)
    with VideoWriter(tmp_path / "a.mp4") as writer:
        writer.write(np.zeros((*size[::-1], 3), np.uint8))
    said = (tmp_path / "a.mp4").read_bytes()
    for setting in (f"rc_lookahead={ahead}", f"ref={others}", f"bframes={others}"):
        assert f" {setting} ".encode() in said
    assert f" threads={3 if size[1] > 48 else 1} ".encode() in said
    with open_clip(tmp_path / "a.mp4") as container:
        decoder = Reader(container, tmp_path / "a.mp4").stream.codec_context
        assert decoder.thread_count == 3 and decoder.thread_type.name == ("SLICE" if size[1] > 1440 else "AUTO")


def test_names_of_files_are_taken_as_text_too(tmp_path):
    """Every public function of the media modules."""
    source, picture_file, out = make(tmp_path / "a.mp4", tracks=1), tmp_path / "a.png", str(tmp_path / "out.mp4")
    write_picture(str(picture_file), Picture(picture()))
    assert read_picture(str(picture_file)).size == (64, 48) and read_values(str(picture_file)).numbers.shape == (48, 64, 3)
    assert clip_info(str(source)).path == source and len(list(read_frames(str(source)))) == len(EVEN)
    assert len(list(sample_frames(str(source), [0.0]))) == 1 and read_sound(str(source), 8000).size > 0
    assert rewrite_clip(str(source), out, same).frames == transform_frames(str(source), out, same).frames == len(EVEN)
    with VideoWriter(out) as writer:
        writer.write(picture())
    with pytest.raises(InputError, match="would replace the input"):
        policy.check_results([out], [out])
    assert policy.list_pictures(str(tmp_path)).files == [picture_file]
    assert policy.list_clips(str(tmp_path)).files == [source, tmp_path / "out.mp4"]
    assert policy.name_results([["a/b.png", "c.jpg"]], "d", ".png") == [Path("d/b-c.png")]
    assert plan(str(tmp_path), [str(picture_file)], str(tmp_path / "new.png"), ".png").tasks[0].target.name == "new.png"


def test_a_folder_holds_the_frames_of_one_clip(tmp_path):
    clips = [make(tmp_path / f"{n}.mp4", list(range(0, 40 * n, 40)), pictures=[picture(16, 16)] * n) for n in (4, 2)]
    out = tmp_path / "out"
    assert transform_frames(clips[0], out, lambda f: f.rgb).frames == 4
    (out / "mine.png").write_bytes(b"")
    before = sorted(p.name for p in out.iterdir())
    with pytest.raises(InputError, match="holds frames already"):
        transform_frames(clips[1], out, lambda f: f.rgb, ClipOptions(existing="refuse"))
    skipped = transform_frames(clips[1], out, lambda f: f.rgb, ClipOptions(existing="skip"))
    assert skipped.frames == 0 and "skipped" in skipped.notes[0]
    assert sorted(p.name for p in out.iterdir()) == before
    transform_frames(clips[1], out, lambda f: f.rgb)
    assert sorted(p.name for p in out.iterdir()) == ["000000.png", "000001.png", "mine.png"]


def test_no_frame_waits_for_a_sweep_to_be_freed(tmp_path):
    """A frame whose side data was looked at is freed by the next collection of cycles alone: that may be one in the file."""
    source = make(tmp_path / "a.mp4", list(range(0, 2000, 40)), codec="mpeg4", pictures=[picture(16, 16)] * 50)
    gc.collect()
    gc.disable()
    try:
        before = sum(type(o) is av.VideoFrame for o in gc.get_objects())
        assert sum(1 for _ in read_frames(source)) == 50
        assert sum(1 for _ in sample_frames(source, np.arange(0, 2, 0.04))) == 50
        assert sum(type(o) is av.VideoFrame for o in gc.get_objects()) - before <= 2
    finally:
        gc.enable()


def read_of_fuzzed(tmp_path, count):
    """How many of so many clips with damaged headers are read; the others raise one sentence, and no file is left."""
    rng, forms, read = np.random.default_rng(20), ("mp4", "mkv", "avi", "webm", "ts"), 0
    whole = {}
    for form in forms:
        codec = "libvpx-vp9" if form == "webm" else "mpeg4"
        buffer = make(tmp_path / f"whole.{form}", [0, 40], Fraction(1, 25), codec=codec, pictures=[picture(16, 16)] * 2)
        whole[form] = buffer.read_bytes()
        buffer.unlink()
    for i in range(count):
        form = forms[i % len(forms)]
        data = bytearray(whole[form])
        for at in rng.integers(0, len(data) if i % 2 else 300, rng.integers(1, 9)):
            data[min(at, len(data) - 1)] = rng.integers(0, 256)
        path = tmp_path / f"a.{form}"
        path.write_bytes(data)
        try:
            read += rewrite_clip(path, tmp_path / "out.mkv", same, ClipOptions("ffv1")).frames > 0
            (tmp_path / "out.mkv").unlink()
        except InputError as e:
            assert "\n" not in str(e) and ("a." in str(e) or "out.mkv" in str(e))
        path.unlink()
        assert list(tmp_path.iterdir()) == []
    return read


def test_fuzzed_headers_raise_one_sentence_and_leave_no_file(tmp_path):
    assert 0 < read_of_fuzzed(tmp_path, 48) < 48


@pytest.mark.slow
def test_two_thousand_fuzzed_headers(tmp_path):
    assert 0 < read_of_fuzzed(tmp_path, 2000) < 2000


@pytest.mark.parametrize(("form", "border"), [("yuv444p", 2), ("yuv422p", 3), ("yuv420p", 4), ("yuv420p10le", 4)])
def test_subsampled_chroma_costs_the_outermost_pixels_only(form, border):
    pixels, colour = picture(144, 256), VideoColour(1, 1, 1, 1)
    off = np.abs(to_rgb(from_rgb(pixels, colour, form), colour).astype(int) - pixels).max(-1)
    assert off[4:-4, 4:-4].max() <= 2 and off.max() <= border
