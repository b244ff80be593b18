"""One seed of a task, and the baselines that a user would try first, all on the same images, heads, batches and steps."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, nn

from claimkit.errors import InputError
from claimkit.transfer.arena.curves import Run
from claimkit.transfer.arena.rivals import BSS, CoTuning, stochnorm
from claimkit.transfer.baselines import interpolated, with_probe
from claimkit.transfer.data import Images, View
from claimkit.transfer.loop import DivergedError, FineTuning, finetune, score
from claimkit.transfer.networks import reinitialise, replace_head
from claimkit.transfer.regularizers import L2, L2SP, Regularizer
from claimkit.transfer.tasks import Split

RELEASED_DECAY = 1e-4
"""Weight decay of the head in DELTA's released L2 arm; the other arms have a hundred times more."""


def shots(images: Images, seed: int, per_class: int, validation: float = 0.25, most: int | None = None) -> Split:
    """``per_class`` training images of every class; all the others validate and test.

    Args:
        images: All there are.
        seed: Equal seeds give equal splits.
        per_class: Training images of a class.
        validation: Share of the others that validate; at least one image a class validates and one tests.
        most: Use at most so many of the others of a class.

    Raises:
        InputError: A class with fewer than ``per_class + 2`` images.
    """
    generator = Generator().manual_seed(seed)
    parts: tuple[list[torch.Tensor], ...] = ([], [], [])
    for label, name in enumerate(images.classes):
        rows = (images.y == label).nonzero().squeeze(1)
        if len(rows) < per_class + 2:
            raise InputError(f"class {name!r} has {len(rows)} images: {per_class} to train on and two more are wanted")
        rows = rows[torch.randperm(len(rows), generator=generator)]
        rest = rows[per_class:][:most]
        held = min(max(1, round(validation * len(rest))), len(rest) - 1)
        for part, found in zip(parts, (rows[:per_class], rest[:held], rest[held:]), strict=True):
            part.append(found)
    train, held_out, test = (images.take(torch.cat(part)) for part in parts)
    return Split(train, held_out, test)


@torch.no_grad()
def measured_again(model: nn.Module, x: torch.Tensor) -> nn.Module:
    """A copy whose BatchNorm statistics are those of the inputs ``x``, in one pass; in eval mode.

    A source evaluated by the statistics of its own images, beside a student that normalises by the target's, is held to
    features that differ before any step; measured again on target images, the two begin alike.
    """
    model = copy.deepcopy(model).eval()
    found = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    usual = [m.momentum for m in found]
    for m in found:
        m.reset_running_stats()
        m.momentum = None  # the mean over what is seen
        m.train()
    model(x)
    for m, momentum in zip(found, usual, strict=True):
        m.momentum = momentum
    return model.eval()


@dataclass(frozen=True)
class Ring:
    """One seed of one task: every arm runs on its images, from its source, with its settings.

    Attributes:
        task: For tables.
        source: The source network, its statistics measured again; never changed.
        split: Training, validation and test images.
        view: How pixels become inputs.
        settings: Steps, batch, the rate found for plain L2, and the head's decay, the same for every arm.
        rates: Learning rates of plain L2, among which the one in ``settings`` must hold its own on validation images.
        device: Where.
        feature_scale: Factor of the weights on feature maps, for networks whose maps are far from order one.
    """

    task: str
    source: nn.Module
    split: Split
    view: View
    settings: FineTuning
    rates: tuple[float, ...] = ()
    device: str = "cpu"
    feature_scale: float = 1.0
    trained: dict[str, nn.Module] = field(default_factory=dict)
    """Networks of arms that another arm goes on with."""

    def network(self) -> nn.Module:
        """A copy of the source with the seed's new head."""
        return replace_head(copy.deepcopy(self.source), len(self.split.train.classes), self.settings.seed)

    def run(
        self,
        arm: str,
        weight: float,
        method: Regularizer | None = None,
        model: nn.Module | None = None,
        settings: FineTuning | None = None,
    ) -> Run:
        """Fine-tune and score the last iterate; a run that diverges counts as chance."""
        model, settings = self.network() if model is None else model, settings or self.settings
        try:
            r = finetune(model, self.split, self.view, settings, method, self.device)
        except DivergedError:
            chance = 1 / len(self.split.train.classes)
            return [self.task, arm, weight, chance, chance, -1.0, 1]
        self.trained[arm] = model
        return [self.task, arm, weight, r.validation.accuracy, r.test.accuracy, r.train.loss, 0]

    def scored(self, arm: str, weight: float, model: nn.Module) -> Run:
        """An arm that trains nothing."""
        s = self.split
        validation, test, train = (score(model, part, self.view, self.device) for part in (s.validation, s.test, s.train))
        return [self.task, arm, weight, validation.accuracy, test.accuracy, train.loss, 0]

    def probe(self, decay: float) -> nn.Module:
        """The source with the linear probe's solution as its head."""
        train = self.split.train
        return with_probe(self.network(), self.view.test(train.x), train.y, decay)


def controls(ring: Ring) -> Iterator[Run]:
    """Scratch, frozen, and plain L2 at every rate of the search: what the negative controls are about."""
    s = ring.settings
    yield ring.run("scratch", 1e-4, L2(), reinitialise(ring.network(), s.seed))
    yield ring.run("frozen", 0.0, settings=replace(s, frozen=True))
    for rate in ring.rates:
        if rate != s.learning_rate:
            yield ring.run("l2 at other rates", rate, L2(), settings=replace(s, learning_rate=rate))
    yield ring.run("l2", 1e-4, L2())


def probes(ring: Ring, short: bool = False) -> Iterator[Run]:
    """The linear probe at its decays; at one of them if ``short``."""
    for decay in (1e-2,) if short else (1e-2, 1e-1):
        yield ring.scored("probe", decay, ring.probe(decay))


def baselines(ring: Ring, short: bool = False) -> Iterator[Run]:
    """The controls, and: probe, LP-FT, WiSE-FT, plain L2 as released, L2-SP, BSS, StochNorm, Co-Tuning.

    Args:
        ring: The seed.
        short: One weight an arm, for preset smoke.
    """
    yield from controls(ring)
    yield ring.run("l2 as released", 1e-4, L2(), settings=replace(ring.settings, head_decay=RELEASED_DECAY))
    yield from probes(ring, short)
    start = ring.probe(1e-2)
    yield ring.run("lp-ft", 1e-2, L2(), copy.deepcopy(start))
    if "lp-ft" in ring.trained:
        for share in (0.5,) if short else (0.25, 0.5, 0.75):
            yield ring.scored("wise-ft", share, interpolated(start, ring.trained["lp-ft"], share))
    for alpha in (1e-2,) if short else (1e-2, 1e-1):
        yield ring.run("l2sp", alpha, L2SP(ring.source, alpha))
    yield ring.run("bss", 1e-2, BSS(1e-2))
    yield ring.run("co-tuning", 0.3, CoTuning(ring.source, ring.split.train, ring.view, 0.3))
    if any(type(m) is nn.BatchNorm2d for m in ring.source.modules()):
        yield ring.run("stochnorm", 0.5, L2(), stochnorm(ring.network()))
