"""Gradients of single samples of torch models, in two parameters or on a plane of many."""

from collections.abc import Callable

import numpy as np

from claimkit.errors import InputError

from ..progress import progress_bar


def torch_gradients(losses: Callable) -> Callable[[np.ndarray], np.ndarray]:
    """Per-sample gradients of a torch function ``losses(theta)``.

    ``(2,)`` to one loss per sample ``(n,)``, by forward mode.
    """
    import torch

    batched = torch.func.vmap(torch.func.jacfwd(losses))
    return lambda theta: batched(torch.as_tensor(np.asarray(theta))).detach().cpu().numpy()


def plane_gradients(
    model,
    criterion: Callable,
    inputs,
    targets,
    origin: dict,
    directions: tuple[dict, dict],
    *,
    chunk: int = 16,
    progress: bool = False,
) -> Callable[[np.ndarray], np.ndarray]:
    """Per-sample gradients of a torch module on the plane ``origin + x d_1 + y d_2`` of its parameters, in x and y.

    SGD moves the parameters by ``-eta g``; its part in the plane moves (x, y) by ``-eta G^{-1} (<d_1, g>, <d_2, g>)`` with
    the Gram matrix ``G_ij = <d_i, d_j>``, so that the directions may have any length and angle. Two Jacobian-vector products
    a point, vectorised over points: no matrix of samples by parameters is formed. In a model of more than two parameters SGD
    leaves the plane: what is computed there is the quasi-potential of SGD held to the plane.

    Args:
        model: a torch module.
        criterion: ``(outputs, targets)`` to one loss per sample ``(n,)``.
        inputs: all samples.
        targets: all samples.
        origin: parameters by name, as ``dict(model.named_parameters())``.
        directions: two of the same, not parallel.
        chunk: points at once; their activations bound the memory.
        progress: show a progress bar on a terminal.

    Returns:
        A function of ``(m, 2)`` returning ``(m, n, 2)``.

    Raises:
        InputError: when the directions are parallel or zero.
    """
    import torch

    gram = np.array([[sum(float((a[k] * b[k]).sum()) for k in origin) for b in directions] for a in directions])
    if not np.linalg.det(gram) > 1e-12 * gram[0, 0] * gram[1, 1]:
        raise InputError("The two directions of the plane are parallel, or one is zero; give two that span a plane.")
    inverse = np.linalg.inv(gram)

    both = {name: torch.stack([direction[name].detach() for direction in directions]) for name in origin}
    base = {name: origin[name].detach() for name in origin}

    def derivative(theta):
        """``(m, 2)`` to ``(2, m, n)``; the directions are the same at all points, so that they are multiplied only once."""
        at = {name: base[name] + torch.tensordot(theta, both[name], 1) for name in base}
        losses = lambda parameters: criterion(torch.func.functional_call(model, parameters, (inputs,)), targets)  # noqa: E731
        along = lambda d: torch.func.vmap(lambda p: torch.func.jvp(losses, (p,), (d,))[1])(at)  # noqa: E731
        return torch.func.vmap(along)(both)

    first = next(iter(origin.values()))

    def gradients(theta):
        theta = torch.as_tensor(np.asarray(theta), dtype=first.dtype, device=first.device)
        parts = []
        with torch.no_grad(), progress_bar(len(theta), progress, "pt") as advance:
            for part in theta.split(chunk):
                parts.append(np.moveaxis(derivative(part).cpu().double().numpy(), 0, -1) @ inverse)
                advance(len(part))
        return np.concatenate(parts)

    return gradients
