"""The gradient noise scale during training (McCandlish et al. 2018, arXiv 1812.06162, section 2.2 and appendix A.1).

    B = tr(P Sigma) / (G' P G),    E |g_b|_P^2 = G' P G + tr(P Sigma)/b    for the gradient g_b of a batch of b rows,

with G the full gradient, Sigma the covariance of single gradients (``C``) and P = 1 (simple) or the optimiser's
preconditioner. Two batch sizes give both unknowns. The small batches are the passes of a step, in this process and in the
others (accumulation, data parallelism); where there is one pass only, one backward pass more, with random signs z for
weights, gives ``tr(P Sigma) = E |G z|_P^2 / (b - 1)``. Both are averaged over the steps first, and then divided.
"""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from claimkit.errors import InputError
from msgd.loop.loss import place, stream
from msgd.matrix.directional import require_gradients
from msgd.noise.draws import without_replacement

foreach: Any = torch
"""torch, for its ``_foreach_*`` operators, which have no types."""


class NoiseScale:
    """A meter beside a training loop.

    ``losses = criterion(model(x), y); meter.probe(losses); losses.mean().backward(); meter.step(len(x)); optimizer.step()``

    ``probe`` is needed where a step is one pass in one process; with several passes a step, or ranks that have met, leave it
    out. Call ``step`` after the last backward pass of a step, before gradients are clipped. Only every ``every``-th step is
    measured: a probe costs a backward pass, a measured pass a sum of squares.

    The gradient must be that of the mean of the probe's losses; a sum, a clipped gradient and one that was not set to zero
    are refused where the backward pass goes through these losses (losses computed a second time are not seen). With several
    passes or ranks, a sum for a mean leaves the scale as it is, but multiplies ``trace`` and ``square`` alike.

    Attributes:
        decay: Weight of the past at each measured step: 0.95 averages over about 40 of them.
        every: Steps from one measurement to the next; a probe costs a backward pass and more.
        n: Number of training samples, for batches drawn without replacement; None: very many.
        optimizer: One with second moments (Adam, AdamW, RMSprop): the preconditioned scale; None: the simple one.
        group: Process group that averages gradients; None: all processes, if they have met.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        decay: float = 0.95,
        every: int = 32,
        n: int | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        group: Any = None,
        seed: int = 0,
    ) -> None:
        """Watch the gradients of the parameters.

        Raises:
            InputError: No parameter that requires a gradient, or numbers out of range.
        """
        self.parameters = [p for p in parameters if p.requires_grad]
        if not self.parameters:
            raise InputError("no parameter requires a gradient: give model.parameters() after freezing what is frozen")
        if not (0 <= decay < 1 and every >= 1 and (n is None or n >= 2)):
            raise InputError(f"decay = {decay}, every = {every}, n = {n}: expected [0, 1), at least one, at least two")
        self.decay, self.every, self.n, self.optimizer, self.group, self.seed = decay, every, n, optimizer, group, seed
        self.steps = 0
        self._sums: dict[str, float] = dict.fromkeys(map(str, ("w", "ww", "s", "g", "ss", "gg", "sg")), 0.0)
        self._probing, self._probed = False, 0
        self._hooks: list[Any] = []
        self._clear()

    def probe(self, losses: Float[Tensor, " rows"]) -> None:
        """Measure the covariance from the losses of a batch, before their backward pass; nothing in a step not measured.

        Raises:
            InputError: A reentrant checkpoint hides gradients.
        """
        rows = len(losses)
        if not self._measured() or rows < 2:
            return
        require_gradients(losses)
        generator = Generator(losses.device).manual_seed(stream("probe", self.seed, place(self.group)[0], self.steps))
        z = torch.randint(0, 2, (rows,), generator=generator, device=losses.device).to(losses) * 2 - 1
        self._probing = True
        try:
            parts = torch.autograd.grad(losses, self.parameters, z - z.mean(), retain_graph=True, allow_unused=True)
        finally:
            self._probing = False
        self._probes.append(self._square(parts) / (rows - 1))
        self._probed = rows
        losses.register_hook(self._shares.append)

    def step(self, rows: int, fisher: float = 0.0, centred: float | None = None, loss_scale: float = 1.0) -> None:
        """Take the step's gradients into the averages.

        Gradients that are not finite leave the averages as they are: a GradScaler leaves out such a step, too.

        Args:
            rows: Rows of the whole step, over all its passes and all processes.
            fisher: The p of noise that was injected (``noise.fisher``).
            centred: Its q, batch included (``noise.centred``); None: that of ``rows`` rows.
            loss_scale: What losses were multiplied by against underflow (``scaler.get_scale()``), not undone yet.

        Raises:
            InputError: One pass in one process and no probe, a number of rows that is none or not that of the probe, or
                gradients that are not those of the mean of the step's losses.
        """
        if rows < 1 or (self.n is not None and rows > self.n):
            raise InputError(f"rows = {rows}, n = {self.n}: give the rows of the whole step, at least one and at most n")
        measured = self._measured()
        passes = max(self._passes, default=0)
        self.steps += 1
        if measured and passes:
            rank_count = place(self.group)[1]
            own = self._level(rows)
            q = own if centred is None else centred
            big = float(self._square([p.grad for p in self.parameters]))
            if any(map(float, self._left)):
                raise InputError("gradients of an earlier step were added to: call optimizer.zero_grad() in every step")
            if passes == len(self._probes) == rank_count == 1:
                if rows != self._probed:
                    raise InputError(
                        f"rows = {rows}, but the losses of this step's probe were {self._probed}: give the same rows"
                    )
                self._require_mean(big, fisher, loss_scale)
            if self._probes:
                trace = self._mean(torch.stack(self._probes).mean() * loss_scale**2)
                square = (big - (fisher + q) * trace) / (1 + fisher)
            elif (parts := passes * rank_count) > 1:
                small = self._mean(torch.stack(self._squares).sum() * passes)
                p_small, q_small = fisher * parts, self._level(rows / parts) + (q - own) * parts
                a, b, c, d = 1 + p_small, p_small + q_small, 1 + fisher, fisher + q
                trace = (c * small - a * big) / (b * c - a * d)
                square = (d * small - b * big) / (a * d - b * c)
            else:
                raise InputError("a step of one pass in one process: call probe(losses) before its backward pass")
            self._add(trace / loss_scale**2, square / loss_scale**2)
        self._clear()

    @property
    def trace(self) -> float:
        """Average of tr(P Sigma); NaN before the first measurement."""
        return self._sums["s"] / self._sums["w"] if self._sums["w"] else math.nan

    @property
    def square(self) -> float:
        """Average of G' P G; it may come out negative where the gradient is small against its noise."""
        return self._sums["g"] / self._sums["w"] if self._sums["w"] else math.nan

    @property
    def noise_scale(self) -> float:
        """B, in rows; infinite where no gradient is seen behind the noise."""
        return self.trace / self.square if self.square > 0 else (math.inf if self.square <= 0 else math.nan)

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of B for averages of independent steps (Fieller 1954); up to infinity where G may be zero."""
        from scipy.stats import t

        m = self._sums
        count = m["w"] ** 2 / m["ww"] if m["w"] else 0.0
        if count < 3:
            return 0.0, math.inf
        s, g = self.trace, self.square
        unbiased = t.ppf(0.975, count - 1) ** 2 / count / (1 - 1 / count)
        vs, vg, vsg = (unbiased * (m[k] / m["w"] - x) for k, x in (("ss", s * s), ("gg", g * g), ("sg", s * g)))
        a, b, c = g * g - vg, s * g - vsg, s * s - vs
        if a <= 0 or g <= 0:
            return 0.0, math.inf
        root = math.sqrt(max(b * b - a * c, 0.0))
        return max(float((b - root) / a), 0.0), float((b + root) / a)

    @property
    def values(self) -> dict[str, float]:
        """What is logged: the scale, the ends of its interval, and the two averages."""
        low, high = self.interval
        return {"noise_scale": self.noise_scale, "low": low, "high": high, "trace": self.trace, "square": self.square}

    def write(self, writer: Any, step: int) -> None:
        """Log to TensorBoard: anything with ``add_scalar(name, value, step)``."""
        for name, value in self.values.items():
            writer.add_scalar(f"noise_scale/{name}", value, step)

    def append(self, path: Path, step: int) -> None:
        """Log to a CSV file, which gets its header when it is new."""
        new = not path.exists()
        with path.open("a", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            if new:
                rows.writerow(["step", *self.values])
            rows.writerow([step, *self.values.values()])

    def state_dict(self) -> dict[str, Any]:
        """Averages and steps, for checkpoints."""
        return {"steps": self.steps, "sums": dict(self._sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a state of :meth:`state_dict`."""
        self.steps, self._sums = state["steps"], dict(state["sums"])
        self._clear()

    def _note(self, i: int, gradient: Tensor) -> None:
        """Look at a gradient before it is added to what ``.grad`` holds; not all are: ``torch.autograd.grad`` adds none."""
        if not self._probing and self._measured():
            self._noted[i] = self._weighted(i, gradient)
            before = self.parameters[i].grad
            self._before[i] = None if before is None else before.detach().abs().sum()

    def _count(self, i: int) -> None:
        """Count a gradient that was added."""
        if i in self._noted:
            self._squares.append(self._noted.pop(i))
            before = self._before.pop(i)
            if before is not None and not self._passes[i]:
                self._left.append(before)
            self._passes[i] += 1

    def _require_mean(self, big: float, fisher: float, loss_scale: float) -> None:
        """Refuse a gradient that is not ``sum_i W_i grad l_i`` with weights of sum 1, up to noise of variance fisher."""
        if not self._shares:
            return
        added = float(torch.stack([s.to(self._squares[0].device) for s in self._squares]).sum())
        kept = math.sqrt(big / added) if added > 0 else math.nan  # what was done to .grad since: unscaled, clipped
        factor = float(self._shares[0].float().sum()) * kept / loss_scale
        if math.isfinite(factor) and abs(factor - 1) > 0.05 + 10 * math.sqrt(fisher):
            raise InputError(
                f"the gradient is {factor:.3g} times that of losses.mean(): give the mean to backward, call step before "
                "gradients are clipped, and name noise that was injected (fisher) and a scale of the losses (loss_scale)"
            )

    def _square(self, gradients: Iterable[Tensor | None]) -> Tensor:
        found = [(i, g) for i, g in enumerate(gradients) if g is not None]
        if self.optimizer is None and all(g.dtype == torch.float32 and not g.is_sparse for _, g in found):
            parts = foreach._foreach_norm([g.detach() for _, g in found])
            return torch.stack([p.to(parts[0].device) for p in parts]).square().sum()
        parts = [self._weighted(i, g) for i, g in found]
        return torch.stack([p.to(parts[0].device) for p in parts]).sum()

    def _weighted(self, i: int, gradient: Tensor) -> Tensor:
        """``g' P g`` of one tensor, P from the moments of the optimiser."""
        g = gradient.detach().float()
        if self.optimizer is None:
            return g.square().sum()
        state = self.optimizer.state[self.parameters[i]]
        moment = state["exp_avg_sq"] if "exp_avg_sq" in state else state["square_avg"]
        return (g.square() / (moment.float().sqrt() + 1e-8)).sum()

    @property
    def _due(self) -> bool:
        return self.steps % self.every == 0

    def _measured(self) -> bool:
        if not self._due:
            return False
        return self.optimizer is None or all(
            "exp_avg_sq" in s or "square_avg" in s for s in (self.optimizer.state.get(p, {}) for p in self.parameters)
        )

    def _level(self, rows: int | float) -> float:
        return 1 / rows if self.n is None else without_replacement(self.n, rows)

    def _add(self, trace: float, square: float) -> None:
        if not (math.isfinite(trace) and math.isfinite(square)):
            return
        new = {"w": 1.0, "s": trace, "g": square, "ss": trace**2, "gg": square**2, "sg": trace * square}
        for name, value in new.items():
            self._sums[name] = self.decay * self._sums[name] + value
        self._sums["ww"] = self.decay**2 * self._sums["ww"] + 1

    def _clear(self) -> None:
        self._passes = [0] * len(self.parameters)
        self._squares: list[Tensor] = []
        self._probes: list[Tensor] = []
        self._left: list[Tensor] = []
        self._noted: dict[int, Tensor] = {}
        self._before: dict[int, Tensor | None] = {}
        self._shares: list[Tensor] = []
        if self._due and not self._hooks:
            for i, p in enumerate(self.parameters):
                self._hooks.append(p.register_hook(lambda g, i=i: self._note(i, g)))
                self._hooks.append(p.register_post_accumulate_grad_hook(lambda _, i=i: self._count(i)))
        elif not self._due:  # a step that is not measured costs nothing
            while self._hooks:
                self._hooks.pop().remove()

    def _mean(self, value: Tensor) -> float:
        """Mean over the processes."""
        ranks = place(self.group)[1]
        if ranks > 1:
            value = value.to(self.parameters[0].device)
            torch.distributed.all_reduce(value, group=self.group)
        return float(value) / ranks
