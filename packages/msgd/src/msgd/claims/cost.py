"""M8: what the noise costs: a step of M-SGD against a step of SGD on the same rows."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from msgd.noise import Bernoulli, GaussianFisher, GradientDescent, MiniBatch, MiniBatchFisher, Noise, match
from msgd.train.data import ImageData
from msgd.train.models import make_model
from msgd.train.training import Trainer, Training


@dataclass(frozen=True)
class Steps(Settings):
    """The FashionMNIST network on random images of the same size; times do not depend on what they show."""

    threads: int | None = 1
    timed: bool = True
    n: int = 1_000
    batch: int = 50
    repeats: int = 50
    block: int = 5
    warmup: int = 30
    """Blocks before the clock runs: libraries prepare one kernel for each batch size that they meet."""


def times(s: Steps, job: Job) -> Values:
    """CPU seconds a step (wall seconds on a GPU), both of a pair in turn, each turn the mean of a block of steps."""
    g = Generator().manual_seed(job.seed)
    x, y = torch.randn(s.n, 1, 28, 28, generator=g), torch.randint(10, (s.n,), generator=g)
    data = ImageData("random", x, y, x[:1], y[:1]).to(job.device)
    pairs: dict[str, tuple[Noise, Noise]] = {
        "batch-fisher / sgd": (match(MiniBatchFisher(s.n, s.batch), s.batch // 2), MiniBatch(s.n, s.batch)),
        "gauss-fisher / gd": (match(GaussianFisher(s.n), s.batch), GradientDescent(s.n)),
        "bernoulli / sgd": (Bernoulli(s.n, s.batch), MiniBatch(s.n, s.batch)),
    }
    ratios: dict[str, list[float]] = {}
    milliseconds: dict[str, float] = {}
    for name, laws in pairs.items():
        trainers = [Trainer(make_model("conv-small", (1, 28, 28), 10), data, law, Training(10**6)) for law in laws]
        block = 1 if name.startswith("gauss") else s.block
        for trainer in trainers:
            trainer.model.to(job.device)
            _time(trainer, min(s.warmup, s.repeats) * block)
        turns = []
        for i in range(s.repeats):
            order = trainers if i % 2 else trainers[::-1]
            taken = {id(t): _time(t, block) for t in order}
            turns.append([taken[id(t)] for t in trainers])
        ratios[name] = [a / b for a, b in turns]
        milliseconds[name] = 1e3 * statistics.median(a for a, _ in turns)
    return {"ratio": ratios, "milliseconds": milliseconds, "threads": torch.get_num_threads()}


def _time(trainer: Trainer, steps: int) -> float:
    """Seconds a step."""
    on_gpu = trainer.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.synchronize()
    start = clock()
    for _ in range(steps):
        trainer.advance()
    if on_gpu:
        torch.cuda.synchronize()
    return (clock() - start) / steps


def judge(values: Sequence[Values]) -> Verdict:
    """Median ratios within their bars."""
    bars = {"batch-fisher / sgd": 1.05, "gauss-fisher / gd": 1.05, "bernoulli / sgd": 1.25}
    medians: dict[str, float] = {}
    spread: dict[str, tuple[float, float]] = {}
    for name in bars:
        r = [x for v in values for x in v["ratio"][name]]
        q = statistics.quantiles(r, n=4)
        medians[name], spread[name] = statistics.median(r), (q[0], q[2])
    good = all(medians[k] <= bar for k, bar in bars.items())
    reason = "Medians: " + ", ".join(f"{k} {m:.3f} (bar {bars[k]})" for k, m in medians.items()) + "."
    first = next(iter(bars))
    effect = Estimate(f"{first}, median and quartiles", medians[first], *spread[first])
    return Verdict("reproduced" if good else "not reproduced", reason, effect)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="M8",
            title="The noise is free",
            paper="1906.07405",
            where="abstract (v1): a fast algorithm to inject noise",
            statement="A step with multiplicative noise costs as much as a step without on the same rows, and sparse "
            "noise only the rows it weighs.",
            criterion="Median ratio of step times at most 1.05 for noisy against plain SGD and for noisy against "
            "plain GD, and at most 1.25 for Bernoulli rows against SGD of the same expected size.",
            tolerance="Drawing weights is a thousandth of the arithmetic of a step; the rest is the spread of the "
            "clock. Bernoulli batches change their size from step to step.",
        ),
        {"smoke": Steps(repeats=4), "small": Steps()},
        times,
        judge,
    )
]
