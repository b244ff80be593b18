"""Files that are either whole or absent, and what is in them."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

AnyPath = str | os.PathLike[str]
"""A file or folder as callers have it: what is public takes a string as well as a ``Path``."""


@contextmanager
def atomic_path(path: AnyPath) -> Iterator[Path]:
    """A temporary name beside ``path`` with the same suffix; renamed to it on success, removed on any error.

    For libraries that want to write a file themselves: ``with atomic_path(p) as t: figure.savefig(t)``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:40]}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private; a result is an ordinary file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: AnyPath, content: str | bytes) -> None:
    """Write text (UTF-8) or bytes so that a reader sees the old file or the new one, never a half."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def text_digest(text: str) -> str:
    """sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256(path: Path) -> str:
    """sha256 of a file, or of a folder: the digest over its files' relative names and digests, in sorted order.

    Folders that are links count with what is in them, once on each way down.
    """
    if path.is_file():
        with path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    total = hashlib.sha256()
    for file in sorted(_files_in(path, ())):
        total.update(f"{file.relative_to(path).as_posix()}\0{sha256(file)}\n".encode())
    return total.hexdigest()


def _files_in(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """All files below a folder; a link to one of the folders that lead to it is left out."""
    here = (*above, folder.resolve())
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.is_dir() and path.resolve() not in here:
            yield from _files_in(path, here)
