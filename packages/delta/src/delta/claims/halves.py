"""C13 to C15: the arena from a source trained here, on the half of Tiny ImageNet's classes that no target has.

Source and target are then of one distribution, the case for which regularisers of this kind are said to help. A seed draws
twenty of the other hundred classes and 30 images of each; ``training/source.py`` made the source. Steps, rate and weights
were found with seed 1000: with 15 images of each, or half the steps, plain L2 was behind a linear probe.
"""

from claimkit.claims import Preset, Values
from claimkit.claims.power import Power, power
from claimkit.experiment import Experiment, Job
from claimkit.transfer.arena.curves import COLUMNS, MARGIN, Run
from claimkit.transfer.arena.ring import controls, probes
from claimkit.transfer.arena.tasks import HALF, SMOKE
from claimkit.transfer.regularizers import L2SP
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
]
