"""Names of files: which of a folder are taken and why others are not, and where results may go."""

import itertools
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from claimkit.errors import InputError
from claimkit.files import AnyPath

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jp2", ".avif", ".jfif", ".jpe")
PLUGGED = {".heic": "pillow-heif", ".heif": "pillow-heif", ".hif": "pillow-heif", ".jxl": "pillow-jxl-plugin"}
"""Pictures that need a package beside pillow."""
CLIPS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".3gp", ".wmv", ".ogv")
RAW = frozenset(
    f".{camera}"
    for camera in (
        *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "gpr", "iiq", "kdc", "mef", "mos", "mrw", "nef"),
        *("nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)
Existing = Literal["replace", "skip", "refuse"]
"""What becomes of a result's name that a file has already."""


@dataclass(frozen=True)
class Listing:
    """A folder's files of one sort, by name; and a sentence for each that was not taken though it looks like one."""

    files: list[Path]
    skipped: list[str]


def list_pictures(folder: AnyPath) -> Listing:
    """The pictures in a folder, by suffix, without those in folders below."""
    folder = Path(folder)
    return _listing(folder, "picture", lambda p: p.suffix.lower() in PICTURES, folder.iterdir)


def list_clips(folder: AnyPath) -> Listing:
    """The videos in a folder and in its folders, by suffix."""
    folder = Path(folder)
    return _listing(folder, "video", lambda p: p.suffix.lower() in CLIPS, lambda: folder.rglob("*"))


def _listing(folder: Path, what: str, taken: Callable[[Path], bool], entries: Callable[[], Iterable[Path]]) -> Listing:
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder: give a folder of {what}s")
    seen = sorted(p for p in entries() if p.is_file() and not p.name.startswith("."))
    files, skipped, others = [], [], Counter()
    for path in seen:
        suffix = path.suffix.lower()
        if taken(path) or (what == "picture" and suffix in PLUGGED and has_plugin(suffix)):
            files.append(path)
        elif what == "picture" and suffix in PLUGGED:
            skipped.append(f"{path} is skipped: {missing(suffix)}")
        elif what == "picture" and suffix in RAW:
            skipped.append(f"{path} is skipped: {raw(suffix)}")
        else:
            others[suffix or "no suffix"] += 1
    if others:
        names = ", ".join(f"{n} {s}" for s, n in others.most_common(6))
        skipped.append(f"{folder}: {others.total()} other file(s) are skipped, as no {what} is named like them ({names})")
    if not files:
        why = f"; {skipped[0]}" if skipped else ""
        expected = PICTURES[:5] if what == "picture" else CLIPS[:5]
        raise InputError(f"{folder} holds no {what}s: expected files that end in {', '.join(expected)} or the like{why}")
    return Listing(files, skipped)


def has_plugin(suffix: str) -> bool:
    """Whether the package that reads such pictures is there; it is then made known to pillow."""
    try:
        if PLUGGED[suffix] == "pillow-heif":
            import pillow_heif  # pyright: ignore[reportMissingImports]

            pillow_heif.register_heif_opener()
        else:
            import pillow_jxl  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        return False
    return True


def missing(suffix: str) -> str:
    """What to do for such a picture where its plugin is not installed."""
    form = "JPEG XL" if suffix == ".jxl" else "HEIC"
    return f"a {form} picture needs the package {PLUGGED[suffix]} (pip install {PLUGGED[suffix]}); or convert it to JPEG"


def raw(suffix: str) -> str:
    """What to do for a camera's raw file."""
    return f"a camera's raw file ({suffix.lstrip('.').upper()}) is no picture yet: develop it to TIFF or JPEG first"


def name_results(sources: Sequence[Sequence[AnyPath]], folder: AnyPath, suffix: str) -> list[Path]:
    """One name for each result, never the same twice, also where case and the form of accents do not count.

    Stems are joined: ``photo-painting.jpg``. Results that would share a name get their sources' whole names,
    ``photo.png-painting.jpg``, and where these agree as well a number.
    """
    sources, folder = [[Path(p) for p in group] for group in sources], Path(folder)
    stems, first, whole = (
        ["-".join(form(p, i < len(group) - 1) for i, p in enumerate(group)) for group in sources]
        for form in (lambda p, _: p.stem, lambda p, early: p.name if early else p.stem, lambda p, _: p.name)
    )
    names = [_shortened(name) for name in stems]
    for better in (first, whole):
        often = Counter(map(_folded, names))
        names = [_shortened(b) if often[_folded(n)] > 1 else n for n, b in zip(names, better, strict=True)]
    taken: set[str] = set()
    for i, name in enumerate(names):
        tries = itertools.chain([name], (f"{name}-{k}" for k in itertools.count(2)))
        names[i] = next(n for n in tries if _folded(n) not in taken)
        taken.add(_folded(names[i]))
    return [folder / f"{name}{suffix}" for name in names]


def check_results(results: Iterable[AnyPath], inputs: Iterable[AnyPath], existing: Existing = "replace") -> None:
    """Refuse results that would replace an input, that are folders, or, where asked for, that exist.

    Raises:
        InputError: Before anything was written.
    """
    known = {_identity(p): p for p in map(Path, inputs) if p.exists()}
    for result in map(Path, results):
        if (found := known.get(_identity(result))) is not None:
            raise InputError(f"the result {result} would replace the input {found}: give --out another name")
        if result.is_dir():
            raise InputError(f"the result {result} is a folder: give --out the name of a file in it")
        if existing == "refuse" and result.exists():
            raise InputError(f"{result} exists already: give another --out, or --existing replace")


def _identity(path: Path) -> tuple[int, int] | str:
    """Of the file itself, by whatever name or link."""
    try:
        status = path.stat()
    except OSError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _shortened(name: str) -> str:
    """File systems hold 255 bytes a name; the end is cut where it is longer."""
    return name if len(name.encode()) <= 200 else name.encode()[:200].decode(errors="ignore")
