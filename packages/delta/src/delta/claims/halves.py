"""C13 to C16: the arena from a source trained here, on the half of Tiny ImageNet's classes that no target has.

Source and target are then of one distribution, the case for which regularisers of this kind are said to help. A seed draws
twenty of the other hundred classes and 30 images of each; ``training/source.py`` made the source. Steps, rate and weights
were found with seed 1000: with 15 images of each, or half the steps, plain L2 was behind a linear probe.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from claimkit.claims import Claim, Preset, Values, Verdict
from claimkit.claims.power import Power, power
from claimkit.experiment import Experiment, Job
from claimkit.statistics import paired_difference
from claimkit.transfer.arena.curves import COLUMNS, MARGIN, Run
from claimkit.transfer.arena.ring import controls, probes
from claimkit.transfer.arena.tasks import HALF, SMOKE
from claimkit.transfer.regularizers import L2, L2SP
from delta.claims import arena
from delta.claims.arena import Arena

SEEDS = 6
PRESETS: dict[Preset, Arena] = {
    "smoke": Arena(targets=(SMOKE,), short=True),
    "full": Arena(seeds=SEEDS, targets=(HALF,), alphas=(1e-2, 5e-2)),
}


def measure(s: Arena, job: Job) -> Values:
    """The controls, probe, L2-SP, FM and DELTA: the arms of the other claims that need no more than this."""
    runs: list[Run] = []
    for target in s.targets:
        ring = target.ring(job)
        runs += [*controls(ring), *probes(ring, s.short), ring.run("l2sp", 1e-2, L2SP(ring.source, 1e-2))]
        runs += arena.feature_maps(ring, s.alphas[-1:] if s.short else s.alphas)
    return {"columns": COLUMNS, "runs": runs}


def _power(asks: float, spread: float, of: str) -> Power:
    return power(
        asks, spread, {"full": SEEDS}, f"{of} of two seeds on flowers, as for C9: no pilot of several here", "points"
    )


HELD: dict[Preset, Arena] = {
    "smoke": Arena(targets=(SMOKE,), short=True),
    "full": Arena(seeds=SEEDS, targets=(HALF,), alphas=(5e-1,)),
}
NEAR, FAR = 0.1, 0.3
"""Nats of training loss: within which features count as a frozen network's, and beyond which as others."""


def measure_held(s: Arena, job: Job) -> Values:
    """Frozen, plain L2, and FM and DELTA at one weight."""
    runs: list[Run] = []
    for target in s.targets:
        ring = target.ring(job)
        runs += [ring.run("frozen", 0.0, settings=replace(ring.settings, frozen=True)), ring.run("l2", 1e-4, L2())]
        runs += arena.feature_maps(ring, s.alphas[-1:])
    return {"columns": COLUMNS, "runs": runs}


def judge_held(values: Sequence[Values]) -> Verdict:
    """C16."""
    if len(values) < 2:
        return Verdict("not run", "One seed shows the wiring only: an interval needs at least two.")
    column = COLUMNS.index("training loss")
    loss = {m: np.array([next(r[column] for r in v["runs"] if r[1] == m) for v in values]) for m in ("frozen", *MOVED)}
    l2, *held = (paired_difference(loss[m], loss["frozen"], f"training loss, {m} - frozen", "nats") for m in MOVED)
    near = all(e.low is not None and e.low >= -NEAR and e.high is not None and e.high <= NEAR for e in held)
    far = l2.high is not None and l2.high < -FAR
    told = f"{l2}; {held[1]}. Test accuracy: {arena.standing(values)}"
    return Verdict("reproduced" if near and far else "not reproduced", told, held[0])


MOVED = ("l2", "fm", "delta")
HERE = ", from a source of the same pictures"
FIRST = (
    "DELTA beats what a user would try first",
    "DELTA is more accurate than the best of probe, plain L2 and L2-SP.",
    "The same of DELTA minus the one of them with the best mean validation accuracy over the seeds.",
)
REPORTED = 1.5
"""Points: half of the least that others report of DELTA over plain fine-tuning on few images."""
EXPERIMENTS = [
    Experiment(
        arena.asked(13, arena.PLAIN, HERE, _power(REPORTED, 0.85, "DELTA - L2")),
        PRESETS,
        measure,
        arena.judge_plain,
        arena.draw,
    ),
    Experiment(
        arena.asked(14, arena.ATTENTION, HERE, _power(MARGIN, 0.3, "DELTA - FM")),
        PRESETS,
        measure,
        arena.judge_attention,
    ),
    Experiment(arena.asked(15, FIRST, HERE, _power(REPORTED, 0.85, "DELTA - L2")), PRESETS, measure, arena.judge_simple),
    Experiment(
        Claim(
            id="C16",
            title="Held firmly, features are a frozen network's" + HERE,
            paper="1901.09229",
            where="section 3; the control of C13 to C15 that can fail",
            statement="At ten times the largest weight of C13, feature maps with and without attention learn what a network "
            "with frozen features learns, which plain L2 does not.",
            criterion="On the task of C13, over the same six seeds: the 95 % intervals of the mean difference of the last "
            "training loss to the frozen network's lie within +-0.1 nats for FM and for DELTA, and plain L2's below -0.3.",
            tolerance="In seeds 1000 to 1002 the frozen network's loss is 0.9 to 1.0, plain L2's 0.41 to 0.45.",
            power=power(
                NEAR,
                0.02,
                {"full": SEEDS},
                "seeds 1000 to 1002, none of the six: FM - frozen -0.03, -0.03, -0.04, DELTA - frozen -0.02, 0.00, -0.04",
                "nats",
            ),
        ),
        HELD,
        measure_held,
        judge_held,
    ),
]
