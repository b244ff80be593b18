"""C12 to C14: the questions of C9 to C11 on photographs that the user has, from a SqueezeNet that has learnt ImageNet.

The task is that of delta's C9: twelve kinds of flowers, 15 training images of each. Weights on features are a ten thousandth
of those on strokes, by which SqueezeNet's maps are larger; the pull towards the source is the same.
"""

from claimkit.claims import Preset
from claimkit.claims.power import Power, power
from claimkit.experiment import Experiment
from claimkit.transfer.arena.curves import MARGIN
from claimkit.transfer.arena.tasks import FLOWERS, SMOKE
from dtnh.claims import arena
from dtnh.claims.arena import CLIPPED, DIRECTION, LAG_MARGIN, LOSES_NOTHING, ONE_BACKWARD, Arena

SEEDS = 10
HERE = ", on photographs of flowers"
PRESETS: dict[Preset, Arena] = {
    "smoke": Arena(targets=(SMOKE,), short=True, weights=CLIPPED),
    "full": Arena(seeds=SEEDS, targets=(FLOWERS,), weights=CLIPPED),
}


def _power(asks: float, spread: float, of: str) -> Power:
    pilot = f"{of} over two seeds, 1000 and 1001, with these settings"
    return power(asks, spread, {"full": SEEDS}, pilot, "points")


EXPERIMENTS = [
    Experiment(
        arena.asked(
            12,
            LOSES_NOTHING,
            "Half a point, as in C1. Ten seeds tell a loss of a point; where an interval is wider than half a point, the "
            "claim is not run.",
            power=_power(2 * MARGIN, 0.96, "guard - base of the widest of the cells"),
            how=HERE,
        ),
        PRESETS,
        arena.measure,
        arena.judge_harmless,
        arena.draw,
    ),
    Experiment(
        arena.asked(
            13,
            DIRECTION,
            "As for C12.",
            power=_power(MARGIN, 0.39, "the wider of two means over four penalties"),
            how=HERE,
        ),
        PRESETS,
        arena.measure,
        arena.judge_direction,
    ),
    Experiment(
        arena.asked(
            14,
            ONE_BACKWARD,
            "The bar of this package for its one-backward guard.",
            LAG_MARGIN,
            _power(LAG_MARGIN, 0.48, "the mean of two weights"),
            HERE,
        ),
        PRESETS,
        arena.measure,
        arena.judge_lagged,
    ),
]
