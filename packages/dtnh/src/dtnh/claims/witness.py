"""The guard under observation: what the same batch's loss would be after a guarded and after an unguarded step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from claimkit.transfer.regularizers import Regularizer, Step
from dtnh.finetune.guarded import Guarded


class Witness(Guarded):
    """Looks at every ``every``-th step; training is that of :class:`~dtnh.Guarded`.

    Args:
        base: The regulariser.
        rate: Step size of the two steps that are compared, both without momentum.
        every: Steps between looks.

    Attributes:
        alignment: ``<d, g> / <g, g>`` over the shared parameters, at the steps looked at.
        differences: Loss after the guarded step minus loss after the unguarded, at those of them with a conflict.
    """

    def __init__(self, base: Regularizer, rate: float, every: int = 10) -> None:
        super().__init__(base)
        self.rate, self.looks = rate, every  # not ``every``, which is how often the guard itself is exact
        self.alignment: list[float] = []
        self.differences: list[float] = []
        self._count = 0

    def backward(self, step: Step) -> None:
        """Guarded, and looked at now and then."""
        self._count += 1
        if (self._count - 1) % self.looks:
            super().backward(step)
            return
        parameters = list(step.parameters.values())
        g = torch.autograd.grad(step.loss, parameters, retain_graph=True)
        super().backward(step)
        assert self.guard is not None and self.conflicts.last is not None
        shared = [i for i, n in enumerate(step.parameters) if n not in self.guard.head]
        d = [p.grad.clone() for p in parameters if p.grad is not None]
        along = sum(float((d[i] * g[i]).sum()) for i in shared)
        self.alignment.append(along / sum(float(g[i].square().sum()) for i in shared))
        coef = float(self.conflicts.last.coef)
        if coef > 0:
            plain = [t - coef * g[i] if i in shared else t for i, t in enumerate(d)]
            self.differences.append(self._loss(step, d) - self._loss(step, plain))

    @torch.no_grad()
    def _loss(self, step: Step, direction: list[Tensor]) -> float:
        """Loss of the batch one step of ``rate`` further, with dropout alike each time; the network is left as it was."""
        with _restored(step.model, step.parameters), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._count)
            for p, t in zip(step.parameters.values(), direction, strict=True):
                p.sub_(self.rate * t)
            return float(cross_entropy(step.model(step.inputs), step.targets))


@contextmanager
def _restored(model: nn.Module, parameters: Mapping[str, nn.Parameter]) -> Iterator[None]:
    saved = [(t, t.detach().clone()) for t in (*parameters.values(), *model.buffers())]
    try:
        yield
    finally:
        for t, value in saved:
            t.copy_(value)
