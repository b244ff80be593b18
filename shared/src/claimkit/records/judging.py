"""From the values of a measurement to a verdict and a picture; also again, when only the judging has changed."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from claimkit.claims import Preset, Record, Values, Verdict, load_records
from claimkit.errors import InputError
from claimkit.experiment import Experiment, load_experiments
from claimkit.files import atomic_path, sha256


def judge(experiment: Experiment, values: Sequence[Values], preset: Preset, out: Path) -> tuple[Verdict, str | None]:
    """The verdict, and the name of the picture that was drawn in ``out``.

    A claim is without picture where it has none to draw, and where nothing is installed that could draw it.
    """
    verdict = experiment.judge(values)
    if experiment.draw is None:
        return verdict, None
    picture = f"{experiment.claim.id}.{preset}.png"
    try:
        with atomic_path(out / picture) as temporary:
            experiment.draw(values, temporary)
    except ImportError:
        return verdict, None
    return verdict, picture


def sealed(record: Record, folder: Path) -> Record:
    """The record with the digests of its values, its criterion and its picture in ``folder``."""
    picture = folder / record.picture if record.picture else None
    drawn = {"picture": sha256(picture)} if picture and picture.is_file() else {}
    return dataclasses.replace(record, digests=record.own_digests() | drawn)


def judge_again(package: str, folder: Path, only: Sequence[str] = (), draw: bool = True) -> Iterator[tuple[Record, Record]]:
    """Judge recorded values by the code of today; what was measured, when and where stays as it is recorded.

    Args:
        package: Name of an installed package.
        folder: Its records; they and their pictures are written again.
        only: Identifiers of claims; all of them when empty.
        draw: Draw the pictures again, too.

    Yields:
        The record as it was, and as it is now.

    Raises:
        InputError: No such claim, or no records of it.
    """
    experiments = {e.claim.id: e for e in load_experiments(package)}
    if unknown := [c for c in only if c not in experiments]:
        raise InputError(f"{package} has no claim {unknown[0]!r}: it has {', '.join(experiments)}")
    records = [r for r in load_records(folder) if r.evidence and r.claim.id in (only or experiments)]
    absent = [c for c in only if c not in {r.claim.id for r in records}]
    if absent or not records:
        what = f" of {absent[0]}" if absent else ""
        raise InputError(f"{folder} holds no record{what}: measure with {package} reproduce --out {folder}")
    for old in records:
        assert old.evidence is not None
        experiment, values = experiments[old.claim.id], [s.values for s in old.evidence.seeds]
        drawn = experiment if draw else dataclasses.replace(experiment, draw=None)
        verdict, picture = judge(drawn, values, old.evidence.preset, folder)
        new = dataclasses.replace(old, claim=experiment.claim, verdict=verdict, picture=picture or old.picture)
        new = sealed(new, folder)
        new.save(folder)
        yield old, new
