"""What a user would try first: a linear probe, a probe before fine-tuning, and an average of the weights.

The probe is the convex problem solved to its end, not a few epochs of SGD; LP-FT (arXiv 2202.10054) starts fine-tuning from
its head, so that the first steps do not distort the features; WiSE-FT (arXiv 2109.01903) goes part of the way from the
source to the fine-tuned network, at no cost in training.
"""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from claimkit.errors import InputError
from claimkit.transfer.heads import head, head_name
from claimkit.transfer.maps.features import still


def penultimate(model: nn.Module, x: Tensor, name: str | None = None, rows: int = 256) -> Tensor:
    """What enters the head for the inputs ``x``, in eval mode: shape ``(n, width)``, positions of a map averaged."""
    seen: list[Tensor] = []
    handle = head(model, name).register_forward_pre_hook(lambda _module, args: seen.append(args[0].detach()))
    try:
        with still(model):
            for part in x.split(rows):
                model(part)
    finally:
        handle.remove()
    found = torch.cat(seen)
    return found if found.ndim == 2 else found.flatten(2).mean(2)


def linear_probe(features: Tensor, y: Tensor, classes: int, decay: float = 1e-3, steps: int = 200) -> tuple[Tensor, Tensor]:
    """Weight ``(classes, width)`` and bias of the head that minimises ``mean CE + decay/2 ||W||^2``, by L-BFGS in float64.

    Args:
        features: ``(n, width)``; standardised for the solver, and the result told in their own units.
        y: Labels ``(n,)``.
        classes: Number of classes.
        decay: On the weights of standardised features, positive: the problem is then strictly convex in them.
        steps: Of L-BFGS, at most.

    Raises:
        InputError: A decay that is not positive, or no image.
    """
    if decay <= 0 or not len(y):
        raise InputError(f"decay = {decay}, {len(y)} images: expected a positive decay and an image or more")
    z = features.double()
    mean, spread = z.mean(0), z.std(0, correction=0).clamp(min=1e-6)
    z = (z - mean) / spread
    w = torch.zeros(classes, z.shape[1], dtype=torch.float64, device=z.device, requires_grad=True)
    b = torch.zeros(classes, dtype=torch.float64, device=z.device, requires_grad=True)
    solver = torch.optim.LBFGS([w, b], max_iter=steps, tolerance_grad=1e-7, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        loss = cross_entropy(z @ w.T + b, y) + decay / 2 * w.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    weight = w.detach() / spread
    return weight.to(features.dtype), (b.detach() - weight @ mean).to(features.dtype)


@torch.no_grad()
def with_probe(
    model: nn.Module, x: Tensor, y: Tensor, decay: float = 1e-3, name: str | None = None, rows: int = 256
) -> nn.Module:
    """Put the probe's solution into the head of ``model``: the linear probe itself, and where LP-FT starts from.

    Args:
        model: With a head of as many classes as there are; changed in place, and returned.
        x: Inputs, not augmented.
        y: Labels ``(n,)``.
        decay: See :func:`linear_probe`.
        name: Of the head; found when None.
        rows: Inputs in one pass.

    A ReLU behind the head, as SqueezeNet has one, would cut off negative answers: all biases are then raised by one number,
    which changes no probability.

    Raises:
        InputError: A head without bias, or a network that makes something else of its head's answers.
    """
    layer = head(model, name or head_name(model))
    if layer.bias is None:
        raise InputError("the head has no bias, which the probe's solution needs: give it one")
    features = penultimate(model, x, name, rows)
    with torch.enable_grad():
        weight, bias = linear_probe(features, y, len(layer.weight), decay)
    layer.weight.copy_(weight.view_as(layer.weight))
    layer.bias.copy_(bias)
    logits = features @ weight.T + bias
    if not _gives(model, x, logits, rows):
        raised = 10 * float(logits.abs().max())
        layer.bias.add_(raised)
        if not _gives(model, x, logits + raised, rows):
            raise InputError("the network does not give the answers of its head, nor their mean over positions: no probe")
    return model


def _gives(model: nn.Module, x: Tensor, logits: Tensor, rows: int) -> bool:
    """Whether the network's output is ``logits``, to rounding; of one that gives no tensor nothing is known."""
    with still(model):
        found = [model(part) for part in x.split(rows)]
    if not all(isinstance(t, Tensor) for t in found):
        return True
    size = float(logits.abs().max())
    return torch.cat(found).shape == logits.shape and bool(torch.allclose(torch.cat(found), logits, atol=1e-3 * size))


@torch.no_grad()
def interpolated(source: nn.Module | Mapping[str, Tensor], tuned: nn.Module, share: float) -> nn.Module:
    """A copy of ``tuned`` whose weights and statistics are ``(1 - share) source + share tuned`` (WiSE-FT).

    Parameters that the source lacks, or has in another shape, such as a new head, stay those of ``tuned``. For a head that
    both ends share, give the source the probe's (:func:`with_probe`).

    Raises:
        InputError: A share outside [0, 1], or nothing in common.
    """
    if not 0 <= share <= 1:
        raise InputError(f"share = {share}: expected a number in [0, 1]")
    start = source.state_dict() if isinstance(source, nn.Module) else source
    mixed = copy.deepcopy(tuned)
    common = {n: t for n, t in mixed.state_dict().items() if n in start and start[n].shape == t.shape}
    if not common:
        raise InputError("source and fine-tuned network have nothing in common: their names must agree")
    for n, t in common.items():
        if t.is_floating_point():
            t.lerp_(start[n].to(t), 1 - share)
    return mixed
