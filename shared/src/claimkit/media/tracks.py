"""What a video holds beside its pictures: sound and subtitles, copied as they are or in a form that the container takes."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

SOUND = {".webm": "libopus", ".mkv": "flac"}
"""What sound becomes that a container cannot hold; AAC in all others."""
TEXT = {".mp4": "mov_text", ".m4v": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
PLAIN = ("subrip", "srt", "text", "mov_text", "webvtt")
Feed = Callable[[Any], None]


def connect(source: Any, target: Any, suffix: str, path: Path, notes: list[str]) -> dict[int, Feed]:
    """Make the tracks of a result, and say what takes each of the source's packets, by the number of its stream.

    Args:
        source: Open container.
        target: Container to write, its video already made.
        suffix: Of the target.
        path: Of the source.
        notes: Given a sentence on each track that is changed or left out.
    """
    feeds: dict[int, Feed] = {}
    for stream in source.streams:
        if stream.type not in ("audio", "subtitle"):
            if stream.type in ("data", "attachment"):
                notes.append(f"{path}: a track of {stream.type} is left out")
            continue
        name = stream.codec_context.codec.canonical_name if stream.codec_context else "none"
        if name in target.supported_codecs:
            feeds[stream.index] = _copy(stream, target)
        elif stream.type == "audio" and stream.codec_context:
            feeds[stream.index] = _transcode(stream, target, SOUND.get(suffix, "aac"))
            notes.append(f"{path}: {suffix} cannot hold its sound ({name}), which becomes {SOUND.get(suffix, 'aac')}")
        elif name in PLAIN and suffix in TEXT:
            feeds[stream.index] = _text(stream, target, name, TEXT[suffix])
        else:
            notes.append(f"{path}: {suffix} cannot hold its {stream.type} track ({name}), which is left out; .mkv can")
    return feeds


def _copy(stream: Any, target: Any) -> Feed:
    copied = target.add_stream_from_template(stream)
    _told(stream, copied)

    def feed(packet: Any) -> None:
        if packet.dts is not None:
            packet.stream = copied
            target.mux(packet)

    return feed


def _transcode(stream: Any, target: Any, codec: str) -> Feed:
    rate = 48_000 if codec == "libopus" else stream.codec_context.sample_rate
    layout = stream.codec_context.layout.name
    made = target.add_stream(codec, rate=rate, layout=layout)
    made.time_base = Fraction(1, rate)
    _told(stream, made)
    resampler = av.AudioResampler(format=made.codec_context.format, layout=layout, rate=rate)

    def feed(packet: Any) -> None:
        try:
            frames = packet.decode()
        except FFmpegError:
            return
        for frame in frames:
            for ready in resampler.resample(frame):
                target.mux(made.encode(ready))
        if packet.dts is None:
            target.mux(made.encode(None))

    return feed


def _text(stream: Any, target: Any, form: str, wanted: str) -> Feed:
    """Subtitles of plain text; a text of MP4 is its length and the text, styles behind it are dropped."""
    made = target.add_stream(wanted)
    made.codec_context.subtitle_header = HEADER
    _told(stream, made)

    def feed(packet: Any) -> None:
        data = bytes(packet)
        if packet.dts is None or not data:
            return
        text = data[2 : 2 + int.from_bytes(data[:2], "big")] if form == "mov_text" else data
        if not text.strip() and wanted != "mov_text":
            return
        out = av.Packet(len(text).to_bytes(2, "big") + text if wanted == "mov_text" else text)
        out.pts = out.dts = packet.pts
        out.duration, out.time_base, out.stream = packet.duration, packet.time_base, made
        target.mux(out)

    return feed


HEADER = b"""[Script Info]\r
ScriptType: v4.00+\r
[V4+ Styles]\r
Format: Name, Fontname, Fontsize, PrimaryColour\r
Style: Default,Arial,16,&Hffffff\r
[Events]\r
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r
"""


def _told(stream: Any, made: Any) -> None:
    """Language, title and whether it is the default track."""
    made.metadata.update({k: v for k, v in stream.metadata.items() if k in ("language", "title", "handler_name")})
    if stream.disposition:
        made.disposition = stream.disposition
