"""A model and a criterion as one loss a row, and the check that it is: no chance, no change, no row that acts on another."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from claimkit.errors import InputError
from msgd.matrix.rows import Batch, call, leaves, take


class Losses(nn.Module):
    """A model and a criterion as one module: ``(inputs, targets) -> losses``, one a row."""

    def __init__(self, model: nn.Module, criterion: Callable[[Any, Any], Tensor]) -> None:
        super().__init__()
        self.training = model.training
        self.model, self.criterion = model, criterion

    def forward(self, x: Any, y: Any) -> Tensor:
        """The losses of some rows."""
        each, rows = self.criterion(call(self.model, x), y), len(leaves(y)[0])
        if not isinstance(each, Tensor) or each.shape != (rows,):
            raise InputError(
                f"the criterion gave losses of shape {tuple(getattr(each, 'shape', ()))} for {rows} rows: "
                'it must give one loss a row (reduction="none")'
            )
        return each


def check(losses: Losses, batch: Batch) -> None:
    """Refuse a model that draws random numbers, changes as it runs, or whose rows depend on each other; it stays as it was.

    Raises:
        InputError: Which of the two, and what to do.
    """
    if any(getattr(m, "scale_grad_by_freq", False) for m in losses.model.modules()):
        raise InputError(
            "an embedding scales its gradient by how often a word is in the batch, so that rows have no gradient each: "
            "make it with scale_grad_by_freq=False"
        )
    training = any(m.training for m in losses.model.modules())

    buffers = {name: b.clone() for name, b in losses.named_buffers()}

    def run(rows: Batch) -> Tensor:
        return functional_call(losses, buffers, rows)

    copies = torch.zeros(len(leaves(batch[1])[0]), dtype=torch.int64)
    devices = sorted({p.device.index or 0 for p in losses.parameters() if p.device.type == "cuda"})
    with torch.no_grad(), torch.random.fork_rng(devices):
        before = torch.get_rng_state(), [torch.cuda.get_rng_state(i) for i in devices]
        try:
            first, second, same = run(batch), run(batch), run((_at(batch[0], copies), _at(batch[1], copies)))
        except InputError:
            raise
        except Exception as e:
            raise InputError(
                f"the model cannot be run on the first rows ({type(e).__name__}: {str(e).splitlines()[0]})"
            ) from e
        after = torch.get_rng_state(), [torch.cuda.get_rng_state(i) for i in devices]
    drew = any(not torch.equal(a, b) for a, b in zip([before[0], *before[1]], [after[0], *after[1]], strict=True))
    mode = "call model.eval() first" if training else "it does so in eval mode, too"
    if (training and drew) or not torch.equal(first, second):
        raise InputError(
            "the model draws random numbers (Dropout?) or changes as it is run (spectral normalisation?), so that it has no "
            f"one gradient matrix: {mode}"
        )
    tolerance = 1e-3 if first.dtype in (torch.float32, torch.float64) else 0.1
    if (first[0] - same[0]).abs() > tolerance * (first[0].abs() + first.abs().mean()):
        raise InputError(
            f"the loss of a row depends on the rows beside it (BatchNorm?), which have no gradient each: {mode}"
        )


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside wrappers for data parallelism and of torch.compile."""
    while isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel) or hasattr(model, "_orig_mod"):
        model = model._orig_mod if hasattr(model, "_orig_mod") else model.module  # type: ignore[assignment]
    return model


def _at(data: Any, index: Tensor) -> Any:
    return take(data, index.to(leaves(data)[0].device))
