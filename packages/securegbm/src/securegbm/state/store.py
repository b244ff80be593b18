"""Files that are never half-written, and the one checkpoint per tree that both parties keep.

`claimkit.files.write_atomic` makes ordinary files (the user's umask) that may still be in the system's buffers; what is
written here is private (mode 0600) and on the disk (fsync) before the other party is told that a tree is committed.
"""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable
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


def append_privately(path: Path, make: Callable[[int], bytes]) -> int:
    """Append to a file that only this user may read, whoever else appends to it.

    Args:
        path: The file.
        make: What to append, given the file's size.

    Returns:
        The new size.

    Raises:
        SecureGBMError: If the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        half = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # a killed process left half a line
        with os.fdopen(descriptor, "ab") as file:
            file.write(b"\n" * half + make(size))
            file.flush()
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> SecureGBMError:
    what = "the disk is full" if error.errno == errno.ENOSPC else str(error.strerror)
    return SecureGBMError(
        f"cannot write {path.name}: {what}; make room and start again, the run continues after its last whole tree"
    )


def _damaged(path: Path, what: str) -> SecureGBMError:
    return SecureGBMError(f"{path} {what}; restore the run's folder from a backup, or begin a new run with `--replace`")


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


NO_TREE = "00" * 32
"""The transcript hash before the first tree."""


def chained(last: str, transcript: bytes) -> str:
    """What both parties keep with a committed tree: SHA-256(the tree before it, everything said in its session).

    A label party with several partners keeps one such hash for each, one after the other.
    """
    before = bytes.fromhex(last).ljust(len(transcript), b"\0")
    pieces = [before[at : at + 32] + transcript[at : at + 32] for at in range(0, len(transcript), 32)]
    return "".join(hashlib.sha256(piece).hexdigest() for piece in pieces)


def piece(last: str, partner: int) -> str:
    """One partner's hash out of those of all."""
    return last[64 * partner : 64 * (partner + 1)] or NO_TREE


class TreeStore:
    """One record per committed tree, in memory or in a folder; records are added at the end and taken off the end.

    Args:
        folder: Where to keep them; none keeps them in memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.order: list[int] = []
        self._described: dict[str, dict[str, Any]] = {}
        self._finished: dict[str, Any] | None = None
        self.ledger: dict[str, int] = {"asked": 0, "touched": 0, "opened": 0}
        self.records: list[dict[str, Any]] = []
        self.arrays: list[npt.NDArray[Any] | None] = []
        if folder is None:
            return
        self._finished = read_json(folder / "finished.json") if (folder / "finished.json").exists() else None
        while (path := self._path(len(self.records))).exists():
            record = read_json(path)
            if chained(self.last(), bytes.fromhex(record["transcript"])) != record["last"]:
                raise _damaged(path, "is not the tree that followed the one before it")
            array = path.with_suffix(".npy")
            try:
                self.arrays.append(np.load(array) if array.exists() else None)
            except (ValueError, EOFError, OSError) as error:
                raise _damaged(array, "is damaged") from error
            self.records.append(record)
        if self.records and not self.bound:
            raise _damaged(folder / "job.json", "is missing beside the trees of a run")

    def _path(self, index: int) -> Path:
        assert self.folder is not None
        return self.folder / f"tree_{index:05d}.json"

    @property
    def bound(self) -> dict[str, Any]:
        """What the run is bound to; empty before it began."""
        return self._held("job.json")

    def _held(self, name: str) -> dict[str, Any]:
        path = self.file(name)
        if name not in self._described and path is not None and path.exists():
            self._described[name] = read_json(path)
        return self._described.get(name, {})

    @property
    def finished(self) -> int | None:
        """How many trees the finished run keeps; none while it is not finished."""
        return None if self._finished is None else int(self._finished["trees"])

    def finish(self, trees: int) -> None:
        """The run is whole and keeps its first `trees` trees; from now on nothing changes it."""
        self._finished = {"trees": trees, "last": self.last(trees)}
        if self.folder is not None:
            write_atomically(self.folder / "finished.json", dump_json(self._finished))

    def last(self, count: int | None = None) -> str:
        """The transcript hash of the last of the first `count` trees (all of them when not given)."""
        count = len(self.records) if count is None else count
        return self.records[count - 1]["last"] if count else NO_TREE

    def begin_with(self, other: "TreeStore", trees: int) -> None:
        """Begin a new run with the first trees of another one (a warm start)."""
        for record, array in zip(other.records[:trees], other.arrays[:trees], strict=True):
            self.append({k: v for k, v in record.items() if k != "last"}, array)

    def append(self, record: dict[str, Any], array: npt.NDArray[Any] | None = None) -> None:
        """Commit one tree: the array first, the record (whose presence is the commit) last."""
        record = record | {"last": chained(self.last(), bytes.fromhex(record["transcript"]))}
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

    def bind(
        self, name: str, content: dict[str, Any], once: dict[str, Any] | None = None, anew: bool = False
    ) -> dict[str, Any]:
        """Write a description once; later runs must bring the same one.

        Args:
            name: The file.
            content: What must not change.
            once: What is written with it the first time and kept.
            anew: Whatever was written before is void.

        Returns:
            What is written.

        Raises:
            SecureGBMError: If the folder belongs to another run.
        """
        held = self._held(name)
        if not held or anew:
            self._described[name] = content | (once or {})
            if (path := self.file(name)) is not None:
                write_atomically(path, dump_json(self._described[name]))
            return self._described[name]
        changed = [_difference(key, held.get(key), value) for key, value in content.items() if held.get(key) != value]
        if changed:
            raise SecureGBMError(
                f"the run {str(self.bound.get('run', ''))[:8]} was begun with another {', '.join(changed)}; give the "
                "same data and settings to continue it, or begin a new run (`--job NAME`, `--replace`, or `--continue RUN` "
                "for more trees)"
            )
        return held


def _difference(key: str, before: Any, now: Any) -> str:
    if not isinstance(before, dict) or not isinstance(now, dict):
        return key
    return f"{key} ({', '.join(sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name)))})"


def binding_of(bound: dict[str, Any]) -> str:
    """A salted hash of what a run is bound to, for the other party to keep: equal as long as nothing changes."""
    return hashlib.sha256(dump_json(bound)).hexdigest()
