"""The best of a search evaluated again with other seeds: one training a candidate also finds the lucky ones.

The winner of many noisy values is better than it is; its mean over fresh seeds is not. What was evaluated again is kept in
the study, so that an interrupted confirmation goes on.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from claimkit.errors import InputError
from stylenas.objective import Objective
from stylenas.search.definition import Search
from stylenas.space import checked_terms
from stylenas.trials.ledger import Ledger

KEY, TRIED = "confirmed:", "tried to confirm:"


@dataclass(frozen=True)
class Confirm:
    """How many of the best are evaluated again, and with how many seeds each."""

    count: int
    seeds: int

    @classmethod
    def parse(cls, text: str) -> "Confirm":
        """From text such as ``10x3``.

        Raises:
            InputError: Anything else.
        """
        match = re.fullmatch(r"\s*([1-9]\d*)\s*x\s*([1-9]\d*)\s*", text)
        if not match:
            raise InputError(f"--confirm {text!r} is not understood: write how many and how often, such as 10x3")
        return cls(int(match[1]), int(match[2]))


def confirm(
    search: Search, ledger: Ledger, wanted: Confirm, watch: Callable[[int], object] | None = None
) -> dict[str, list[Mapping[str, float]]]:
    """Evaluate the best genomes of a search again, and keep what comes out in its study.

    An evaluation that raises what the search catches, or that ended ``max_attempts`` times with its process, has failed: its
    terms are NaN.

    Args:
        search: What was searched.
        ledger: Its study.
        wanted: How many, how often.
        watch: Called with how many evaluations are done.

    Returns:
        Terms of each seed, by genome.

    Raises:
        InputError: A space without ``confirm(genome, seed)``, several objectives, nothing evaluated yet, or every one of
            them failed.
    """
    if getattr(search.space, "confirm", None) is None:
        raise InputError(f"the space {search.space.name!r} has no confirm(genome, seed): nothing can be evaluated again")
    if len(search.objectives) != 1:
        raise InputError("--confirm ranks by one objective: search with one, or confirm what export gives")
    found = ledger.read().of("evaluated")
    if not found:
        raise InputError("nothing was evaluated yet: let the search go on")
    best = [t.user_attrs["genome"] for t in sorted(found, key=lambda t: (t.value, t.number))[: wanted.count]]
    kept, done = confirmed(ledger.study.user_attrs), 0
    for seed in range(1, wanted.seeds + 1):
        for genome in best:
            if seed not in kept.get(genome, {}):
                terms = _again(search, ledger, genome, seed)
                ledger.study.set_user_attr(f"{KEY}{genome}:{seed}", terms)
                kept.setdefault(genome, {})[seed] = terms
            done += 1
            if watch:
                watch(done)
    rows = {g: [kept[g][seed] for seed in range(1, wanted.seeds + 1)] for g in best}
    if not any(math.isfinite(search.objectives[0].of(terms)) for seeds in rows.values() for terms in seeds):
        raise InputError(
            f"all {wanted.seeds * len(best)} evaluations that should confirm failed: try confirm({best[0]!r}, 1) in Python"
        )
    return rows


def _again(search: Search, ledger: Ledger, genome: str, seed: int) -> dict[str, float]:
    """Terms of one more evaluation; each attempt is noted before it begins, for it may end with its process."""
    key, failed = f"{TRIED}{genome}:{seed}", {n: math.nan for n, _ in search.objectives[0].weights}
    tried = ledger.study.user_attrs.get(key, 0)
    if tried >= search.max_attempts:
        return failed
    ledger.study.set_user_attr(key, tried + 1)
    try:
        given = search.space.confirm(genome, seed)  # pyright: ignore[reportAttributeAccessIssue] - not every space has it
    except InputError:
        raise
    except search.catch:
        return failed
    except KeyboardInterrupt:
        ledger.study.set_user_attr(key, tried)  # an interruption is no attempt
        raise
    return checked_terms(search.space, genome, given)


def confirmed(attributes: Mapping[str, object]) -> dict[str, dict[int, Mapping[str, float]]]:
    """What the attributes of a study hold of it: terms by genome and seed."""
    kept: dict[str, dict[int, Mapping[str, float]]] = {}
    for key, terms in attributes.items():
        if key.startswith(KEY) and isinstance(terms, Mapping):
            genome, _, seed = key.removeprefix(KEY).partition(":")
            kept.setdefault(genome, {})[int(seed)] = terms
    return kept


def ranked(again: Mapping[str, Sequence[Mapping[str, float]]], objective: Objective) -> list[tuple[str, float, float]]:
    """Genome, mean and standard error over seeds, the lowest mean first; a genome that failed once comes last."""
    rows = []
    for genome, seeds in again.items():
        values = np.array([objective.of(terms) for terms in seeds])
        error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
        rows.append((genome, float(values.mean()), error))
    return sorted(rows, key=lambda row: (not math.isfinite(row[1]), row[1]))
