"""The guard in the loop of ``claimkit.transfer``, and the two ways of combining gradients that it is compared with."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Generator, Tensor, nn
from torch.optim import SGD

from claimkit.transfer.regularizers import Regularizer, Step
from dtnh.guard.conflicts import Conflicts
from dtnh.guard.guard import Guard
from dtnh.guard.projection import project
from dtnh.guard.scopes import Scope


class Wrapper(Regularizer):
    """Another regulariser's penalty and closed form; the subclass decides how they meet the loss's gradient."""

    def __init__(self, base: Regularizer) -> None:
        self.base = base

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base!r})"

    def source_digest(self) -> str:
        """The base's."""
        return self.base.source_digest()

    def watch(self, model: nn.Module) -> AbstractContextManager[object]:
        """The base's hooks."""
        return self.base.watch(model)

    def penalty(self, step: Step) -> Tensor | None:
        """The base's penalty."""
        return self.base.penalty(step)

    def gradient(self, step: Step) -> Mapping[str, Tensor]:
        """The base's closed form."""
        return self.base.gradient(step)


class Guarded(Wrapper):
    """Any regulariser of the loop, guarded: ``Guarded(L2SP(source, 0.1))``; in the optimiser's metric where it is not SGD.

    Args:
        base: The regulariser.
        scope: See :class:`dtnh.Guard`.
        every: The same.

    Attributes:
        conflicts: What happened so far.
    """

    def __init__(self, base: Regularizer, scope: Scope = "shared", every: int = 1) -> None:
        super().__init__(base)
        self.scope: Scope = scope
        self.every = every
        self.guard: Guard | None = None

    def __repr__(self) -> str:
        lag = f", every={self.every}" if self.every > 1 else ""
        return f"{type(self).__name__}({self.base!r}, {self.scope}{lag})"

    @property
    def conflicts(self) -> Conflicts:
        """Statistics of the steps so far; none before the first."""
        return Conflicts() if self.guard is None else self.guard.conflicts

    def backward(self, step: Step) -> None:
        """Leave the guarded sum in ``.grad``."""
        penalty, closed = self.penalty(step), self.gradient(step)
        if penalty is None and not closed:
            step.loss.backward()
            return
        if self.guard is None or self.guard.parameters.keys() != step.parameters.keys():
            metric = None if isinstance(step.optimizer, SGD) else step.optimizer
            self.guard = Guard(step.parameters.items(), self.scope, step.head, optimizer=metric, every=self.every)
        self.guard.backward(step.loss, penalty, closed or None)


class Combined(Wrapper):
    """Both gradients of the shared parameters as lists, combined by :meth:`combine`; the head's are added."""

    def combine(self, g: Sequence[Tensor], r: Sequence[Tensor]) -> Sequence[Tensor]:
        """What becomes the gradient; the plain sum here."""
        return [a + b for a, b in zip(g, r, strict=True)]

    def backward(self, step: Step) -> None:
        """Leave the combination in ``.grad``."""
        penalty, r = self.penalty(step), dict(self.gradient(step))
        if penalty is not None:
            found = torch.autograd.grad(penalty, list(step.parameters.values()), retain_graph=True, allow_unused=True)
            for n, t in zip(step.parameters, found, strict=True):
                if t is not None:
                    r[n] = r[n] + t if n in r else t
        step.loss.backward()
        g = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in step.parameters.items()}
        r = {n: r[n] if n in r else torch.zeros_like(p) for n, p in step.parameters.items()}
        shared = [n for n in step.parameters if not n.startswith(f"{step.head}.")]
        combined = dict(zip(shared, self.combine([g[n] for n in shared], [r[n] for n in shared]), strict=True))
        for n, p in step.parameters.items():
            p.grad = combined[n] if n in combined else g[n] + r[n]


class Symmetric(Combined):
    """PCGrad (arXiv 2001.06782) of two losses: each gradient gives up what opposes the other."""

    def combine(self, g: Sequence[Tensor], r: Sequence[Tensor]) -> list[Tensor]:
        """``r' + g'``."""
        ours, _ = project(g, r, out="regularizer")
        theirs, _ = project(r, g, out="regularizer")
        return [a + b for a, b in zip(ours, theirs, strict=True)]


class RandomDirection(Combined):
    """The placebo: the regulariser is projected as by the guard, but against a random direction in place of ``g``.

    Args:
        base: The regulariser.
        seed: Of the directions.
    """

    def __init__(self, base: Regularizer, seed: int = 0) -> None:
        super().__init__(base)
        self.generator = Generator().manual_seed(seed)

    def combine(self, g: Sequence[Tensor], r: Sequence[Tensor]) -> list[Tensor]:
        """``g + r'`` with ``r'`` projected against the random direction."""
        u = [torch.randn(t.shape, generator=self.generator).to(t) for t in g]
        kept, _ = project(u, r, out="regularizer")
        return [a + b for a, b in zip(g, kept, strict=True)]


class RateBoost(Combined):
    """The other placebo: the guard's coefficient as a larger learning rate, ``(1 + c) (g + r)``, ``c = -<g, r> / <g, g>``.

    In a conflict the guarded direction is ``(1 + c) g + r``: a longer step along the loss's gradient. Here the plain sum is
    as much longer, and points where it pointed.
    """

    def combine(self, g: Sequence[Tensor], r: Sequence[Tensor]) -> list[Tensor]:
        """``(1 + c) (g + r)`` where the gradients conflict, their sum elsewhere."""
        _, info = project(g, r, out="regularizer")
        return [(1 + info.coef) * (a + b) for a, b in zip(g, r, strict=True)]
