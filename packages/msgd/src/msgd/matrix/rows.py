"""The rows that a gradient matrix has as columns: tensors, mappings or tuples of tensors, or a loader that is read again."""

import zlib
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
        self._digests: list[list[int]] | None = None
        if targets is None:
            self.n = self._read_through()
        else:
            self.n = _rows(inputs, targets)
            if not self.n:
                raise InputError("0 inputs and 0 targets: expected as many, at least one")

    def __iter__(self) -> Iterator[tuple[slice, Any, Any]]:
        """Places of the rows, their inputs and their targets, batch by batch."""
        start = 0
        for x, y in self._batches():
            size = len(leaves(y)[0])
            yield slice(start, start + size), x, y
            start += size
        if start != self.n:
            raise InputError(f"the loader gave {self.n} rows at first and {start} rows now: it must give the same each time")

    def some(self, rows: int) -> Batch:
        """Inputs and targets of rows of the first batch, far from each other."""
        x, y = next(iter(self._batches()))
        size = len(leaves(y)[0])
        at = torch.linspace(0, size - 1, min(rows, size), device=leaves(y)[0].device).round().long()
        return take(x, at), take(y, at)

    def first_size(self) -> int:
        """Rows of the first batch."""
        return len(leaves(next(iter(self._batches()))[1])[0])

    def _batches(self) -> Iterator[Batch]:
        if self.targets is None:
            pairs: Iterable[Batch] = self._read()
        else:
            parts = (slice(s, s + self.chunk) for s in range(0, self.n, self.chunk))
            pairs = ((take(self.inputs, rows), take(self.targets, rows)) for rows in parts)
        device = self.device()
        yield from ((tree_map(lambda t: t.to(device), x), tree_map(lambda t: t.to(device), y)) for x, y in pairs)

    def _read(self) -> Iterator[Batch]:
        """Batches of a loader, but for those without rows; refused where they are not those of the first reading."""
        for i, batch in enumerate(p for p in map(_pair, self.inputs) if _rows(*p)):
            if self._digests is not None and _digest(batch) != self._digests[i : i + 1]:
                raise InputError("the loader gives other rows when read again: use shuffle=False and no random augmentation")
            yield batch

    def _read_through(self) -> int:
        """Count the rows of a loader, note what they are, and see that it begins alike when read again."""
        if iter(self.inputs) is self.inputs:
            raise InputError("the batches can be read once only: give a DataLoader or a list, no iterator")
        digests, n = [], 0
        for batch in self._read():
            digests += _digest(batch)
            n += len(leaves(batch[1])[0])
        if not n:
            raise InputError("the loader gives no rows: expected at least one")
        self._digests = digests
        if next(self._read(), None) is None:
            raise InputError("the batches can be read once only: the loader gives no rows when read again")
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


def _rows(inputs: Any, targets: Any) -> int:
    """Rows of some inputs and targets.

    Raises:
        InputError: They are not as many.
    """
    lengths = [sorted({len(t) if t.ndim else 0 for t in leaves(d)}) for d in (inputs, targets)]
    if lengths[0] != lengths[1] or len(lengths[0]) != 1:
        counts = [" or ".join(map(str, length)) for length in lengths]
        raise InputError(f"{counts[0]} inputs and {counts[1]} targets: expected as many, at least one")
    return lengths[0][0]


def _digest(batch: Batch) -> list[list[int]]:
    """A list of one item, the checksums of a batch's tensors."""
    parts = (t.detach().cpu().contiguous().view(torch.uint8).numpy() for t in leaves(batch))
    return [[zlib.crc32(part.data) for part in parts]]
