"""Ordered training: stages from simple to complex scenes, and the orders that it is compared with (arXiv 2001.09414)."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from claimkit.errors import InputError

Order = Literal["easy_to_hard", "direct", "hard_to_easy", "mixed"]
ORDERS: tuple[Order, ...] = get_args(Order)


@dataclass(frozen=True)
class Stage:
    """Some steps on scenes of some complexity.

    Attributes:
        sources: Numbers of sources; where there are several, each step draws one uniformly.
        steps: Steps; the most, where the stage ends on a plateau.
        k_audio: Audio clusters; the number of sources when None.
        k_visual: Visual clusters; the number of sources and the network's background clusters when None.
        lr_scale: Factor of the learning rate.
        patience: End the stage when the mean loss of this many steps is no better than that of as many before; None never.
    """

    sources: tuple[int, ...]
    steps: int
    k_audio: int | None = None
    k_visual: int | None = None
    lr_scale: float = 1.0
    patience: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if not self.sources or min(self.sources) < 1 or self.steps < 1 or (self.patience is not None and self.patience < 1):
            raise InputError(f"a stage needs sources >= 1, steps >= 1 and patience >= 1, not {self}")

    def plateau(self, losses: list[float]) -> bool:
        """Whether the losses of this stage so far say that it is over."""
        p = self.patience
        return p is not None and len(losses) >= 2 * p and float(np.mean(losses[-p:])) >= float(np.mean(losses[-2 * p : -p]))


@dataclass(frozen=True)
class Curriculum:
    """Stages, one after the other; each starts from where the last ended."""

    stages: tuple[Stage, ...]

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(s.steps for s in self.stages)


def make(order: Order, steps: int, hardest: int = 3, patience: int | None = None) -> Curriculum:
    """A curriculum of ``steps`` steps up to ``hardest`` sources.

    ``easy_to_hard`` gives half of the steps to one source and halves of the rest to each further number, the last two alike
    (50, 25, 25 % for three); ``hard_to_easy`` is its reverse, ``direct`` sees the hardest scenes alone, ``mixed`` draws the
    number of sources of each step.

    >>> [(s.sources, s.steps) for s in make("easy_to_hard", 100).stages]
    [((1,), 50), ((2,), 25), ((3,), 25)]
    """
    if hardest < 1 or steps < hardest:
        raise InputError(f"{steps} steps for up to {hardest} sources: expected at least one step each")
    if order == "direct":
        return Curriculum((Stage((hardest,), steps, patience=patience),))
    if order == "mixed":
        return Curriculum((Stage(tuple(range(1, hardest + 1)), steps, patience=patience),))
    if order not in ORDERS:
        raise InputError(f"order {order!r} is none of {', '.join(ORDERS)}")
    lengths, rest = [], steps
    for k in range(1, hardest):
        lengths.append(max(rest // 2 if k < hardest else rest, 1))
        rest -= lengths[-1]
    stages = [Stage((k,), n, patience=patience) for k, n in enumerate([*lengths, rest], 1)]
    return Curriculum(tuple(stages if order == "easy_to_hard" else stages[::-1]))
