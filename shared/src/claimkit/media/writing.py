"""Videos into files: encoders by name, colours told, times as given; a video rewritten with all else that it holds."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import AnyPath, atomic_path
from claimkit.media.clip import clip_info
from claimkit.media.colour.video import VideoColour, from_rgb, written
from claimkit.media.options import ClipOptions
from claimkit.media.policy import check_results
from claimkit.media.stream import THREADS, Frame, Reader, open_clip
from claimkit.media.tracks import SOUND, connect

LIBRARY = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "prores": "prores_ks",
    "ffv1": "ffv1",
}
HOLDS = {
    ".mp4": ("h264", "hevc", "vp9", "av1"),
    ".m4v": ("h264",),
    ".mov": ("h264", "hevc", "prores"),
    ".mkv": tuple(LIBRARY),
    ".webm": ("vp9", "av1"),
}
AHEAD = 21_000_000
"""Pixels that H.264 looks ahead over, which bounds its memory: 40 frames up to 480p, 22 of 720p, 10 of 1080p, 5 of 1440p."""
LARGE = {"rc-lookahead": "2", "x264-params": "ref=1:bframes=1:b-pyramid=none:weightp=0"}
"""Where these are fewer than five frames it holds fewer of all kinds: 170 MB less at 4K, files up to 15 % larger."""
FORMS = {"prores": ("yuv422p10le", "yuv422p10le"), "ffv1": ("yuv444p", "yuv444p10le")}
"""Pixel formats of 8 and of 10 bits, where they are not 4:2:0."""


@dataclass(frozen=True)
class ClipReport:
    """What was written: frames, seconds from the first to the last, and a sentence each on what was changed or left out."""

    frames: int
    seconds: float
    notes: tuple[str, ...]


class VideoWriter:
    """Writes frames into a video file that appears whole or not at all; use it in a ``with`` statement.

    Args:
        path: The suffix names the container.
        rate: Frames a second, for frames without times of their own.
        options: Encoder and quality.
        colour: What the frames are tagged as; by their height when None: BT.709 from 720 lines.
        aspect: Width of a pixel over its height.
        time_base: Unit of the frames' times; 1 / rate when None.
        sound: Mono samples in [-1, 1], ``(samples,)``, and how many there are a second.
    """

    def __init__(
        self,
        path: AnyPath,
        rate: Fraction | int = 25,
        options: ClipOptions | None = None,
        *,
        colour: VideoColour | None = None,
        aspect: Fraction = Fraction(1),
        time_base: Fraction | None = None,
        sound: tuple[NDArray[Any], int] | None = None,
    ):
        self.options = options or ClipOptions()
        self.path, self.rate, self.colour, self.aspect = Path(path), Fraction(rate), colour, aspect
        self.suffix = self.path.suffix.lower()
        self.encoder = check_container(self.path, self.options)
        self.time_base = time_base or 1 / self.rate
        self._sound, self._audio = sound, None
        self.container: Any = None
        self.count, self._stack, self._video = 0, ExitStack(), None
        self._last: int | None = None

    def __enter__(self) -> "VideoWriter":
        with ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            self.container = stack.enter_context(av.open(str(temporary), "w", options={"avoid_negative_ts": "disabled"}))
            self._stack = stack.pop_all()
        return self

    def begin(self, width: int, height: int, deep: bool = False) -> None:
        """Make the stream of pictures; the first frame does it otherwise."""
        usual = VideoColour() if max(width, height) >= 1280 or min(width, height) >= 720 else VideoColour(6, 1, 1, 1)
        self.colour = self.colour or usual
        self._size = (height, width)
        if self.encoder == "av1":
            os.environ.setdefault("SVT_LOG", "1")  # it prints otherwise
        self._form = FORMS.get(self.encoder, ("yuv420p", "yuv420p10le"))[deep]
        video: Any = self.container.add_stream(LIBRARY[self.encoder], rate=self.rate, options=self._options())
        video.width, video.height = (width, height) if "444" in self._form else (width + width % 2, height + height % 2)
        video.pix_fmt = self._form
        context = video.codec_context
        context.thread_count = THREADS
        context.time_base, context.sample_aspect_ratio = self.time_base, self.aspect
        context.colorspace, context.color_range = self.colour.matrix, self.colour.range
        context.color_primaries, context.color_trc = self.colour.primaries, self.colour.transfer
        if self.encoder == "hevc" and self.suffix != ".mkv":
            context.codec_tag = "hvc1"
        self._video = video
        if self._sound is not None:
            self._audio = self.container.add_stream(SOUND.get(self.suffix, "aac"), rate=self._sound[1], layout="mono")

    def write(self, frame: Any, pts: int | None = None, duration: int = 0) -> None:
        """Append a frame of the first one's size; odd sizes are made even by repeating the last row or column.

        Args:
            frame: ``(h, w, 3)`` bytes or 16 bits, or a tensor ``(3, h, w)`` of values in [0, 1].
            pts: When it is shown, in units of the time base; a frame after the last when None.
            duration: In the same units.
        """
        pixels = _pixels(frame)
        if self._video is None:
            self.begin(pixels.shape[1], pixels.shape[0], pixels.dtype == np.uint16)
        if pixels.shape[:2] != self._size:
            had = f"{self._size[1]} x {self._size[0]}"
            raise InputError(f"a frame has {pixels.shape[1]} x {pixels.shape[0]} pixels, those before it had {had}")
        video: Any = self._video
        if pixels.shape[:2] != (video.height, video.width):
            short = (0, video.height - pixels.shape[0]), (0, video.width - pixels.shape[1])
            pixels = np.pad(pixels, (*short, (0, 0)), "edge")
        made = from_rgb(pixels, self.colour or VideoColour(), self._form)
        made.pts = pts if pts is not None else round(self.count / self.rate / self.time_base)
        made.time_base, made.duration = self.time_base, duration
        self.count += 1
        with self._named():
            self.container.mux(video.encode(made))

    def __exit__(self, *error: Any) -> None:
        with self._stack:
            if error[0] is not None:
                raise error[1]
            if self.count == 0:
                raise InputError(f"{self.path.name}: no frame was given")
            with self._named():
                self.container.mux(self._video.encode(None))  # type: ignore[union-attr]
                if self._sound is not None:
                    wave = av.AudioFrame.from_ndarray(self._sound[0].astype(np.float32)[None], "fltp", "mono")
                    wave.sample_rate, wave.pts = self._sound[1], 0
                    self.container.mux([*self._audio.encode(wave), *self._audio.encode(None)])  # type: ignore[union-attr]

    def describe(self, source: Any) -> None:
        """Take title, date, place and chapters from an open video, unless they are to be stripped."""
        if self.options.strip:
            return
        own = ("major_brand", "minor_version", "compatible_brands", "encoder")  # what a container says of its own form
        self.container.metadata.update({k: v for k, v in source.metadata.items() if k.lower() not in own})
        if chapters := source.chapters():
            self.container.set_chapters(chapters)

    def _named(self) -> "_Named":
        return _Named(self.path)

    def _options(self) -> dict[str, str]:
        lost, ahead = 100 - self.options.quality, min(40, AHEAD // (self._size[0] * self._size[1]))
        match self.encoder:
            case "h264":
                return {"crf": f"{10 + 0.4 * lost:g}", **({"rc-lookahead": str(ahead)} if ahead >= 5 else LARGE)}
            case "hevc":
                # without B-frames: of fewer frames than it reorders x265 writes the decoding times from memory never set
                return {"crf": f"{12 + 0.4 * lost:g}", "x265-params": "log-level=none:rc-lookahead=10:bframes=0"}
            case "vp9":
                pace = {"deadline": "good", "cpu-used": "4", "lag-in-frames": "12"}
                return {"crf": f"{14 + 0.49 * lost:.0f}", "b": "0", **pace}
            case "av1":
                return {"crf": f"{14 + 0.49 * lost:.0f}", "preset": "8"}
            case "prores":
                return {"profile": "3" if self.options.quality >= 80 else "2"}
            case _:
                return {}


class _Named:
    """The encoder's errors as one sentence, which blames the result and not the source."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, FFmpegError):
            raise InputError(f"{self.path} cannot be written: {(error.strerror or str(error)).lower()}") from error


