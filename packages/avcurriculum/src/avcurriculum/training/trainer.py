"""Training by a curriculum: pairs of a picture and its sound are drawn close, others apart, stage after stage."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from avcurriculum.network.backbones import read_tensors
from avcurriculum.network.losses import LossName, batch_loss, check_finite, matching
from avcurriculum.network.model import Architecture, AVNet, build, minima
from avcurriculum.scenes.pools import Pool, Stream
from avcurriculum.training.augment import augment_pictures, augment_sounds
from avcurriculum.training.curriculum import Curriculum
from claimkit.errors import InputError
from claimkit.files import atomic_path
from claimkit.training import parallel


@dataclass(frozen=True)
class Training:
    """How a network is trained; the learning rate rises over ``warmup`` steps and falls by a cosine to ``final_rate``.

    ``scale`` is the loss's gamma (infonce) or margin. The reference is contrastive with margin 5, rate 1e-4, decay 1e-4.
    ``augment`` changes pictures and log-mel at every step (not the features of frozen backbones). ``keep_best`` leaves the
    model at the step with the best validation (that is finite) instead of the last one. ``bf16`` lets the backbones compute
    in bfloat16, with channels last: a step takes 0.6 of the time on processors with AVX512-BF16, and results differ as by
    another seed.
    """

    batch: int = 64
    learning_rate: float = 3e-3
    final_rate: float = 1e-5
    warmup: int = 50
    weight_decay: float = 0.0
    loss: LossName = "infonce"
    scale: float = 7.0
    validate_every: int = 50
    seed: int = 0
    augment: bool = False
    keep_best: bool = False
    bf16: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if self.batch < 2 or self.warmup < 0 or self.validate_every < 1 or self.seed < 0:
            raise InputError(
                f"batch = {self.batch}, warmup = {self.warmup}, validate_every = {self.validate_every}, seed = {self.seed}: "
                "expected batch >= 2, validate_every >= 1, and no negative number"
            )
        if not (0 < self.learning_rate < math.inf and 0 < self.scale < math.inf):
            raise InputError(
                f"learning_rate = {self.learning_rate}, scale = {self.scale}: expected positive numbers; a negative scale "
                "draws apart what belongs together"
            )


@dataclass
class History:
    """What happened: loss of each step, and ``(step, seconds, score)`` of each validation."""

    loss: list[float] = field(default_factory=list)
    validation: list[tuple[int, float, float]] = field(default_factory=list)
    stage_ends: list[int] = field(default_factory=list)

    def first_reaching(self, level: float) -> tuple[int, float] | None:
        """Step and seconds of the first validation at or above ``level``."""
        return next(((step, seconds) for step, seconds, score in self.validation if score >= level), None)


class Head(Protocol):
    """What a baseline puts in the place of the clustering."""

    def similarity(self, visual: Tensor, audio: Tensor) -> Tensor:
        """Of all pairs of embedded pictures and sounds, in [-1, 1]."""
        ...

    def parameters(self) -> Any:
        """What is trained beside the network."""
        ...


class Trainer:
    """Trains an :class:`AVNet` in place; its whole state can be saved and loaded between steps.

    Args:
        model: On its device; on features where the pools hold features.
        pools: Number of sources to scenes, held or composed anew at every step.
        curriculum: Stages.
        settings: Rates, batch, loss, seed of the order of the scenes.
        validate: Score of the model, larger is better; called every ``settings.validate_every`` steps and at the end.
        head: A baseline that compares the embedded positions in place of the clustering.

    Raises:
        InputError: A stage asks for a number of sources without a pool, or a pool is smaller than a batch.
    """

    def __init__(
        self,
        model: AVNet,
        pools: Mapping[int, Pool | Stream],
        curriculum: Curriculum,
        settings: Training,
        validate: Callable[[AVNet], float] | None = None,
        head: Head | None = None,
    ) -> None:
        self.head = head
        self.model, self.pools, self.curriculum, self.settings, self.validate = model, pools, curriculum, settings, validate
        for k in {k for stage in curriculum.stages for k in stage.sources}:
            if k not in pools or len(pools[k]) < settings.batch:
                raise InputError(f"the curriculum needs a pool of at least {settings.batch} scenes with {k} source(s)")
        if settings.bf16:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        trainable = list({p: None for m in (model, head) if m is not None for p in m.parameters() if p.requires_grad})
        self.optimizer = torch.optim.Adam(trainable, settings.learning_rate, weight_decay=settings.weight_decay)
        self.rng = np.random.default_rng([settings.seed, 1])
        self.history = History()
        self.step = self.stage = self.stage_start = 0
        self.seconds = 0.0
        self.best: tuple[float, int, dict[str, Tensor]] | None = None

    def run(self) -> Iterator[float]:
        """Train to the end of the curriculum, yielding the loss after every step."""
        stages = self.curriculum.stages
        while self.stage < len(stages):
            now = stages[self.stage]
            begin = time.perf_counter()
            loss = self._advance(now.sources, now.k_audio, now.k_visual, now.lr_scale)
            self.seconds += time.perf_counter() - begin
            self.history.loss.append(loss)
            self.step += 1
            if self.step - self.stage_start >= now.steps or now.plateau(self.history.loss[self.stage_start :]):
                self.stage, self.stage_start = self.stage + 1, self.step
                self.history.stage_ends.append(self.step)
            over = self.stage == len(stages)
            if self.validate and (self.step % self.settings.validate_every == 0 or over):
                self.model.eval()
                score = self.validate(self.model)
                self.history.validation.append((self.step, round(self.seconds, 2), score))
                better = math.isfinite(score) and (self.best is None or score > self.best[0])
                if self.settings.keep_best and better:
                    self.best = score, self.step, {k: v.detach().clone() for k, v in self.model.state_dict().items()}
            yield loss
        if self.best is not None:
            self.model.load_state_dict(self.best[2])

    def save(self, path: Path) -> None:
        """Write the whole state, whole or not at all; one of several processes does."""
        if not parallel.leads():
            return
        state = {  # begins as claimkit.transfer's, which has neither stages nor a history
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.bit_generator.state,
            "position": [self.step, self.stage, self.stage_start, self.seconds],
            "history": asdict(self.history),
            "best": self.best,
        }
        with atomic_path(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> None:
        """Go on from where :meth:`save` was called; curriculum and settings are the caller's to keep.

        Raises:
            InputError: Not a checkpoint of such a model.
        """
        state = read_tensors(path)
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.rng.bit_generator.state = state["rng"]
            self.step, self.stage, self.stage_start, self.seconds = state["position"]
            self.history = History(**state["history"])
            self.best = state["best"]
        except (KeyError, RuntimeError, TypeError, ValueError) as e:
            raise InputError(f"{path} is not a checkpoint of this training: start again in another folder") from e

    def _advance(self, sources: tuple[int, ...], k_audio: int | None, k_visual: int | None, lr_scale: float) -> float:
        s = self.settings
        k = int(sources[self.rng.integers(len(sources))])
        pool = self.pools[k]
        k_audio = k if k_audio is None else k_audio
        k_visual = k + self.model.architecture.background if k_visual is None else k_visual
        device = next(self.model.parameters()).device
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate() * lr_scale
        pictures, sounds = pool.draw(self.rng, s.batch)
        if s.augment and pictures.dtype == torch.uint8 and sounds.ndim == 3:
            pictures, sounds = augment_pictures(pictures, self.rng), augment_sounds(sounds, self.model.mel, self.rng)
        v = self.model.embed_image(pictures.to(device), s.bf16)
        a = self.model.embed_audio(sounds.to(device), s.bf16)
        if self.head is None:
            centers = (self.model.centers(v, k_visual).centers, self.model.centers(a, k_audio).centers)
            loss = batch_loss(s.loss, minima(*centers), s.scale)
        else:  # of unit vectors, |v - a|^2 = 2 - 2 cos
            loss = matching(2 * s.scale * self.head.similarity(v, a))
        check_finite(loss, self.step)
        self.optimizer.zero_grad()
        loss.backward()
        parallel.average_gradients(p for group in self.optimizer.param_groups for p in group["params"])
        self.optimizer.step()
        return float(parallel.mean(loss.detach()))

    def _rate(self) -> float:
        s = self.settings
        if self.step < s.warmup:
            return s.learning_rate * (self.step + 1) / s.warmup
        done = min((self.step - s.warmup) / max(self.curriculum.steps - s.warmup, 1), 1)
        return s.final_rate + (s.learning_rate - s.final_rate) * (1 + math.cos(math.pi * done)) / 2


def train(
    model: AVNet,
    pools: Mapping[int, Pool | Stream],
    curriculum: Curriculum,
    settings: Training,
    validate: Callable[[AVNet], float] | None = None,
    head: Head | None = None,
) -> History:
    """Train a model in place from beginning to end; arguments as for :class:`Trainer`."""
    trainer = Trainer(model, pools, curriculum, settings, validate, head)
    for _ in trainer.run():
        pass
    model.eval()
    return trainer.history


def save_model(model: AVNet, path: Path, half: bool = False, notes: Mapping[str, Any] | None = None) -> None:
    """Write weights with their architecture; frozen backbones are left out, since they are loaded by path.

    Raises:
        InputError: Weights are not finite.
    """
    keep = {k: v for k, v in model.state_dict().items() if model.architecture.backbone != "pretrained" or "projection" in k}
    weights = {k: v.half() if half and v.is_floating_point() else v for k, v in keep.items()}
    if broken := [k for k, v in weights.items() if v.is_floating_point() and not v.isfinite().all()]:
        raise InputError(f"weights that are not finite, first {broken[0]}: training has diverged, lower the learning rate")
    with atomic_path(path) as temporary:
        state = {"architecture": asdict(model.architecture), "weights": weights, "offscreen": list(model.offscreen)}
        torch.save(state | {"notes": dict(notes or {})}, temporary)


def load_model(path: Path, weights: tuple[Path, Path] | None = None) -> AVNet:
    """Read what :func:`save_model` wrote, in evaluation mode.

    Args:
        path: The file.
        weights: MobileNetV2's and YAMNet's files where the model has pretrained backbones.

    Raises:
        InputError: Not such a file.
    """
    state = read_tensors(path)
    if not isinstance(state, dict) or not {"architecture", "weights"} <= set(state):
        raise InputError(f"{path} is not a model of avcurriculum: give one that `avcurriculum train` wrote")
    model = build(Architecture(**state["architecture"] | {"widths": tuple(state["architecture"]["widths"])}), 0, weights)
    missing = model.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in state["weights"].items()}, False
    )
    if missing.unexpected_keys:
        raise InputError(f"{path} has weights that its architecture lacks: {missing.unexpected_keys[0]}")
    model.offscreen = tuple(map(float, state.get("offscreen", ())))
    return model.eval()
