"""C9 to C12: the arena on photographs that the user has, from a SqueezeNet that has learnt ImageNet.

Twelve kinds of flowers, where plain fine-tuning was ahead of a frozen network in the pilot, for the questions of C6 to
C8; and objects of Caltech-101, where C12 asks whether a linear probe is. The stages of the network that stay as they are
in every arm are computed once an image.
"""

from collections.abc import Sequence

import numpy as np

from claimkit.claims import Claim, Preset, Values, Verdict
from claimkit.claims.power import Power, power
from claimkit.experiment import Experiment, Job
from claimkit.statistics import mean_interval
from claimkit.transfer.arena.curves import COLUMNS, MARGIN, Curve, chosen, curves, seeds_needed
from claimkit.transfer.arena.ring import controls, probes
from claimkit.transfer.arena.tasks import CALTECH, FLOWERS, SMOKE
from delta.claims import arena
from delta.claims.arena import Arena

SEEDS, OBJECTS = 29, 16
"""Of the flowers and of Caltech-101; by the spread of the first 16 seeds, C9 takes 24 and C11 takes 29."""
WIDEST = 1.0
"""Points: the largest half-width of the interval of C12."""
FEW: dict[Preset, Arena] = {
    "smoke": Arena(targets=(SMOKE,), short=True),
    "full": Arena(seeds=SEEDS, targets=(FLOWERS,)),
}
KNOWN: dict[Preset, Arena] = {
    "smoke": Arena(targets=(SMOKE,), short=True),
    "full": Arena(seeds=OBJECTS, targets=(CALTECH,)),
}


def measure_probe(s: Arena, job: Job) -> Values:
    """The controls of a task, plain L2 at every rate among them, and the linear probe."""
    rings = [target.ring(job) for target in s.targets]
    return {"columns": COLUMNS, "runs": [run for ring in rings for run in (*controls(ring), *probes(ring, s.short))]}


def judge_probe(values: Sequence[Values]) -> Verdict:
    """C12: the probe against L2, each at the decay or rate that is best on validation; the same for every seed."""
    if len(values) < 2:
        return Verdict("not run", "One seed shows the wiring only: an interval needs at least two.")
    [(task, methods)] = curves(v["runs"] for v in values).items()
    if methods["scratch"][1e-4][:, 1].mean() >= methods["frozen"][0.0][:, 1].mean():
        return Verdict("not run", f"{task}: nothing in the source: scratch is not behind frozen. {arena.standing(values)}")
    tuned = {CALTECH.learning_rate: methods["l2"][1e-4], **methods.get("l2 at other rates", {})}
    probe, l2 = _best(methods["probe"]), _best(tuned)
    needed = seeds_needed(probe - l2, WIDEST)
    if needed > len(values):
        few = f"{len(values)} paired seeds have an interval wider than +-{WIDEST:g} points: {needed} are needed."
        return Verdict("not run", f"{task}: {few} {arena.standing(values)}")
    effect = mean_interval(probe - l2, "probe - L2", "points of test accuracy")
    kind = "reproduced" if (effect.low or 0) > 0 else "direction reproduced" if effect.value > 0 else "not reproduced"
    return Verdict(kind, f"L2 at its best rate {l2.mean():.1f}. {arena.standing(values)}", effect)


def _best(curve: Curve) -> np.ndarray:
    """Percent on the test set by seed, at the weight that is best on validation."""
    return 100 * curve[chosen(curve)][:, 1]


def _power(asks: float, spread: float, of: str, seeds: int = SEEDS) -> Power:
    return power(asks, spread, {"full": seeds}, of, "points")


PILOT = "of two seeds, 1000 and 1001, with these settings"
HERE = ", on photographs of flowers"
EXPERIMENTS = [
    Experiment(
        arena.asked(9, arena.PLAIN, HERE, _power(1.0, 0.85, f"DELTA - L2 {PILOT}")),
        FEW,
        arena.measure,
        arena.judge_plain,
        arena.draw,
    ),
    Experiment(
        arena.asked(10, arena.ATTENTION, HERE, _power(MARGIN, 0.3, f"DELTA - FM {PILOT}")),
        FEW,
        arena.measure,
        arena.judge_attention,
    ),
    Experiment(
        arena.asked(11, arena.FIRST, HERE, _power(1.0, 0.85, f"DELTA - L2 {PILOT}")),
        FEW,
        arena.measure,
        arena.judge_simple,
    ),
    Experiment(
        Claim(
            id="C12",
            title="A probe is enough where the source knows the objects",
            paper="1901.09229",
            where="derived: a baseline of the arena, on a data set of the kind that the paper uses",
            statement="On Caltech-101 with 15 images a class a linear probe is more accurate than plain fine-tuning.",
            criterion="The 95 % interval over paired seeds of the difference of test accuracy probe - L2, decay and rate "
            "chosen on validation, lies above zero (reproduced); mean positive (direction). Not run where scratch is not "
            "behind frozen, or where the interval is wider than +-1 point.",
            tolerance="None: the sign. A difference of less than a point is no reason to prefer either.",
            power=_power(2.0, 1.4, "no pilot: a tenth of 520 test images answered differently", OBJECTS),
        ),
        KNOWN,
        measure_probe,
        judge_probe,
    ),
]
