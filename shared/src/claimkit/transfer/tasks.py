"""A transfer task: a source network, a target set, and splits that are the same for every method of a seed."""

import copy
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from claimkit.errors import InputError
from claimkit.transfer.data import Images, View
from claimkit.transfer.networks import reinitialise, replace_head


@dataclass(frozen=True)
class Split:
    """What one run sees: training images, validation images carved from the training pool, and the test set."""

    train: Images
    validation: Images
    test: Images

    def __post_init__(self) -> None:
        """Refuse parts in which one number stands for two classes; one may lack the last classes of another."""
        for part in (self.validation, self.test):
            for mine, theirs in zip(self.train.classes, part.classes, strict=False):
                if mine != theirs:
                    raise InputError(
                        f"{self.train.name} and {part.name} number other classes: {mine!r} here, {theirs!r} there"
                    )


def carve(pool: Images, test: Images, seed: int, per_class: int | None = None, validation: float = 0.2) -> Split:
    """Draw ``per_class`` images of every class from the pool, and set a share of them aside for validation.

    Args:
        pool: The training pool.
        test: The test set, left alone.
        seed: Equal seeds give equal splits.
        per_class: Images of each class, validation included; None takes all.
        validation: Share in [0, 1) of each class that goes to validation, at least one image where it is positive.

    Raises:
        InputError: A class with fewer images than asked for, or none left to train on.
    """
    if not 0 <= validation < 1:
        raise InputError(f"a validation share of {validation} is outside [0, 1)")
    generator = Generator().manual_seed(seed)
    train: list[Tensor] = []
    held: list[Tensor] = []
    for label, name in enumerate(pool.classes):
        rows = (pool.y == label).nonzero().squeeze(1)
        wanted = len(rows) if per_class is None else per_class
        aside = max(1, round(validation * wanted)) if validation else 0
        if wanted > len(rows) or wanted - aside < 1:
            raise InputError(f"class {name!r} has {len(rows)} images: {wanted} wanted, {aside} of them for validation")
        rows = rows[torch.randperm(len(rows), generator=generator)]
        held.append(rows[:aside])
        train.append(rows[aside:wanted])
    return Split(pool.take(torch.cat(train)), pool.take(torch.cat(held)), test)


@dataclass(frozen=True)
class Task:
    """Fine-tune one source network on one target set.

    Attributes:
        name: For tables.
        source: The source network with its own head; never changed.
        pool: Target images to train and validate on.
        test: Target images to test on.
        view: How pixels become inputs.
        per_class: Images of each class a seed draws, validation included; None takes all.
        validation: Share of them for validation.
        head: Name of the classifier; found when None.
    """

    name: str
    source: nn.Module
    pool: Images
    test: Images
    view: View
    per_class: int | None = None
    validation: float = 0.2
    head: str | None = None

    def split(self, seed: int) -> Split:
        """Training, validation and test images of a seed."""
        return carve(self.pool, self.test, seed, self.per_class, self.validation)

    def network(self, seed: int, pretrained: bool = True) -> nn.Module:
        """A copy of the source with a new head drawn from the seed; all weights drawn afresh if not ``pretrained``."""
        model = copy.deepcopy(self.source)
        if not pretrained:
            reinitialise(model, seed)
        return replace_head(model, len(self.pool.classes), seed, self.head)
