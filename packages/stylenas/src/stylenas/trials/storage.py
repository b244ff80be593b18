"""Where a search lives: a journal file, or any database that Optuna reads; many processes and machines may share it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage, get_storage
from optuna.storages._rdb import models
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalFileSymlinkLock

from claimkit.errors import InputError

LOCK_SECONDS = 10
"""A lock that its holder has not released for so long belonged to a process that was killed while it wrote."""


class _Database(RDBStorage):
    """A database that writes the parameters of a trial together.

    Optuna asks for the trial and for an earlier distribution before each of them, three questions for every operator. Our
    studies have bits only, as their headers say. Where Optuna no longer has this step, it does what it always did.
    """

    def _set_trial_param_without_commit(
        self, session, trial_id, param_name, param_value_internal, distribution, previous_distribution=None
    ) -> None:
        record = models.TrialParamModel(
            trial_id=trial_id,
            param_name=param_name,
            param_value=param_value_internal,
            distribution_json=distribution_to_json(distribution),
        )
        session.add(record)


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
            return get_storage(_Database(str(place)))
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
