"""A torch model and its samples as functions of one flat parameter vector."""

import copy
from collections.abc import Callable

import numpy as np

from claimkit.errors import InputError


def flat_losses(model, criterion: Callable, inputs, targets):
    """A model's trainable parameters ``(d,)`` in one vector, and single samples' losses as a function of such a vector.

    Args:
        model: a torch module; its buffers are held as they are.
        criterion: ``(outputs, targets)`` to one loss per sample ``(n,)``.
        inputs: all samples.
        targets: all samples.

    Returns:
        The vector, and ``losses(vector, index) -> (len(index),)``.

    Raises:
        InputError: for a model in training mode whose loss is not a function of its parameters, or a criterion that
            averages.
    """
    import torch

    kinds = {type(m).__name__ for m in model.modules() if m.training}
    if any("Dropout" in kind or "BatchNorm" in kind for kind in kinds):
        raise InputError("In training mode dropout and batch norm make the loss no function of the parameters: call eval().")
    start = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    sizes = [p.numel() for p in start.values()]

    def losses(vector, index):
        parts = {n: v.reshape(p.shape) for (n, p), v in zip(start.items(), vector.split(sizes), strict=True)}
        return criterion(torch.func.functional_call(model, parts, (inputs[index],)), targets[index])

    vector = torch.cat([p.reshape(-1) for p in start.values()])
    shape = tuple(losses(vector, slice(0, 2)).shape)
    if shape != (min(2, len(targets)),):
        raise InputError(f"The criterion must give one loss a sample (reduction='none'); it gave {shape} for two.")
    return vector, losses


def torch_batches(model, criterion: Callable, inputs, targets) -> tuple[np.ndarray, Callable]:
    """A torch model for ``run_sgd`` and ``sgd_exits``: one backward pass a replica and step, as in a plain loop.

    Args:
        model: as for ``flat_losses``.
        criterion: as for ``flat_losses``.
        inputs: as for ``flat_losses``.
        targets: as for ``flat_losses``.

    Returns:
        The parameters as one vector ``(d,)``, in the order of ``named_parameters``, and ``gradient(theta, index)``, the mean
        gradients ``(R, d)``.
    """
    import torch

    vector, _ = flat_losses(model, criterion, inputs, targets)

    work = copy.deepcopy(model)
    parameters = [p for p in work.parameters() if p.requires_grad]
    sizes = [p.numel() for p in parameters]

    def gradient(theta, index):
        values = torch.as_tensor(theta).to(vector)
        found = torch.empty_like(values)
        for row, out, batch in zip(values, found, torch.as_tensor(index), strict=True):
            for p, v in zip(parameters, row.split(sizes), strict=True):
                p.data = v.view(p.shape)
            loss = criterion(work(inputs[batch]), targets[batch]).mean()
            parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
            torch.cat([g.reshape(-1) for g in parts], out=out)
        return found.cpu().double().numpy()

    return vector.cpu().double().numpy(), gradient
