"""The linear probe: a new head on a network of which nothing else is trained, as in DELTA's released code."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError
from claimkit.transfer.data import Images, View
from claimkit.transfer.networks import head, logits, replace_head


def pairs(batches: Iterable[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches, each a pair of tensors.

    Raises:
        InputError: A batch is something else, such as the dict of a Hugging Face loader.
    """
    for batch in batches:
        if not (isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(t, Tensor) for t in batch)):
            raise InputError(
                f"a batch is a {type(batch).__name__}: expected a pair of tensors (x, labels), of a Hugging Face loader "
                '[(b["pixel_values"], b["labels"]) for b in loader]'
            )
        yield batch[0], batch[1]


def fit_head(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    epochs: int = 10,
    classes: int | None = None,
    seed: int = 0,
    learning_rate: float = 0.01,
) -> nn.Module:
    """Give ``model`` a new head and train it alone: SGD, momentum 0.9, weight decay 1e-4, the rate falling as 0.1^(epoch/6).

    No other parameter moves. The network is in train mode meanwhile, as in the released code, so BatchNorm normalises by
    the batch and its running statistics drift towards the target's images.

    Args:
        model: Changed in place, and returned without gradients.
        batches: Batches ``(x, labels)`` that can be iterated again.
        epochs: Passes over them.
        classes: Of the new head; the largest label plus one when None.
        seed: Of the new head.
        learning_rate: At the start.
    """
    if classes is None:
        classes = max((int(y.max()) for _, y in pairs(batches)), default=-1) + 1
    if classes < 1:
        raise InputError("there is no batch to train a head on: give an iterable of (x, labels) that is not used up")
    replace_head(model, classes, seed)
    model.requires_grad_(False)
    parameters = list(head(model).requires_grad_(True).parameters())
    optimizer = torch.optim.SGD(parameters, learning_rate, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1 ** (1 / 6))
    device = parameters[0].device
    model.train()
    for _ in range(epochs):
        for x, y in pairs(batches):
            optimizer.zero_grad()
            cross_entropy(logits(model, x.to(device)), y.to(device)).backward()
            optimizer.step()
        schedule.step()
    return model.requires_grad_(False)


class Batches:
    """Shuffled batches of training images, augmented anew in each epoch; a fixed sequence given the seed."""

    def __init__(self, images: Images, view: View, batch: int = 32, augment: bool = True, seed: int = 0) -> None:
        self.images, self.view, self.batch, self.augment = images, view, min(batch, len(images)), augment
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of full batches."""
        order = torch.randperm(len(self.images), generator=self.generator)
        for rows in order.split(self.batch):
            if len(rows) == self.batch:
                part = self.images.take(rows)
                x = self.view.train(part.x, self.generator) if self.augment else self.view.test(part.x)
                yield x.contiguous(memory_format=torch.channels_last), part.y
