"""`securegbm models`: the runs a party holds, on either side."""

from pathlib import Path


def models_list(state: Path = Path("party-a")) -> None:
    """List the runs of a party: id, job, when it was begun, trees, and whether it serves.

    Example: securegbm models list --state party-a

    Args:
        state: The party's state folder.
    """
    from securegbm.state.registry import Registry

    print(f"{'run':<34}{'job':<20}{'begun':<26}{'trees':>6}  state")
    for run in Registry(state).runs():
        trees = run.trees if run.finished is None else run.finished
        print(f"{run.id:<34}{run.job:<20}{run.bound.get('created', ''):<26}{trees:>6}  {run.state}")


def models_show(run: str, state: Path = Path("party-a")) -> None:
    """Show what a run is bound to and the transcript hash of its last tree, which is the same at the other party.

    A label party with several feature parties has one hash with each.

    Example: securegbm models show --state party-a --run churn

    Args:
        run: Its id, the beginning of it, or a job's name.
        state: The party's state folder.
    """
    import json

    from securegbm.state.registry import Registry, store_of

    found = Registry(state).find(run)
    store = store_of(found)
    kept = len(store.records) if found.finished is None else found.finished
    shown = {k: v for k, v in found.bound.items() if k != "salt"}
    last = store.last(kept)
    hashes = [last[at : at + 64] for at in range(0, len(last), 64)]
    told = {"state": found.state, "trees": kept, "last": last if len(hashes) == 1 else hashes}
    print(json.dumps(shown | told, indent=1, sort_keys=True))


def models_importance(run: str, state: Path = Path("party-a")) -> None:
    """Show how much each column is used, as far as this party may know.

    The label party knows splits and gains of its own columns by name and of the other's by number; the feature party
    knows how often its own are split.

    Example: securegbm models importance --state party-a --run churn

    Args:
        run: Its id, the beginning of it, or a job's name.
        state: The party's state folder.
    """
    from securegbm.model.halves import FeatureHalf, LabelHalf
    from securegbm.state.registry import Registry
    from securegbm.state.store import read_json

    found = Registry(state).find(run, finished=True)
    data = read_json(found.folder / "model.json")
    if found.bound.get("role") == "feature":
        print(f"{'column':<30}{'splits':>8}")
        for name, count in FeatureHalf.from_dict(data).importance().items():
            print(f"{name:<30}{count:>8}")
        return
    used = LabelHalf.from_dict(data).importance()
    print(f"{'column':<30}{'splits':>8}{'gain':>14}")
    for name in sorted(used["gain"], key=lambda name: -used["gain"][name]):
        print(f"{name:<30}{int(used['splits'][name]):>8}{used['gain'][name]:>14.6g}")


def models_retire(run: str, state: Path = Path("party-a")) -> None:
    """Answer no more predictions with a run; its files stay.

    Example: securegbm models retire --state party-a --run churn

    Args:
        run: Its id, the beginning of it, or a job's name.
        state: The party's state folder.
    """
    from securegbm.state.registry import Registry

    registry = Registry(state)
    found = registry.find(run)
    registry.retire(found)
    print(f"run {found.id} is retired; its files stay in {found.folder}")


def models_use(run: str, state: Path = Path("party-a")) -> None:
    """Make an earlier finished run the label party's model again (roll back).

    Example: securegbm models use --state party-a --run churn

    Args:
        run: Its id, the beginning of it, or a job's name.
        state: The label party's state folder.
    """
    from securegbm.state.registry import Registry

    registry = Registry(state)
    print(f"{registry.use(registry.find(run))} is run {registry.find(run).id}")
