"""Video in and out, frame by frame, by PyAV: never more than one frame in memory."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from jaxtyping import Float
from torch import Tensor

from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.style.images import from_uint8, to_uint8


@dataclass(frozen=True)
class VideoInfo:
    """Width and height in pixels as shown, frames a second, and the number of frames where the file says it."""

    width: int
    height: int
    rate: Fraction
    frames: int | None


def video_info(path: Path) -> VideoInfo:
    """What is in a video file."""
    with _open(path) as container, _named(path):
        stream = container.streams.video[0]
        first = next(container.decode(stream), None)
        if first is None:
            raise InputError(f"{path} holds no frame")
        sideways = first.rotation % 180 == 90
        width, height = (first.height, first.width) if sideways else (first.width, first.height)
        return VideoInfo(width, height, Fraction(stream.average_rate or 25), stream.frames or None)


def read_frames(path: Path) -> Iterator[Float[Tensor, "3 h w"]]:
    """The frames in order, upright; :class:`InputError` where the file is no video, or where the damage in it begins."""
    with _open(path) as container, _named(path):
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for frame in container.decode(stream):
            array = frame.to_ndarray(format="rgb24")
            yield from_uint8(np.rot90(array, frame.rotation // 90) if frame.rotation % 360 else array)


class VideoWriter:
    """Writes frames into a video file that appears whole or not at all; use it in a ``with`` statement.

    Args:
        path: The suffix names the container: .mp4, .mkv, .mov.
        rate: Frames a second.
        sound: Video whose sound is copied, as it is, where it has one.
        quality: Constant rate factor of H.264; 18 is visually lossless.
    """

    def __init__(self, path: Path, rate: Fraction, sound: Path | None = None, quality: int = 18):
        if path.suffix.lower() not in (".mp4", ".m4v", ".mkv", ".mov"):
            raise InputError(f"{path.name}: write videos as .mp4, .mkv or .mov")
        self.path, self.rate, self.sound, self.quality = path, rate, sound, quality
        self._stack = ExitStack()
        self._video: Any = None

    def __enter__(self) -> "VideoWriter":
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self._container = stack.enter_context(av.open(str(temporary), "w"))
            self._source = stack.enter_context(_open(self.sound)) if self.sound else None
            self._stack = stack.pop_all()
        return self

    def write(self, frame: Float[Tensor, "3 h w"]) -> None:
        """Append a frame, of the first one's size; odd sizes are made even by repeating the last row or column."""
        array = to_uint8(frame)
        array = np.pad(array, ((0, array.shape[0] % 2), (0, array.shape[1] % 2), (0, 0)), mode="edge")
        if self._video is None:
            self._video = self._container.add_stream("libx264", rate=self.rate, options={"crf": str(self.quality)})
            self._video.height, self._video.width = array.shape[:2]
            self._video.pix_fmt = "yuv420p"
            self._copied = self._sound_stream()
        if array.shape[:2] != (self._video.height, self._video.width):
            size = f"{self._video.width} x {self._video.height}"
            raise InputError(f"a frame has {array.shape[1]} x {array.shape[0]} pixels, those before it had {size}")
        self._container.mux(self._video.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))

    def __exit__(self, *error: Any) -> None:
        with self._stack:
            if error[0] is not None:
                raise error[1]
            if self._video is None:
                raise InputError(f"{self.path.name}: no frame was given")
            self._container.mux(self._video.encode())
            for packet in self._source.demux(audio=0) if self._source and self._copied else ():
                if packet.dts is not None:
                    packet.stream = self._copied
                    self._container.mux(packet)

    def _sound_stream(self) -> Any:
        if self._source is None or not self._source.streams.audio:
            return None
        template = self._source.streams.audio[0]
        if template.codec_context.name not in self._container.supported_codecs:
            raise InputError(
                f"{self.path.suffix} cannot hold the sound of {self.sound} ({template.codec_context.name}): use .mkv"
            )
        return self._container.add_stream_from_template(template)


def _open(path: Path) -> Any:
    """The container of a video file."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: give a video file")
    with _named(path):
        container = av.open(str(path))
    if not container.streams.video:
        raise InputError(f"{path} holds no video")
    return container


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """The library's errors about a file as one sentence."""
    try:
        yield
    except FFmpegError as e:
        raise InputError(f"{path} is no video that can be read, or it is damaged: {(e.strerror or str(e)).lower()}") from e
