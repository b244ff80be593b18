"""Which runs a party holds: one folder a run, named by its id, so that several jobs go on at once and none mixes."""

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securegbm.errors import SecureGBMError
from securegbm.state.store import TreeStore, dump_json, read_json, write_atomically


@dataclass(frozen=True)
class Run:
    """A run in a registry.

    Args:
        folder: Where it is kept; its name is the run id.
        bound: What the run is bound to.
        trees: Committed trees.
        finished: Trees the finished run keeps; none while it is open.
        retired: When it was retired; empty while it serves.
    """

    folder: Path
    bound: dict[str, Any]
    trees: int
    finished: int | None
    retired: str

    @property
    def id(self) -> str:
        """32 hexadecimal digits."""
        return self.folder.name

    @property
    def job(self) -> str:
        """The name it was begun under."""
        return str(self.bound.get("job", ""))

    @property
    def state(self) -> str:
        """`open`, `finished`, `replaced` or `retired`."""
        if self.retired:
            return "retired"
        if (self.folder / "replaced.json").exists():
            return "replaced"
        return "open" if self.finished is None else "finished"


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Registry:
    """The runs under a party's state folder.

    Args:
        state: The folder.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._runs = state / "runs"

    def folder(self, run: bytes) -> Path:
        """Where a run is kept, whether it is there yet or not."""
        return self._runs / run.hex()

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        found = [_read(path.parent) for path in self._runs.glob("*/job.json")]
        return sorted(found, key=lambda run: (str(run.bound.get("created", "")), run.id))

    def find(self, name: str, finished: bool = False) -> Run:
        """The run whose id begins with `name`, or the newest (finished) one of the job `name`.

        Raises:
            SecureGBMError: If none or several fit.
        """
        runs = self.runs()
        fits = [run for run in runs if len(name) >= 4 and run.id.startswith(name.lower())]
        fits = fits or [run for run in runs if run.job == name and (not finished or run.finished is not None)][-1:]
        if len(fits) != 1:
            what = "several runs begin" if fits else "no run or job begins"
            raise SecureGBMError(f"{what} with {name!r} in {self._state}; `securegbm models list` shows them")
        return fits[0]

    def current(self, job: str) -> Run | None:
        """The newest run of a job that was neither replaced nor retired."""
        return next((run for run in reversed(self.runs()) if run.job == job and run.state in ("open", "finished")), None)

    def retire(self, run: Run) -> None:
        """Answer no more predictions with a run; its files stay for later questions."""
        write_atomically(run.folder / "retired.json", dump_json({"at": now()}))

    def replace(self, run: Run) -> None:
        """Let another run have the job's name; this one stays, and serves, under its id."""
        write_atomically(run.folder / "replaced.json", dump_json({"at": now()}))

    def use(self, run: Run) -> Path:
        """Make a finished run the one that `model.json` in the state folder stands for; the link.

        Raises:
            SecureGBMError: If the run is not finished, or is retired.
        """
        if run.finished is None or run.retired:
            raise SecureGBMError(f"the run {run.id[:8]} is {run.state}; only a finished run can be used")
        link, temporary = self._state / "model.json", self._state / "model.json.part"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(Path("runs") / run.id / "model.json")
        os.replace(temporary, link)
        return link


def _read(folder: Path) -> Run:
    kept = read_json(folder / "finished.json")["trees"] if (folder / "finished.json").exists() else None
    retired = read_json(folder / "retired.json")["at"] if (folder / "retired.json").exists() else ""
    trees = sum(1 for _ in folder.glob("tree_*.json"))
    return Run(folder, read_json(folder / "job.json"), trees, kept, str(retired))


def run_of(model: Path) -> bytes:
    """The run id of a label party's `model.json`, which stands beside it in `job.json`.

    Raises:
        SecureGBMError: If it does not.
    """
    beside = model.resolve().with_name("job.json")
    if not beside.exists():
        raise SecureGBMError(f"{model} lies outside of its run's folder; give the run's id as `--run`, too")
    return bytes.fromhex(read_json(beside)["run"])


def last_of(model: Path) -> str:
    """What a label party keeps of the last tree of a `model.json`, from `finished.json` beside it; empty elsewhere."""
    beside = model.resolve().with_name("finished.json")
    return str(read_json(beside)["last"]) if beside.exists() else ""


def store_of(run: Run) -> TreeStore:
    """The committed trees of a run."""
    return TreeStore(run.folder)
