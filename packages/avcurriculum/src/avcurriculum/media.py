"""Video files by PyAV: pictures and sound in, a heat map over the pictures with the sound kept out."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from avcurriculum.audio import RATE
from claimkit.errors import InputError
from claimkit.files import atomic_path

SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v")
Frame = UInt8[NDArray, "height width 3"]


@dataclass(frozen=True)
class Clip:
    """A video's facts and its sound, ``(samples,)`` mono at 16 kHz."""

    path: Path
    width: int
    height: int
    rate: Fraction
    seconds: float
    sound: Float[NDArray, " samples"]


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    import av
    import av.error

    if not path.is_file():
        raise InputError(f"{path} does not exist: give a video file")
    try:
        with av.open(str(path)) as container:
            yield container
    except av.error.FFmpegError as e:
        raise InputError(f"{path} is not a video that can be read: {e.strerror or e}") from e


def read_clip(path: Path) -> Clip:
    """Facts and sound of a video; both a picture and a sound track are needed.

    Raises:
        InputError: Not a video, no picture, or no sound.
    """
    import av

    with _open(path) as container:
        if not container.streams.video:
            raise InputError(f"{path} has no picture: a video with picture and sound is needed")
        if not container.streams.audio:
            raise InputError(f"{path} has no sound: a video with picture and sound is needed")
        video = container.streams.video[0]
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
        parts = [f.to_ndarray()[0] for frame in container.decode(audio=0) for f in resampler.resample(frame)]
        parts += [f.to_ndarray()[0] for f in resampler.resample(None)]
        sound = np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
        rate = video.average_rate or Fraction(25)
        seconds = float(container.duration or 0) / 1e6 or sound.size / RATE
        return Clip(path, video.width, video.height, rate, seconds, sound)


def frames(path: Path) -> Iterator[tuple[float, Frame]]:
    """Time in seconds and RGB of every frame."""
    with _open(path) as container:
        container.streams.video[0].thread_type = "AUTO"
        for i, frame in enumerate(container.decode(video=0)):
            time = frame.time if frame.time is not None else i / float(container.streams.video[0].average_rate or 25)
            yield time, frame.to_ndarray(format="rgb24")


def sample_frames(path: Path, times: Iterable[float]) -> list[Frame]:
    """The frames shown at some times, ascending; the last frame where the video is shorter."""
    wanted = list(times)
    out: list[Frame] = []
    last: Any = None
    with _open(path) as container:
        for frame in container.decode(video=0):
            while len(out) < len(wanted) and (frame.time or 0.0) >= wanted[len(out)]:
                out.append(frame.to_ndarray(format="rgb24"))
            last = frame
            if len(out) == len(wanted):
                break
        if last is None:
            raise InputError(f"{path} holds no frame that can be decoded")
        return out + [last.to_ndarray(format="rgb24")] * (len(wanted) - len(out))


def repaint(clip: Clip, out: Path, paint: Callable[[float, Frame], Frame]) -> None:
    """Write the clip with every frame repainted; the sound packets are copied as they are.

    The file appears whole or not at all. H.264 needs even sides: an odd row or column is cut off.

    Raises:
        InputError: The suffix names no container that can be written.
    """
    import av

    width, height = clip.width // 2 * 2, clip.height // 2 * 2
    with atomic_path(out) as temporary, _open(clip.path) as source:
        try:
            target = av.open(str(temporary), "w")
        except ValueError as e:
            raise InputError(f"{out} is no name of a video: use one of {', '.join(SUFFIXES)}") from e
        with target:
            video: Any = target.add_stream(_encoder(out), rate=clip.rate, options={"preset": "veryfast", "crf": "23"})
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            video.time_base = source.streams.video[0].time_base
            video.thread_type = "AUTO"
            copied: Any = target.add_stream_from_template(source.streams.audio[0])
            source.streams.video[0].thread_type = "AUTO"
            for packet in source.demux(source.streams.video[0], source.streams.audio[0]):
                if packet.stream.type == "audio":
                    if packet.dts is not None:
                        packet.stream = copied
                        target.mux(packet)
                    continue
                for frame in packet.decode():
                    rgb = frame.to_ndarray(format="rgb24")[:height, :width]
                    painted = av.VideoFrame.from_ndarray(np.ascontiguousarray(paint(frame.time or 0.0, rgb)), format="rgb24")
                    painted.pts, painted.time_base = frame.pts, frame.time_base
                    target.mux(video.encode(painted))
            target.mux(video.encode(None))


def write_clip(path: Path, pictures: Iterable[Frame], rate: int, sound: Float[NDArray, " samples"]) -> None:
    """Write pictures of even sides and mono sound at 16 kHz as a video."""
    import av

    with atomic_path(path) as temporary, av.open(str(temporary), "w") as target:
        video: Any = target.add_stream(_encoder(path), rate=rate)
        audio: Any = target.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=RATE)
        audio.layout = "mono"
        for i, picture in enumerate(pictures):
            if i == 0:
                video.height, video.width = picture.shape[:2]
                video.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        wave = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
        wave.sample_rate, wave.pts = RATE, 0
        target.mux(audio.encode(wave))
        target.mux(audio.encode(None))


def folder_clips(folder: Path) -> list[Path]:
    """Files in a folder, and in its folders, that are named like videos; sorted.

    Raises:
        InputError: No such folder, or none in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: give a folder of videos with sound")
    if not (found := sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)):
        raise InputError(f"{folder} holds no file named like a video ({', '.join(SUFFIXES)})")
    return found


def _encoder(path: Path) -> str:
    return "libvpx-vp9" if path.suffix == ".webm" else "libx264"
