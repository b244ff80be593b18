"""Derivatives of every loss along one direction, ``G' v`` (arXiv 1906.07405), in four ways that agree.

``by_layers`` needs first derivatives only: with the gradients of all losses at the outputs o of the layers,

    <grad l_i, v> = sum over the layers of < d l_i / d o,  d o / d theta . v >,

and nearly every layer without parts (linear, convolution, embedding, normalising) is linear in its parameters, so that the
second factor is the layer with v for its parameters; whether it is, is measured (``choose``). The same gradients at the
outputs give ``G u`` afterwards, layer by layer, without a second way through the network. ``forward_mode`` and
``double_backward`` take any module whose operations have those derivatives; ``row_by_row`` takes any module, one backward
pass a row.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from claimkit.errors import InputError
from msgd.matrix.rows import Batch, leaves, take
from msgd.matrix.rowwise import Losses

Tensors = Sequence[Tensor]
Pull = Callable[[Tensor], list[Tensor]]
"""G u of the rows of a batch, by parameter, as a function of u, shape ``(rows,)``."""


class OtherWayError(Exception):
    """This way does not give the products of this model; another one does."""


def by_layers(losses: Losses, batch: Batch, parameters: Tensors, v: Tensors) -> tuple[Tensor, Pull]:
    """G' v, and G u as a function of u.

    Raises:
        OtherWayError: Some parameter belongs to no layer without parts, or is used where that layer is not called.
    """
    along = {id(p): t for p, t in zip(parameters, v, strict=True)}
    calls: list[tuple[nn.Module, Tensor, Any]] = []
    outputs: list[Tensor] = []

    def note(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        calls.append((layer, inputs[0].detach(), torch.autograd.graph.get_gradient_edge(output)))
        outputs.append(output)

    own = [m for m in losses.modules() if any(id(p) in along for p in m.parameters(recurse=False))]
    with ExitStack() as hooks:
        for layer in own:
            if next(layer.children(), None) is not None:
                raise OtherWayError(f"{type(layer).__name__} has parameters beside its parts")
            if getattr(layer, "max_norm", None) is not None:
                raise OtherWayError(f"{type(layer).__name__} shortens its weights when it is called")
            hooks.callback(layer.register_forward_hook(note).remove)
        each = losses(*batch)
    seen = {id(p) for layer, _, _ in calls for p in layer.parameters(recurse=False)}
    rest = [p for p in parameters if id(p) not in seen]
    if rest and any(g is not None for g in torch.autograd.grad(each.sum(), rest, retain_graph=True, allow_unused=True)):
        raise OtherWayError("a layer's parameters are used without calling it")
    slopes = torch.autograd.grad(each.sum(), [edge for _, _, edge in calls], retain_graph=True, allow_unused=True)
    total = torch.zeros_like(each)
    with torch.no_grad():
        for (layer, x, _), slope in zip(calls, slopes, strict=True):
            if slope is not None:
                moved = functional_call(layer, _direction(layer, along), (x,))
                total += torch.linalg.vecdot(*(t.reshape(len(each), -1) for t in (moved, slope)))

    owned = [[p for p in layer.parameters(recurse=False) if id(p) in along] for layer, _, _ in calls]
    once = len({id(p) for part in owned for p in part}) == sum(map(len, owned))
    kept = all(output.grad_fn is edge.node for output, (_, _, edge) in zip(outputs, calls, strict=True))

    def pull(u: Tensor) -> list[Tensor]:
        if not (once and kept):  # a layer called twice, or an output overwritten: through the whole network
            return gradients(each, parameters, u)
        found = {}
        for output, slope, part in zip(outputs, slopes, owned, strict=True):
            if slope is not None:
                weight = u.view(-1, *[1] * (slope.ndim - 1))
                pairs = zip(part, gradients(output, part, slope * weight, keep=True), strict=True)
                found |= {id(p): g for p, g in pairs}
        return [found[id(p)] if id(p) in found else torch.zeros_like(p) for p in parameters]

    return total, pull


def _direction(layer: nn.Module, along: dict[int, Tensor]) -> dict[str, Tensor]:
    """What takes the place of a layer's parameters: v, but zero where they are frozen or a padding's, without gradient."""
    pairs = layer.named_parameters(recurse=False)
    direction = {name: along[id(p)] if id(p) in along else torch.zeros_like(p) for name, p in pairs}
    if isinstance(layer, nn.Embedding) and layer.padding_idx is not None:
        direction["weight"] = direction["weight"].clone()
        direction["weight"][layer.padding_idx] = 0
    return direction


def forward_mode(losses: Losses, batch: Batch, parameters: Tensors, v: Tensors) -> tuple[Tensor, None]:
    """G' v by one forward-mode derivative.

    Raises:
        OtherWayError: An embedding has a padding: torch's forward mode moves it, though it has no gradient.
    """
    if any(isinstance(m, nn.Embedding) and m.padding_idx is not None for m in losses.modules()):
        raise OtherWayError("an embedding has a padding")
    names = {id(p): name for name, p in losses.named_parameters()}
    at = {names[id(p)]: p.detach() for p in parameters}
    towards = {names[id(p)]: t for p, t in zip(parameters, v, strict=True)}
    with plain_kernels(losses), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`torch.jit", category=FutureWarning)  # torch's own, on first use
        return jvp(lambda p: functional_call(losses, p, batch), (at,), (towards,))[1], None


def double_backward(losses: Losses, batch: Batch, parameters: Tensors, v: Tensors) -> tuple[Tensor, None]:
    """G' v as the derivative of ``<G u, v>`` in u."""
    with plain_kernels(losses):
        each = losses(*batch)
        u = torch.zeros_like(each, requires_grad=True)
        gradient = torch.autograd.grad(each, parameters, u, create_graph=True, allow_unused=True)
        parts = [(g, t) for g, t in zip(gradient, v, strict=True) if g is not None]
        return torch.autograd.grad([g for g, _ in parts], u, [t for _, t in parts])[0], None


