"""E1 and E6: training from simple to complex scenes against training on complex scenes at once, and why.

The two differ in their networks at full alone: E1 has frozen pretrained ones, E6 starts from random weights as the paper's
authors do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avcurriculum.claims.common import (
    HARDEST,
    PAPER,
    PRETRAINED_RUN,
    Scenes,
    by_scene,
    crossed_interval,
    curriculum_network,
    scenes,
)
from avcurriculum.evaluation.composed import pair_hits, scene_scores, solo_queries
from avcurriculum.metrics import auc, success_rate
from avcurriculum.training.curriculum import ORDERS
from avcurriculum.training.trainer import Training
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job

LEVEL = 0.6
"""Validation pair accuracy on the hardest scenes whose first reaching counts as fast convergence."""


@dataclass(frozen=True, kw_only=True)
class OrderSettings(Scenes):
    """Four orders a seed."""


def measure(s: OrderSettings, job: Job) -> Values:
    """Train every order from the same initial weights with the same steps; look at the test scenes once."""
    data = scenes(s, job)
    arms = {}
    for order in ORDERS:
        model, history = curriculum_network(s, data, job.seed, order)
        arm: dict[str, object] = {
            "validation": [[step, seconds, round(score, 4)] for step, seconds, score in history.validation],
            "last_loss": round(float(np.mean(history.loss[-50:])), 4),
        }
        for k in range(1, HARDEST + 1):
            pool = data.pools["test", k]
            query = solo_queries(model, pool, data.solo["test"], k)
            hits = pair_hits(model, pool, k)
            scene = scene_scores(model, pool, k)
            arm[f"k{k}"] = {
                "pair": [int(h) for h in hits],
                "iou@0.3": by_scene(query.scene, (query.iou >= 0.3).astype(float), len(pool)),
                "mean_iou": float(query.iou.mean()),
                "iou@0.5": success_rate(query.iou, 0.5),
                "pointing": float(query.pointing.mean()),
                "silent": float(query.silent.mean()),
                **{f"ciou@0.5 {cut}": success_rate(v) for cut, v in scene.items()},
                **{f"auc {cut}": auc(v) for cut, v in scene.items()},
            }
        arms[order] = arm
    return {"arms": arms}


def table(values: Sequence[Values], arm: str, name: str, k: int = HARDEST) -> list[list[float]]:
    """A quantity of one arm, ``(seeds, scenes)``."""
    return [v["arms"][arm][f"k{k}"][name] for v in values]


def gain(values: Sequence[Values], name: str, other: str, k: int = HARDEST) -> Estimate:
    """easy_to_hard less another order, over seeds and scenes."""
    difference = np.subtract(table(values, "easy_to_hard", name, k), table(values, other, name, k))
    return crossed_interval(difference, f"easy_to_hard - {other}, {name}")


def first_step(values: Sequence[Values], arm: str, level: float = LEVEL) -> float:
    """Median over seeds of the step at which validation first reaches the level; infinite where it does not."""
    first = [next((v[0] for v in value["arms"][arm]["validation"] if v[2] >= level), np.inf) for value in values]
    return float(np.median(first))


def judge(values: Sequence[Values]) -> Verdict:
    """Both differences on the hardest scenes exclude zero, and the level is reached no later."""
    if len(values) < 2:
        return Verdict("not run", "An interval over seeds needs at least two of them.")
    pair, iou = gain(values, "pair", "direct"), gain(values, "iou@0.3", "direct")
    steps = {arm: first_step(values, arm) for arm in ORDERS}
    sooner = steps["easy_to_hard"] <= steps["direct"]
    clear = all(e.low is not None and e.low > 0 for e in (pair, iou))
    kind = "not reproduced"
    if clear and sooner:
        kind = "reproduced"
    elif pair.value > 0 and iou.value > 0:
        kind = "direction reproduced"
    means = {arm: "/".join(f"{np.mean(table(values, arm, n)):.3f}" for n in ("pair", "iou@0.3")) for arm in ORDERS}
    controls = "; ".join(str(gain(values, "iou@0.3", arm)) for arm in ("mixed", "hard_to_easy"))
    reason = (
        f"{iou}. Pair accuracy/IoU@0.3 with three sources: {', '.join(f'{a} {m}' for a, m in means.items())}. "
        f"Controls: {controls}. Median step to validation {LEVEL}: "
        f"{', '.join(f'{a} {n:.0f}' if np.isfinite(n) else f'{a} never' for a, n in steps.items())}."
    )
    return Verdict(kind, reason, pair)


def draw(values: Sequence[Values], path: Path) -> None:
    """Validation against steps, and the test scores by the number of sources."""
    from avcurriculum import plots

    plots.orders(values, path)


CRITERION = (
    "On held-out scenes of three sources, easy_to_hard less direct is positive in pair accuracy and in IoU@0.3 of solo "
    "queries, both 95 % intervals over seeds x scenes exclude zero, and the median step at which validation pair accuracy "
    f"reaches {LEVEL} is not later. Orders mixed and hard_to_easy are controls and always shown."
)
TOLERANCE = "The intervals are the tolerance: seeds and scenes are both drawn again."

CLAIM = Claim(
    id="E1",
    title="Simple scenes first",
    paper=PAPER,
    where="abstract",
    statement="Training from simple to complex scenes trains more easily and converges faster than training on complex "
    "scenes at once, with the same initial weights, steps, batch and rates.",
    criterion=CRITERION,
    tolerance=TOLERANCE,
)
RANDOM = Claim(
    id="E6",
    title="Simple scenes first, from random weights",
    paper=PAPER,
    where="abstract",
    statement="The same holds where no network has seen anything before: both backbones are trained from random weights.",
    criterion=CRITERION,
    tolerance=TOLERANCE,
)

SMOKE = OrderSettings(seeds=1, steps=12, scenes=64, held_out=24, training=Training(batch=16, validate_every=6))
SMALL = OrderSettings(seeds=2, steps=120, scenes=512, held_out=100, training=Training(batch=48, validate_every=20))
"""From random weights; the two claims share the measurement."""

EXPERIMENTS = [
    Experiment(
        CLAIM,
        {
            "smoke": SMOKE,
            "small": SMALL,
            "full": OrderSettings(
                **PRETRAINED_RUN,
                seeds=5,
                training=Training(learning_rate=1e-3, validate_every=25),
            ),
        },
        measure,
        judge,
        draw,
    ),
    Experiment(
        RANDOM,
        {
            "smoke": SMOKE,
            "small": SMALL,
            "full": OrderSettings(
                seeds=5, real=True, steps=1200, scenes=1024, training=Training(learning_rate=1e-3, validate_every=50)
            ),
        },
        measure,
        judge,
        draw,
    ),
]
