"""One model trained by several processes, started by ``torchrun``; in a process alone, everything here does nothing.

Every process works on its share of each batch and the gradients are averaged, so that the result is that of one process
with the whole batch, up to rounding and to BatchNorm, whose statistics are those of a share.
"""

import atexit
import gc
import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from claimkit.errors import InputError

dist: Any = torch.distributed


def size() -> int:
    """Number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def leads() -> bool:
    """Whether this process is the one that writes files and prints."""
    return rank() == 0


def join(device: str) -> str:
    """Meet the other processes, once; the device of this one."""
    if size() == 1:
        return device
    cuda = device.startswith("cuda")
    if not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo")
        atexit.register(_leave)
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if cuda else device


def _leave() -> None:
    """Leave the other processes: models that were wrapped go first, whose threads would abort a process that ends."""
    gc.collect()
    dist.destroy_process_group()


def share(batch: Tensor, even: bool = True) -> Tensor:
    """This process's part of a batch, along the first axis.

    Args:
        batch: The same in all processes.
        even: Refuse what cannot be divided evenly, so that a mean over the shares' means is the batch's mean.

    Raises:
        InputError: The batch cannot be divided evenly.
    """
    if even and len(batch) % size():
        raise InputError(f"a batch of {len(batch)} cannot be shared evenly by {size()} processes: change --batch")
    return batch[rank() :: size()]


def wrap(model: nn.Module) -> nn.Module:
    """The model to call in training: its gradients are averaged as they are computed."""
    return model if size() == 1 else nn.parallel.DistributedDataParallel(model)


def mean(value: Tensor) -> Tensor:
    """Mean of a detached tensor over the processes."""
    if size() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / size()


def summed(value: Tensor) -> Tensor:
    """A sum over this process's share of a batch, scaled so that the average over the processes is the whole batch's sum."""
    return value * size() if size() > 1 else value


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average ``.grad`` over the processes, in one message; for a training step that is no single forward call."""
    if size() == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = mean(torch.cat([g.flatten() for g in gradients]))
    for g, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        g.copy_(part.view_as(g))
