"""Packs: the pictures and sounds that scenes are composed of, from a folder with a manifest or generated.

``manifest.csv`` has a row a file with the columns ``kind`` (audio, image_object, image_distractor, image_background),
``path``, ``cls``, ``split`` (train, val, test), and optionally ``pair_kind`` (exact, proxy, none) and ``loud_start_s``.
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from avcurriculum import audio
from claimkit.errors import InputError

Split = Literal["train", "val", "test"]
Pairs = Literal["all", "exact"]
Picture = NDArray[np.uint8]
Sound = NDArray[np.float32]
KINDS = ("audio", "image_object", "image_distractor", "image_background")
SECONDS = 2.0
SAMPLES = int(SECONDS * audio.RATE)
"""A scene lasts two seconds."""


@dataclass(frozen=True)
class Pack:
    """One split of a pack, decoded: sounds of two seconds with root mean square 0.1, RGB pictures of any size.

    Attributes:
        sounds: Class to its sounds, each ``(32000,)``; classes that also have pictures.
        pictures: Class to its pictures, each ``(height, width, 3)``.
        offscreen: Sounds of classes without pictures.
        distractors: Pictures of silent things, by class.
        backgrounds: Pictures.
        skipped: Names of files that could not be read.
        names: Names of everything that was read, in order.
    """

    split: Split
    sounds: Mapping[str, Sequence[Sound]]
    pictures: Mapping[str, Sequence[Picture]]
    offscreen: Mapping[str, Sequence[Sound]]
    distractors: Mapping[str, Sequence[Picture]]
    backgrounds: Sequence[Picture]
    skipped: tuple[str, ...] = ()
    names: tuple[str, ...] = field(default=(), repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that can be heard and seen, sorted."""
        return tuple(sorted(self.sounds))

    def __post_init__(self) -> None:
        """Refuse a pack of which no scene can be composed."""
        if not self.sounds or not self.backgrounds or set(self.sounds) != set(self.pictures):
            raise InputError(
                f"the {self.split} split has {len(self.sounds)} sounding classes, {len(self.pictures)} pictured ones and "
                f"{len(self.backgrounds)} backgrounds: a pack needs sounds and pictures of the same classes, and backgrounds"
            )


def load_pack(
    folder: Path, split: Split, pairs: Pairs = "all", folds: Sequence[int] | None = None, windows: int = 0, seed: int = 0
) -> Pack:
    """Read one split of a folder with a manifest; files that cannot be decoded are skipped and named in ``skipped``.

    Args:
        folder: Holds ``manifest.csv`` and the files that it names.
        split: train, val or test.
        pairs: ``exact`` leaves out classes whose picture only stands for the sound (``pair_kind`` proxy).
        folds: Sounds of these folds (column ``fold``) in place of the split's; pictures stay the split's.
        windows: So many audible two seconds of each sound, drawn at random; 0 takes the loudest two seconds alone.
        seed: Of the windows.

    Raises:
        InputError: No manifest, a column is missing, or a row names a file that is not there.
    """
    wanted = None if folds is None else {str(f) for f in folds}
    rows = [
        r
        for r in read_manifest(folder)
        if (r["split"] == split if wanted is None or r["kind"] != "audio" else r.get("fold") in wanted)
    ]
    if pairs == "exact":
        rows = [r for r in rows if r.get("pair_kind") != "proxy"]
    rng = np.random.default_rng([seed, 3])
    parts: dict[str, dict[str, list[NDArray]]] = {kind: {} for kind in KINDS}
    skipped, names = [], []
    for row in rows:
        try:
            items = _items(folder, row, windows, rng)
        except InputError:
            skipped.append(row["path"])
            continue
        parts[row["kind"]].setdefault(row["cls"], []).extend(items)
        names.append(row["path"])
    heard, seen = parts["audio"], parts["image_object"]
    both = sorted(set(heard) & set(seen))
    return Pack(
        split,
        {c: heard[c] for c in both},
        {c: seen[c] for c in both},
        {c: heard[c] for c in sorted(set(heard) - set(seen))},
        parts["image_distractor"],
        [p for group in parts["image_background"].values() for p in group],
        tuple(skipped),
        tuple(names),
    )


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """Rows of a pack's manifest, checked.

    Raises:
        InputError: No manifest, a column is missing, a kind or split is unknown, or a file is not there.
    """
    path = folder / "manifest.csv"
    if not path.is_file():
        raise InputError(f"{folder} holds no manifest.csv: a pack is a folder with one, see avcurriculum.scenes.packs")
    with path.open(encoding="utf-8-sig", newline="") as f:
        rows = list(csv.DictReader(f))
    if missing := {"kind", "path", "cls", "split"} - set(rows[0] if rows else ()):
        raise InputError(f"{path} lacks the column(s) {', '.join(sorted(missing))}: expected kind, path, cls, split")
    for number, row in enumerate(rows, 2):
        if row["kind"] not in KINDS or row["split"] not in get_args(Split):
            raise InputError(f"{path}, line {number}: kind {row['kind']!r} or split {row['split']!r} is unknown")
        if not all(row[column] for column in ("path", "cls")):
            raise InputError(f"{path}, line {number}: path {row['path']!r}, cls {row['cls']!r}: both are needed")
        if not _is_time(row.get("loud_start_s") or "0"):
            raise InputError(f"{path}, line {number}: loud_start_s {row['loud_start_s']!r} is no number of seconds")
        if not (folder / row["path"]).is_file():
            raise InputError(f"{path}, line {number}: the file {row['path']} is not there: restore it or remove the row")
    return rows


