"""The rows that a gradient matrix has as columns: tensors, mappings or tuples of tensors, or a loader that is read again."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from claimkit.errors import InputError

Batch = tuple[Any, Any]
"""Inputs and targets of some rows."""


class Rows:
    """Batches of inputs and targets, the same ones in the same order at every reading.

    Args:
        inputs: A tensor, or a mapping, tuple or list of tensors, with one row a sample along the first axis; or, with
            ``targets`` None, an iterable of batches such as a DataLoader: pairs (inputs, targets), or mappings whose
            ``labels`` are the targets.
        targets: The same for the targets.
        chunk: Rows a batch, where they are not batches already.
        device: Where batches are moved to.

    Raises:
        InputError: Another kind of data, none, rows of two lengths, or a loader that gives other rows when read again.
    """

    def __init__(self, inputs: Any, targets: Any, chunk: int, device: Callable[[], torch.device]) -> None:
        if chunk < 1:
            raise InputError(f"chunk = {chunk} rows: expected at least one")
        self.inputs, self.targets, self.chunk, self.device = inputs, targets, chunk, device
        if targets is None:
            self.n = self._read_through()
        else:
            lengths = [sorted({len(t) if t.ndim else 0 for t in leaves(d)}) for d in (inputs, targets)]
            if lengths[0] != lengths[1] or len(lengths[0]) != 1 or not lengths[0][0]:
                counts = [" or ".join(map(str, length)) for length in lengths]
                raise InputError(f"{counts[0]} inputs and {counts[1]} targets: expected as many, at least one")
            self.n = lengths[0][0]

    def __iter__(self) -> Iterator[tuple[slice, Any, Any]]:
        """Places of the rows, their inputs and their targets, batch by batch."""
        start = 0
        for x, y in self._batches():
            size = len(leaves(y)[0])
            yield slice(start, start + size), x, y
            start += size
        if start != self.n:
            raise InputError(f"the loader gave {self.n} rows at first and {start} rows now: it must give the same each time")

    def first(self, rows: int) -> Batch:
        """Inputs and targets of the first rows, at most one batch."""
        x, y = next(iter(self._batches()))
        return take(x, slice(rows)), take(y, slice(rows))

    def first_size(self) -> int:
        """Rows of the first batch."""
        return min(self.chunk, self.n) if self.targets is not None else len(leaves(next(iter(self._batches()))[1])[0])

    def _batches(self) -> Iterator[Batch]:
        if self.targets is None:
            pairs: Iterable[Batch] = (_pair(batch) for batch in self.inputs)
        else:
            parts = (slice(s, s + self.chunk) for s in range(0, self.n, self.chunk))
            pairs = ((take(self.inputs, rows), take(self.targets, rows)) for rows in parts)
        device = self.device()
        yield from ((tree_map(lambda t: t.to(device), x), tree_map(lambda t: t.to(device), y)) for x, y in pairs)

    def _read_through(self) -> int:
        """Count the rows of a loader, and see that it is the same when read again."""
        if iter(self.inputs) is self.inputs:
            raise InputError("the batches can be read once only: give a DataLoader or a list, no iterator")
        n = sum(len(leaves(_pair(batch)[1])[0]) for batch in self.inputs)
        if not n:
            raise InputError("the loader gives no rows: expected at least one")
        again = [leaves(_pair(next(iter(self.inputs)))) for _ in range(2)]
        if any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(*again, strict=True)):
            raise InputError("the loader gives other rows when read again: use shuffle=False and no random augmentation")
        return n


def leaves(data: Any) -> list[Tensor]:
    """All tensors of a nested structure.

    Raises:
        InputError: There is something else, or nothing.
    """
    found = tree_leaves(dict(data) if isinstance(data, Mapping) else data)
    wrong = [type(t).__name__ for t in found if not isinstance(t, Tensor)]
    if wrong or not found:
        raise InputError(
            f"data of type {', '.join(wrong) or 'nothing'}: give tensors, a mapping or tuple of tensors, "
            "or a DataLoader and no targets"
        )
    return found


def take(data: Any, rows: slice | Tensor) -> Any:
    """The named rows of all tensors."""
    return tree_map(lambda t: t[rows], dict(data) if isinstance(data, Mapping) else data)


def call(model: nn.Module, inputs: Any) -> Any:
    """The model's outputs: mappings are passed by name, tuples and lists by place."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


def _pair(batch: Any) -> Batch:
    if isinstance(batch, Mapping) and "labels" in batch:
        return {k: v for k, v in batch.items() if k != "labels"}, batch["labels"]
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return dict(batch[0]) if isinstance(batch[0], Mapping) else batch[0], batch[1]
    raise InputError(f"a batch of type {type(batch).__name__}: expected a pair (inputs, targets), or a mapping with labels")