def check_container(path: AnyPath, options: ClipOptions) -> str:
    """The encoder for a file.

    Raises:
        InputError: A container that is not written, or that does not hold what the encoder makes.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in HOLDS:
        raise InputError(f"{path.name}: write videos as .mp4, .m4v, .mov, .mkv or .webm")
    usual = "vp9" if suffix == ".webm" else "hevc" if options.hdr == "keep" else "h264"
    chosen = usual if options.encoder == "auto" else options.encoder
    if chosen not in HOLDS[suffix]:
        raise InputError(f"{path.name}: {suffix} does not hold {chosen}: use .mkv, or --encoder {usual}")
    if LIBRARY[chosen] not in av.codecs_available:
        raise InputError(f"this PyAV comes without {LIBRARY[chosen]}: choose another --encoder than {chosen}")
    return chosen


def rewrite_clip(
    source: AnyPath,
    target: AnyPath,
    change: Callable[[Frame], Any],
    options: ClipOptions | None = None,
    side: int = 0,
) -> ClipReport:
    """Write a video with every frame changed: times, sound, subtitles, shape of pixels and colour tags stay.

    Args:
        source: The video.
        target: The result, which appears whole or not at all.
        change: What becomes of a frame: pixels or a tensor, of one size for all.
        options: Encoder, quality, and what becomes of HDR.
        side: Frames are shrunk to at most so many pixels squared before; 0 keeps their size.

    Raises:
        InputError: The source cannot be read, or the target not be written, or be the source.
    """
    source, target, options = Path(source), Path(target), options or ClipOptions()
    check_container(target, options)
    check_results([target], [source], options.existing)
    info = clip_info(source)
    seen = info.colour
    if options.hdr == "keep" and options.encoder == "auto" and not seen.hdr:
        options = replace(options, hdr="tone-map")
    with open_clip(source) as container:
        reader = Reader(container, source, side, options.hdr)
        base, colour = reader.stream.time_base, written(seen, options.hdr)
        writer = VideoWriter(target, info.rate, options, colour=colour, aspect=info.aspect, time_base=base)
        times: list[float] = []
        feeds: dict[int, Any] = {}
        waiting: list[Any] = []

        def frames() -> Iterator[Frame]:
            """The video's; all other packets go on their way in between, once the tracks for them are made."""
            for packet in reader.packets():
                if packet.stream is reader.stream:
                    yield from map(reader.frame, reader.decode(packet))
                else:
                    waiting.append(packet)
                if writer.count:
                    for early in waiting:
                        _feed(feeds, early, target)
                    waiting.clear()

        with writer:
            for frame in run.progress(frames(), source.name, total=info.frames, unit="frame"):
                pixels = _pixels(change(frame))
                if not times:
                    writer.begin(pixels.shape[1], pixels.shape[0], pixels.dtype == np.uint16)
                    feeds = connect(container, writer.container, writer.suffix, source, reader.notes)
                    writer.describe(container)
                times.append(frame.time)
                writer.write(pixels, round(frame.pts * frame.time_base / base), frame.duration)
                del pixels  # 25 MB at 4K, while the next frame is read
            reader.finish()
    return ClipReport(writer.count, times[-1] - times[0], tuple(reader.notes))


def _feed(feeds: dict[int, Any], packet: Any, target: Path) -> None:
    if packet.stream.index in feeds:
        with _Named(target):
            feeds[packet.stream.index](packet)


def _pixels(frame: Any) -> NDArray[Any]:
    if isinstance(frame, np.ndarray):
        return frame
    import torch

    whole = frame.detach().float().clamp(0, 1).mul_(255).round_()  # one copy: 25 MB at 1080p
    return whole.to(torch.uint8).permute(1, 2, 0).cpu().numpy()