def _is_time(text: str) -> bool:
    try:
        return 0 <= float(text) < np.inf
    except ValueError:
        return False


def digest(folder: Path) -> str:
    """sha256 of a pack's manifest, which names every file."""
    return hashlib.sha256((folder / "manifest.csv").read_bytes()).hexdigest()


def read_picture(path: Path) -> Picture:
    """A picture file as upright sRGB, ``(height, width, 3)`` bytes.

    Raises:
        InputError: Not a picture.
    """
    from claimkit.media import reading
    from claimkit.media.depth.levels import to_bits

    return to_bits(reading.read_picture(path).pixels, 8)


def _items(folder: Path, row: Mapping[str, str], windows: int, rng: np.random.Generator) -> list[NDArray]:
    path = folder / row["path"]
    if row["kind"] != "audio":
        return [read_picture(path)]
    wave, loudest = audio.load(path), float(row.get("loud_start_s") or 0)
    if windows == 0:
        return [_sound(wave, loudest, path)]
    floor, last = 0.1 * audio.rms(wave), max(wave.size - SAMPLES, 0) / audio.RATE
    out = []
    for begins in rng.uniform(0, last, (windows, 8)):  # the first of eight that is not nearly silent
        heard = (float(b) for b in begins if audio.rms(_cut(wave, int(b * audio.RATE))) > floor)
        out.append(_sound(wave, next(heard, loudest + 0.5 - SECONDS / 2) + SECONDS / 2 - 0.5, path))
    return out


def _sound(wave: Sound, loudest: float, path: Path) -> Sound:
    """The two seconds around the loudest one."""
    return loudness(audio.audible(_cut(wave, int((loudest + 0.5 - SECONDS / 2) * audio.RATE)), str(path)))


def _cut(wave: Sound, start: int) -> Sound:
    """Two seconds from a sample on, inside the wave where it is as long; zeros behind a shorter one."""
    start = max(0, min(start, wave.size - SAMPLES))
    cut = np.zeros(SAMPLES, np.float32)
    part = wave[start : start + SAMPLES]
    cut[: part.size] = part
    return cut


def loudness(wave: Sound, target: float = 0.1) -> Sound:
    """The wave at the given root mean square."""
    return (wave * (target / max(audio.rms(wave), audio.SILENCE))).astype(np.float32)