def row_by_row(losses: Losses, batch: Batch, parameters: Tensors, v: Tensors) -> tuple[Tensor, None]:
    """G' v from one backward pass a row."""
    pairs = (zip(row, v, strict=True) for row in rows_of(losses, batch, parameters))
    return torch.stack([torch.stack([(g * t).sum() for g, t in row]).sum() for row in pairs]), None


Way = Callable[[Losses, Batch, Tensors, Tensors], tuple[Tensor, Pull | None]]
WAYS: tuple[Way, ...] = (by_layers, forward_mode, double_backward, row_by_row)
"""Fastest first."""


def choose(losses: Losses, batch: Batch, parameters: Tensors) -> Way:
    """The fastest way that gives on these rows what one backward pass a row gives, there and back.

    The passes go through these rows together: torch's own derivative can be wrong for one row alone (BatchNorm in eval mode
    whose output is transposed, as in XCiT and LeViT).

    The direction is the rows' gradient, scaled so that every tensor of parameters counts the same, so that one that is left
    out shows; but for those whose gradient is rounding alone (the bias of an attention's keys, which softmax cancels). It is
    large where no row has a gradient (the padding of an embedding), so that a way that moves along there shows, too. Along
    no direction the derivative is zero, which a layer that adds something without parameters (its input, as ConvNeXt V2's
    normalisation) fails.

    Raises:
        InputError: Rows have no gradient, or not by torch.autograd.grad.
    """
    try:
        each = losses(*batch)
        require_gradients(each)
        rows = [gradients(loss, parameters, keep=True) for loss in each]
    except RuntimeError as e:
        raise InputError(f"the first rows have no gradients ({type(e).__name__}: {str(e).splitlines()[0]})") from e
    generator = torch.Generator().manual_seed(0)
    share = min(100 * torch.finfo(parameters[0].dtype).eps, 0.05)
    columns = [torch.stack(column) for column in zip(*rows, strict=True)]
    largest = torch.stack([c.sum(0).norm() for c in columns]).max().clamp_min(torch.finfo(columns[0].dtype).tiny ** 0.5)
    least, v = share * largest, []
    for column in columns:
        g = column.sum(0)
        weight = torch.rand(g.shape, generator=generator, dtype=torch.float32).to(g) + 0.5
        along = weight * g / g.norm().clamp_min(least) ** 2
        v.append(torch.where((column == 0).all(0), weight * along.norm().clamp_min(1 / largest), along))
    truth = torch.stack([torch.stack([(g * t).sum() for g, t in zip(row, v, strict=True)]).sum() for row in rows])
    u = torch.arange(1, len(rows) + 1).to(truth) / len(rows)
    sums = [torch.tensordot(u.to(column), column, 1) for column in columns]
    for way in WAYS[:-1]:
        try:
            along, pull = way(losses, batch, parameters, v)
            back = sums if pull is None else pull(u)
            still = way(losses, batch, parameters, [torch.zeros_like(t) for t in v])[0]
        except Exception:  # whatever a model's operations raise where a derivative is missing: the next way
            continue
        right = (along.detach() - truth).abs().max() <= 0.02 + share * truth.abs().max()
        if (
            right
            and not still.any()
            and all((b - s).norm() <= 0.02 * s.norm() + least for b, s in zip(back, sums, strict=True))
        ):
            return way
    alone = (torch.stack(column) for column in zip(*rows_of(losses, batch, parameters), strict=True))
    if any((a - c).norm() > 0.02 * c.norm() + least for a, c in zip(alone, columns, strict=True)):
        raise InputError("the gradients of the first rows, each alone, are not those that they have among others")
    return row_by_row


def rows_of(losses: Losses, batch: Batch, parameters: Tensors) -> Iterator[list[Tensor]]:
    """The gradient of every row, each by a backward pass of its own."""
    for i in range(len(leaves(batch[1])[0])):
        one = losses(*(take(part, slice(i, i + 1)) for part in batch))
        yield gradients(one.sum(), parameters)


def require_gradients(losses: Tensor) -> None:
    """Refuse losses whose graph hides parameters: torch.autograd.grad gives none behind a reentrant checkpoint, silently.

    Raises:
        InputError: There is such a checkpoint.
    """
    found, ahead = set(), [losses.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in found:
            continue
        found.add(node)
        if node.name() == "CheckpointFunctionBackward":
            raise InputError(
                "the model recomputes activations by a reentrant checkpoint, which hides the gradients of what is inside: "
                "use checkpoint(..., use_reentrant=False)"
            )
        ahead += [after for after, _ in node.next_functions]


def gradients(value: Tensor, parameters: Tensors, weight: Tensor | None = None, keep: bool = False) -> list[Tensor]:
    """Gradients by a backward pass, dense; zeros where the value does not depend on a parameter."""
    if not value.requires_grad:
        return [torch.zeros_like(p) for p in parameters]
    found = torch.autograd.grad(value, parameters, weight, retain_graph=keep, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g.to_dense() for g, p in zip(found, parameters, strict=True)]


@contextmanager
def plain_kernels(model: nn.Module) -> Iterator[None]:
    """Attention and recurrent layers by operations that have derivatives of every kind, instead of fused kernels."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH), ExitStack() as stack:
            if any(isinstance(m, nn.RNNBase) for m in model.modules()):
                stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", message="TF32 acceleration", category=UserWarning)  # of the flags
                stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
