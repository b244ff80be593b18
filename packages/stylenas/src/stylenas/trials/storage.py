"""Where a search lives: a journal file, or any database that Optuna reads; many processes and machines may share it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, get_storage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock
from optuna.trial import TrialState

from claimkit.errors import InputError

LOCK_SECONDS = 10
"""A lock that its holder has not released for so long belonged to a process that was killed while it wrote."""


def open_storage(place: str | Path | None, must_exist: bool = False) -> BaseStorage:
    """A journal file, or an address such as ``sqlite:///search.db`` or ``postgresql://...``; None is memory.

    A line that a crash left half-written at the end of a journal is dropped: it was never acknowledged to anyone.

    Args:
        place: File name or address.
        must_exist: Refuse a file that is not there, rather than start it.

    Raises:
        InputError: It cannot be opened, or is no journal.
    """
    if place is None:
        return InMemoryStorage()
    if "://" in str(place):
        try:
            from stylenas.trials.database import Database

            return get_storage(Database(str(place)))
        except Exception as e:
            raise InputError(f"the storage {place} cannot be opened ({type(e).__name__}): {str(e).splitlines()[0]}") from e
    path = Path(place)
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the --storage a file name, such as {path / 'search.journal'}")
    if must_exist and not path.is_file():
        raise InputError(f"{path} does not exist: give the --storage of an earlier search")
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = JournalFileOpenLock if os.name == "nt" else JournalFileSymlinkLock  # symbolic links need rights on Windows
    lock = kind(str(path), LOCK_SECONDS)
    backend = JournalFileBackend(str(path), lock)
    lock.acquire()
    try:
        _mend(path)
    finally:
        lock.release()
    try:
        return JournalStorage(backend)
    except (ValueError, KeyError, TypeError) as e:
        raise InputError(f"{path} is no journal of Optuna: give another --storage") from e


def end(
    storage: BaseStorage, trial_id: int, state: TrialState, values: Sequence[float] | None, notes: Mapping[str, Any]
) -> None:
    """Note what is to be noted and end a trial; in a database in one transaction.

    Raises:
        UpdateFinishedTrialError: Somebody else has ended it.
    """
    backend = getattr(storage, "_backend", None)  # of Optuna's cache around a database
    if backend is not None and hasattr(backend, "end"):
        backend.end(trial_id, state, values, notes)
        return
    for key, value in notes.items():
        storage.set_trial_user_attr(trial_id, key, value)
    storage.set_trial_state_values(trial_id, state, values)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's word on every study that is made."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def studies(storage: BaseStorage) -> list[str]:
    """Names of the studies that a storage holds."""
    return sorted(optuna.get_all_study_names(storage))


def _mend(path: Path) -> None:
    """Cut what follows the last whole line of a journal."""
    with path.open("rb+") as file:
        content = file.read()
        if content and not content.startswith(b'{"op_code"'):
            raise InputError(f"{path} is no journal of Optuna: give another --storage")
        file.truncate(content.rfind(b"\n") + 1)
