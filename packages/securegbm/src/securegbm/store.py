"""Files that are never half-written, and the one checkpoint per tree that both parties keep.

`claimkit.files.write_atomic` makes ordinary files (the user's umask) that may still be in the system's buffers; what is
written here is private (mode 0600) and on the disk (fsync) before the other party is told that a tree is committed.
"""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError


def write_atomically(path: Path, data: bytes, private: bool = True) -> None:
    """Write to a temporary name, flush to the disk, rename.

    Args:
        path: Where the file shall be.
        data: Its content.
        private: Only this user may read it (mode 0600).

    Raises:
        SecureGBMError: If the disk is full or the folder cannot be written; the old file is still there then.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if private else 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def append_privately(path: Path, data: bytes) -> None:
    """Append to a file that only this user may read.

    Raises:
        SecureGBMError: If the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(data)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> SecureGBMError:
    what = "the disk is full" if error.errno == errno.ENOSPC else str(error.strerror)
    return SecureGBMError(
        f"cannot write {path.name}: {what}; make room and start again, the run continues after its last whole tree"
    )


def dump_json(data: Any) -> bytes:
    """JSON with sorted keys, so that equal content means equal bytes; floats keep every bit."""
    return json.dumps(data, sort_keys=True, indent=1).encode() + b"\n"


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        SecureGBMError: If it is not there or not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise SecureGBMError(f"{path} does not exist; give the file a party wrote") from error
    except ValueError as error:
        raise SecureGBMError(f"{path} is damaged (not JSON); restore it or train again") from error


class TreeStore:
    """One record per committed tree, in memory or in a folder; records are added at the end and taken off the end.

    Args:
        folder: Where to keep them; none keeps them in memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.order: list[int] = []
        self.records: list[dict[str, Any]] = []
        self.arrays: list[npt.NDArray[Any] | None] = []
        if folder is None:
            return
        while (path := self._path(len(self.records))).exists():
            self.records.append(read_json(path))
            array = path.with_suffix(".npy")
            self.arrays.append(np.load(array) if array.exists() else None)

    def _path(self, index: int) -> Path:
        assert self.folder is not None
        return self.folder / f"tree_{index:05d}.json"

    def append(self, record: dict[str, Any], array: npt.NDArray[Any] | None = None) -> None:
        """Commit one tree: the array first, the record (whose presence is the commit) last."""
        if self.folder is not None:
            path = self._path(len(self.records))
            if array is not None:
                import io

                buffer = io.BytesIO()
                np.save(buffer, array)
                write_atomically(path.with_suffix(".npy"), buffer.getvalue())
            write_atomically(path, dump_json(record))
        self.records.append(record)
        self.arrays.append(array)

    def truncate(self, count: int) -> None:
        """Forget all but the first `count` trees, the last ones first."""
        while len(self.records) > count:
            self.records.pop()
            self.arrays.pop()
            if self.folder is not None:
                self._path(len(self.records)).unlink(missing_ok=True)
                self._path(len(self.records)).with_suffix(".npy").unlink(missing_ok=True)

    def file(self, name: str) -> Path | None:
        """A file beside the trees; none when they are kept in memory."""
        return self.folder / name if self.folder is not None else None

    def bind(self, name: str, content: dict[str, Any]) -> None:
        """Write a description once; later runs must bring the same one.

        Raises:
            SecureGBMError: If the folder belongs to another run.
        """
        if self.folder is None:
            return
        path = self.folder / name
        if not path.exists():
            write_atomically(path, dump_json(content))
            return
        held = read_json(path)
        changed = sorted(key for key in held.keys() | content.keys() if held.get(key) != content.get(key))
        if changed:
            raise SecureGBMError(
                f"the state folder holds a run with another {', '.join(changed)}; "
                "give the same data and settings, or another folder or job name"
            )
