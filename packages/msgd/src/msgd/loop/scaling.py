"""What matches what when a batch grows: rules for the learning rate, and a controller for the noise.

With SGD what acts is ``T = learning rate / (1 - momentum) x level``. From batch b at rate r to batch B:

| rule | rate | noise | holds |
|---|---|---|---|
| inject | r | ``match(law, b)`` | T and the time of a step: the path of batch b, step by step |
| linear (Goyal et al. 2017) | r B/b | none | T; a step is B/b steps of batch b, while they are small |
| square root (Malladi et al. 2022, for Adam and RMSprop) | r sqrt(B/b) | none | the noise of an adaptive optimiser's steps |
| AdaScale (Johnson et al. 2020) | r gain, 1 <= gain <= B/b | none | the progress of a step: linear where noise rules |
| thermostat (:class:`AdaptiveMatch`) | any schedule | what T lacks | T |
"""

import dataclasses
import math
import warnings
from typing import Literal

import torch

from claimkit.errors import InputError
from msgd.loop.loss import NoisyMean
from msgd.loop.noise_scale import NoiseScale
from msgd.noise import MiniBatchFisher, match
from msgd.noise.noisy_batch import NoisyBatch

Rule = Literal["linear", "square-root", "adascale"]


def learning_rate_gain(rule: Rule, small: int, large: int, noise_scale: float | None = None) -> float:
    """Factor of the learning rate from batch ``small`` to batch ``large``.

    ``large/small``, its square root, or AdaScale's ``(B/small + 1) / (B/large + 1)`` with B the noise scale.

    Raises:
        InputError: Batches of no rows, another rule, or AdaScale without its noise scale.

    >>> learning_rate_gain("linear", 50, 800), learning_rate_gain("square-root", 50, 800)
    (16.0, 4.0)
    >>> learning_rate_gain("adascale", 50, 800, noise_scale=800.0)
    8.5
    """
    if min(small, large) < 1:
        raise InputError(f"batches of {small} and {large} rows: give at least one each")
    if rule == "linear":
        return large / small
    if rule == "square-root":
        return math.sqrt(large / small)
    if rule != "adascale" or noise_scale is None or not noise_scale >= 0:
        raise InputError(
            f"rule {rule!r}, noise scale {noise_scale}: give linear, square-root, or adascale and a noise scale"
        )
    return large / small if math.isinf(noise_scale) else (noise_scale / small + 1) / (noise_scale / large + 1)


class AdaptiveMatch:
    """Gives a NoisyMean, before each step, just the noise that its batch lacks of SGD's at batch ``batch``.

    ``adaptive.step(); loss = noisy_mean(losses)``. It follows learning rate and momentum of the optimiser (of its first
    group of parameters, where there are several: noise on the losses has one level for all), so that a
    schedule leaves ``T`` where it is; a NoisyMean follows the rows. With a meter, a Fisher law's std is made smaller by
    ``1/sqrt(1 + 1/B)``, as its noise along the gradient, ``p |grad L|^2``, then counts: the traces are equal.

    Attributes:
        batch: Rows of the SGD to match; may be changed between steps.
        learning_rate: Of that SGD; None: always that of the optimiser, so that the level alone is held.
        momentum: Of that SGD; None: as the optimiser's.
        excess: By what share the batch alone is noisier than asked for; 0 where noise can make up for the rest.
    """

    def __init__(
        self,
        noisy_mean: NoisyMean,
        batch: int,
        optimizer: torch.optim.Optimizer,
        learning_rate: float | None = None,
        momentum: float | None = None,
        meter: NoiseScale | None = None,
    ) -> None:
        """Take hold of a NoisyMean.

        Raises:
            InputError: Its law is not one for batches that a loader draws.
        """
        if not isinstance(noisy_mean.noise, NoisyBatch):
            raise InputError(f"{type(noisy_mean.noise).__name__} draws rows itself: give MiniBatchFisher or MiniBatchCov")
        self.noisy_mean, self.batch, self.optimizer, self.meter = noisy_mean, batch, optimizer, meter
        self.learning_rate, self.momentum, self.excess = learning_rate, momentum, 0.0
        self._warned = False

    def step(self) -> None:
        """Set the level for the next step.

        Warns, once, where the batch alone is noisier than asked for: no noise is added then, and ``excess`` says how much.
        """
        group = self.optimizer.param_groups[0]
        momentum = float(group.get("momentum", 0.0))
        rate = float(group["lr"]) * (1 - float(group.get("dampening", 0.0)) * bool(momentum))
        quiet = dataclasses.replace(self.noisy_mean.noise, std=0.0)
        assert isinstance(quiet, NoisyBatch)
        own_rate = rate if self.learning_rate is None else self.learning_rate
        own_momentum = momentum if self.momentum is None else self.momentum
        if rate == 0 or own_rate == 0:  # nothing moves: the level does not matter
            self.noisy_mean.noise = quiet
            return
        target = match(MiniBatchFisher(quiet.n, quiet.n), self.batch, False, rate, own_rate, momentum, own_momentum).level
        self.excess = max(quiet.level / target - 1, 0.0)
        if self.excess > 0:
            if not self._warned:
                warnings.warn(
                    f"a batch of {quiet.size} rows at this learning rate is noisier than SGD at batch {self.batch} by "
                    f"{self.excess:.0%}: no noise is added",
                    stacklevel=2,
                )
            self._warned = True
            self.noisy_mean.noise = quiet
            return
        law = dataclasses.replace(quiet, std=math.sqrt((target - quiet.level) / quiet.unit(quiet.size)))
        scale = self.meter.noise_scale if self.meter is not None else math.nan
        if isinstance(law, MiniBatchFisher) and scale > 0:
            law = dataclasses.replace(law, std=law.std / math.sqrt(1 + 1 / scale))
        self.noisy_mean.noise = law
