"""The loop around a training step: learning rate, averaged weights, log, sample pictures, checkpoints, resume."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from claimkit import run
from claimkit.errors import InputError
from claimkit.files import atomic_path, write_atomic
from claimkit.style.images import write_image
from claimkit.training import parallel


@dataclass
class Loop:
    """Trains ``module`` with Adam and keeps everything that is needed to go on after an interruption in one file.

    Attributes:
        module: What is trained; its parameters that require a gradient.
        out: Folder of checkpoint.pt, log.jsonl and samples/.
        steps: Steps in all.
        learning_rate: Of Adam; rises over 100 steps, then falls to a twentieth along a cosine.
        average: Decay of the running average of the weights, which is what is sampled and shipped.
        sample_every: Steps between sample grids; 0 for none.
        checkpoint_every: Steps between checkpoints.
        identity: What a checkpoint must agree with to be gone on from.
        shares: Learning rates of children of the module as shares of :attr:`learning_rate`; of those not named the whole.
    """

    module: nn.Module
    out: Path
    steps: int
    learning_rate: float = 1e-3
    average: float = 0.998
    sample_every: int = 500
    checkpoint_every: int = 200
    identity: Mapping[str, Any] | None = None
    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make optimiser and average."""
        named = [(n, p) for n, p in self.module.named_parameters() if p.requires_grad]
        self.trained = [p for _, p in named]
        alike = groupby(named, key=lambda pair: self.shares.get(pair[0].split(".")[0], 1.0))
        groups = [{"params": [p for _, p in pairs], "share": share} for share, pairs in alike]
        self.optimizer = torch.optim.Adam(groups, lr=self.learning_rate, betas=(0.9, 0.99))
        self.averaged = [p.detach().clone() for p in self.trained]
        self.step = 0
        self.seconds = 0.0

    def run(
        self,
        step: Callable[[int], Mapping[str, Tensor]],
        sample: Callable[[], Tensor] | None = None,
        resume: bool = False,
    ) -> None:
        """Train to ``steps``; ``step(i)`` gives its losses by name, ``total`` among them, ``sample()`` a grid (3, H, W).

        The module ends with the averaged weights. Interrupted by control-C, the loop saves before it passes that on.

        Raises:
            InputError: ``out`` holds a checkpoint and ``resume`` is not asked for, or the other way round; it is of another
                training; or the training diverged.
        """
        checkpoint = run.checkpoint(self.out, resume)
        if resume:
            self._load(checkpoint)
        self.out.mkdir(parents=True, exist_ok=True)
        begun = time.perf_counter() - self.seconds
        sums: dict[str, float] = {}
        count = 0
        try:
            with tqdm(total=self.steps, initial=self.step, disable=None, desc="training") as bar:
                while self.step < self.steps:
                    for group in self.optimizer.param_groups:
                        group["lr"] = self._rate() * group.get("share", 1.0)
                    losses = step(self.step)
                    self.optimizer.zero_grad(set_to_none=True)
                    losses["total"].backward()
                    parallel.average_gradients(self.trained)
                    if not nn.utils.clip_grad_norm_(self.trained, 1.0).isfinite():
                        raise InputError(f"the gradient of step {self.step} is not finite: lower the learning rate")
                    self.optimizer.step()
                    self.step += 1
                    self.seconds = time.perf_counter() - begun
                    decay = min(self.average, (1 + self.step) / (10 + self.step))
                    for a, p in zip(self.averaged, self.trained, strict=True):
                        a.lerp_(p.detach(), 1 - decay)
                    for k, v in losses.items():
                        sums[k] = sums.get(k, 0.0) + v.item()
                    count += 1
                    bar.update()
                    if self.step % 100 == 0 or self.step == self.steps:
                        mean = {k: v / count for k, v in sums.items()}
                        bar.set_postfix({k: f"{v:.3f}" for k, v in mean.items()})
                        self._log(mean)
                        sums, count = {}, 0
                    if (
                        sample
                        and parallel.leads()
                        and self.sample_every
                        and (self.step % self.sample_every == 0 or self.step == self.steps)
                    ):
                        write_image(self.out / "samples" / f"{self.step:07}.png", self.with_average(sample))
                    if self.step % self.checkpoint_every == 0:
                        self._save(checkpoint)
        finally:
            self._save(checkpoint)
        self._swap()

    def with_average(self, function: Callable[[], Tensor]) -> Tensor:
        """``function()`` while the module holds the averaged weights, without gradients."""
        self._swap()
        try:
            with torch.no_grad():
                return function()
        finally:
            self._swap()

    def _rate(self) -> float:
        progress = self.step / max(1, self.steps)
        return self.learning_rate * min(1, (self.step + 1) / 100) * (0.05 + 0.95 * (1 + math.cos(math.pi * progress)) / 2)

    def _swap(self) -> None:
        with torch.no_grad():
            for p, a in zip(self.trained, self.averaged, strict=True):
                held = p.detach().clone()
                p.copy_(a)
                a.copy_(held)

    def _log(self, losses: Mapping[str, float]) -> None:
        if not parallel.leads():
            return
        with (self.out / "log.jsonl").open("a") as f:
            f.write(json.dumps({"step": self.step, "seconds": round(self.seconds, 1), **losses}) + "\n")

    def _cut_log(self) -> None:
        """Drop what was logged after the checkpoint, by a run that was killed: it is logged again."""
        path = self.out / "log.jsonl"
        if parallel.leads() and path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            whole = [line for line in lines if line.endswith("}")]
            write_atomic(path, "".join(f"{line}\n" for line in whole if json.loads(line)["step"] <= self.step))

    def _save(self, path: Path) -> None:
        if not parallel.leads():
            return
        state = {
            "module": self.module.state_dict(),
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "identity": dict(self.identity or {}),
        }
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def _load(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if state["identity"] != dict(self.identity or {}):
                changed = [
                    k
                    for k in {*state["identity"], *(self.identity or {})}
                    if state["identity"].get(k) != (self.identity or {}).get(k)
                ]
                raise InputError(
                    f"{path} is of a training with another {', '.join(sorted(changed))}: give another folder with --out"
                )
            self.module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            for a, b in zip(self.averaged, state["averaged"], strict=True):
                a.copy_(b)
            self.step, self.seconds = state["step"], state["seconds"]
            self._cut_log()
        except InputError:
            raise
        except Exception as e:
            raise InputError(f"{path} is damaged or of another network: delete it, or give another folder with --out") from e
