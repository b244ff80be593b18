"""Whether recorded results are what a command once wrote, and what the code of today says of them."""

import dataclasses
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from claimkit.claims import Estimate, Record, load_records, sums
from claimkit.experiment import Experiment, load_experiments
from claimkit.files import sha256
from claimkit.records import history
from claimkit.records.judging import sealed


def check(package: Path) -> Iterator[str]:
    """One sentence for everything that is wrong with the records of a package's folder in a workspace.

    Files are compared with ``SHA256SUMS``, values, criterion and picture with the digests in the record, claim, verdict and
    effect with the code, which judges the recorded values again, and criteria with ``criteria.tsv``.
    """
    folder = package / "results"
    records = load_records(folder) if folder.is_dir() else []
    yield from _files(folder, records)
    if records and importlib.util.find_spec(package.name) is None:
        yield f"{package.name} is not installed here, so its records were not judged again: pip install {package}"
        return
    experiments = {e.claim.id: e for e in load_experiments(package.name)} if records else {}
    for r in records:
        where = folder / r.file
        if r.package != package.name:
            yield f"{where} is a record of {r.package}"
        elif r.claim.id not in experiments:
            yield f"{where} is of a claim that {package.name} does not have: remove it, or put the claim back"
        else:
            yield from (f"{where}: {s}" for s in [*_whole(r, folder), *_judged(r, experiments[r.claim.id])])
    yield from _criteria(folder, records)


def files(folder: Path) -> list[str]:
    """Names of the records of a folder, and of the pictures that they name."""
    records = load_records(folder) if folder.is_dir() else []
    return [n for r in records for n in (r.file, r.picture) if n and (folder / n).is_file()]


def _files(folder: Path, records: list[Record]) -> Iterator[str]:
    noted, there = sums.read(folder), set(files(folder))
    for file in sorted(set(folder.glob("*.json")) - {folder / r.file for r in records}):
        yield f"{file} has another name than the claim and preset in it"
    for name in sorted(there - set(noted)):
        yield f"{folder / name} has no line in {sums.NAME}: run claimkit readme"
    for name in sorted(set(noted) - there):
        yield f"{folder / name} is in {sums.NAME} and not here: put it back, or take the line out"
    for name in sorted(n for n in there & set(noted) if sha256(folder / n) != noted[n]):
        yield f"{folder / name} is not what a command wrote (its line in {sums.NAME} differs): put it back, or measure again"


def _whole(r: Record, folder: Path) -> Iterator[str]:
    """What a record must hold to be one."""
    new = sealed(r, folder).digests
    yield from (f"its {k} changed after it was written" for k, digest in r.digests.items() if new.get(k) != digest)
    if r.picture and not (folder / r.picture).is_file():
        yield f"its picture {r.picture} is not here"
    if r.evidence:
        seeds = [s.seed for s in r.evidence.seeds]
        if not seeds or not all(s.values for s in r.evidence.seeds):
            yield "a seed has no values"
        if len(set(seeds)) != len(seeds) or len(seeds) != r.evidence.config.get("seeds"):
            yield f"it holds the seeds {seeds}, its settings say {r.evidence.config.get('seeds')} of them"


def _judged(r: Record, experiment: Experiment) -> Iterator[str]:
    """What the code of today says otherwise."""
    for f in dataclasses.fields(r.claim):
        if getattr(r.claim, f.name) != getattr(experiment.claim, f.name):
            yield f"its {f.name} is not that of the code: claimkit judge {r.package} {r.claim.id}"
    if r.evidence is None or (r.verdict.kind == "not run" and not r.evidence.seeds):
        return
    try:
        new = experiment.judge([s.values for s in r.evidence.seeds])
    except Exception as e:
        yield f"the code cannot judge its values ({type(e).__name__}: {e})"
        return
    again = f"claimkit judge {r.package} {r.claim.id}"
    if new.kind != r.verdict.kind:
        yield f"judged again, it is {new.kind}, not {r.verdict.kind}: {again}"
    elif new.reason != r.verdict.reason:
        yield f"judged again, the reason is another ({new.reason}): {again}"
    elif not same_estimate(new.effect, r.verdict.effect):
        yield f"judged again, the effect is {new.effect}, not {r.verdict.effect}: {again}"


def same_estimate(a: Estimate | None, b: Estimate | None, within: float = 1e-9) -> bool:
    """Whether two estimates are equal up to a relative difference."""
    if a is None or b is None:
        return a is b
    numbers = [(a.value, b.value), (a.low, b.low), (a.high, b.high)]
    return (a.name, a.unit) == (b.name, b.unit) and all(
        x == y or (x is not None and y is not None and abs(x - y) <= within * max(abs(x), abs(y))) for x, y in numbers
    )


def _criteria(folder: Path, records: list[Record]) -> Iterator[str]:
    """Criteria that were never noted, or that are not the last that was."""
    noted = history.read(folder)
    for claim, criterion in {r.claim.id: r.claim.criterion for r in records}.items():
        digests = [c.digest for c in noted.get(claim, [])]
        if history.short(criterion) not in digests[-1:]:
            yield f"{folder}: the criterion of {claim} is not the last in {history.NAME}: run claimkit readme"
