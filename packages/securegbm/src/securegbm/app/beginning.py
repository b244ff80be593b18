"""Which run a `train` means."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from securegbm.config import TrainConfig
from securegbm.errors import SecureGBMError
from securegbm.state.registry import Registry, store_of
from securegbm.state.store import TreeStore
from securegbm.wire.messages import new_run


@dataclass(frozen=True)
class Begin:
    """Which run a `train` means: the open one of the job, a new one, or one that continues another.

    Args:
        replace: Begin a new run though the job has one; that one stays under its id.
        continues: Run (or job) whose trees the new run begins with.
        roll_back: Accept to lose trees that only one party holds.
    """

    replace: bool = False
    continues: str | None = None
    roll_back: bool = False
    run: bytes = field(default_factory=new_run)

    def choose(self, registry: Registry, job: str) -> tuple[Path, TreeStore | None]:
        """The run's folder, and the trees it begins with."""
        held = registry.current(job)
        source = registry.find(self.continues, finished=True) if self.continues else None
        wanted = source.id if source else ""
        if held is not None and not self.replace:
            begun = (held.bound.get("continues") or {}).get("run", "")
            if begun == wanted or (source is None and held.finished is None):
                return held.folder, store_of(source) if source else None
            if held.finished is None:
                raise SecureGBMError(
                    f"the job {job!r} has an open run {held.id[:8]}; finish it, give another --job, or --replace it"
                )
        return registry.folder(self.run), store_of(source) if source else None

    def settle(self, registry: Registry, run: bytes) -> None:
        """The new run has the job's name now; earlier ones stay under their ids."""
        own = registry.find(run.hex())
        for other in registry.runs():
            if other.job == own.job and other.id != own.id and other.state in ("open", "finished"):
                registry.replace(other)


def more_trees(config: TrainConfig, begin: Begin, state: Path) -> TrainConfig:
    """With `--continue RUN`, `--trees` counts the trees to add."""
    if begin.continues is None:
        return config
    kept = Registry(state).find(begin.continues, finished=True).finished or 0
    return replace(config, n_estimators=config.n_estimators + kept // config.objective.num_class)
