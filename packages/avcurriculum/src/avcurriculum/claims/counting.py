"""E5: the complexity of a scene estimated from its sound, and the curriculum that is built on the estimate."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avcurriculum.claims.common import HARDEST, PAPER, PRETRAINED_RUN, Scenes, scenes
from avcurriculum.evaluation.composed import pair_accuracy, solo_queries
from avcurriculum.scenes.pools import Pool
from avcurriculum.training.counting import fit_counter, regroup
from avcurriculum.training.curriculum import Order, make
from avcurriculum.training.trainer import Training, train
from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job

CORRELATION = 0.5


@dataclass(frozen=True, kw_only=True)
class CountingSettings(Scenes):
    """The counter is fitted on half of the training scenes, and groups the other half."""


def measure(s: CountingSettings, job: Job) -> Values:
    """Confusion on held-out mixtures; test scores of curricula ordered by the true, the estimated and no complexity."""
    from scipy.stats import rankdata

    data = scenes(s, job)
    half = s.scenes // 2
    pools = data.training()
    known = {k: p.take(range(half)) for k, p in pools.items()}
    counter = fit_counter(known, level=True)
    confusion = counter.confusion({k: data.pools["test", k] for k in pools})
    true = np.repeat(np.arange(1, HARDEST + 1), confusion.sum(1))
    guess = np.concatenate([np.repeat(np.arange(1, HARDEST + 1), row) for row in confusion])
    correlation = float(np.corrcoef(rankdata(true), rankdata(guess))[0, 1])
    rest = {k: p.take(range(half, len(p))) for k, p in pools.items()}
    scores = {}
    settings = Training(s.training.batch, s.training.learning_rate, validate_every=10**9, seed=job.seed)
    estimated = regroup(rest, counter, s.training.batch)
    arms: dict[str, tuple[Order, dict[int, Pool]]] = {
        "true": ("easy_to_hard", rest),
        "estimated": ("easy_to_hard", estimated),
        "direct": ("direct", rest),
    }
    for name, (order, groups) in arms.items():
        net = data.network(s.architecture, job.seed)
        train(net, groups, make(order, s.steps, HARDEST), settings)
        pool = data.pools["test", HARDEST]
        query = solo_queries(net, pool, data.solo["test"], HARDEST)
        scores[name] = {"pair": pair_accuracy(net, pool, HARDEST), "iou@0.3": float((query.iou >= 0.3).mean())}
    return {"confusion": confusion.tolist(), "correlation": correlation, "scores": scores}


def judge(values: Sequence[Values]) -> Verdict:
    """The rank correlation of estimated and true numbers of sources."""
    correlation = [v["correlation"] for v in values]
    low, mean = min(correlation), float(np.mean(correlation))
    confusion = np.sum([v["confusion"] for v in values], axis=0)
    share = " / ".join(f"{row[i] / row.sum():.2f}" for i, row in enumerate(confusion))
    means = "; ".join(
        f"{arm} {np.mean([v['scores'][arm]['pair'] for v in values]):.3f} and "
        f"{np.mean([v['scores'][arm]['iou@0.3'] for v in values]):.3f}"
        for arm in ("true", "estimated", "direct")
    )
    reason = (
        f"Right for 1 / 2 / 3 sources: {share}. Pair accuracy and IoU@0.3 with three sources, by what orders the "
        f"curriculum: {means}."
    )
    effect = Estimate("rank correlation", mean, low, max(correlation))
    return Verdict("reproduced" if low > CORRELATION else "not reproduced", reason, effect)


CLAIM = Claim(
    id="E5",
    title="Counting sources",
    paper=PAPER,
    where="derived",
    statement="The number of sources can be estimated from the sound alone, well enough to order a curriculum by it.",
    criterion="On held-out mixtures of one to three sounds, the rank correlation of estimated and true number exceeds 0.5 "
    "for every seed. The noisy curriculum's scores are shown beside those of the true one and of direct training.",
    tolerance="0.5 is the specification's bar: an order that is right more often than not.",
)

EXPERIMENTS = [
    Experiment(
        CLAIM,
        {
            "smoke": CountingSettings(seeds=1, steps=6, scenes=160, held_out=24, training=Training(batch=8)),
            "small": CountingSettings(seeds=1, steps=80, scenes=512, held_out=100, training=Training(batch=48)),
            "full": CountingSettings(**PRETRAINED_RUN, seeds=3, training=Training(learning_rate=1e-3)),
        },
        measure,
        judge,
    )
]
