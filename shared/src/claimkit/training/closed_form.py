"""An encoder without a step of training: channels chosen by pivoted QR, convolutions by ridge regression, layer by layer.

Each student convolution is fitted on the student's own output of the layer before, so that errors are met where they arise.
"""

from collections.abc import Mapping

import scipy.linalg
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from claimkit.style.encoders import LevelEncoder

POSITIONS = 60_000  # rows of a regression; the widest has 1,153 unknowns


def chosen_channels(features: Tensor, count: int) -> Tensor:
    """The ``count`` channels of (B, C, H, W) that between them say most about all: first pivots of a QR decomposition."""
    rows = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    rows = rows[:: max(1, len(rows) // 20_000)].double()
    *_, pivots = scipy.linalg.qr((rows - rows.mean(0)).numpy(), mode="economic", pivoting=True)
    return torch.from_numpy(pivots[:count].copy()).long()


def fit_convolution(
    layer: nn.Conv2d, x: Tensor, target: Tensor, rectified: bool, ridge: float = 1e-4, rounds: int = 4
) -> None:
    """Set ``layer`` so that its output on ``x`` comes near ``target`` in least squares.

    Where the target is rectified and zero, any output below zero is as good: in every round the target there becomes
    the output so far, where negative, and the same factorised normal equations are solved again.
    """
    patches, wanted = _rows(layer, x, target)
    gram = patches.T @ patches
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    factor = torch.linalg.cholesky(gram)
    solution = torch.cholesky_solve(patches.T @ wanted, factor)
    for _ in range(rounds - 1 if rectified else 0):
        goal = torch.where(wanted > 0, wanted, (patches @ solution).clamp(max=0))
        solution = torch.cholesky_solve(patches.T @ goal, factor)
    with torch.no_grad():
        layer.weight.copy_(solution[:-1].T.reshape(layer.weight.shape))
        _bias(layer).copy_(solution[-1])


@torch.no_grad()
def start_encoder(encoder: LevelEncoder, images: Tensor, teacher: Mapping[str, Tensor]) -> dict[str, float]:
    """Fit the encoder to ``teacher``'s activations.

    Args:
        encoder: All of its convolutions are overwritten.
        images: (B, 3, H, W), enough for some 60,000 positions.
        teacher: Activations after ReLU under the name of the convolution that is to imitate some of their channels.

    Returns:
        Share of the variance of its target that each layer explains.
    """
    nn.init.zeros_(encoder.input.weight)
    encoder.input.weight[range(3), range(3)] = 4.0  # about unit variance
    nn.init.constant_(_bias(encoder.input), -2.0)
    x, shares = encoder.input(images), {}
    for name, layer in encoder.named_children():
        if name == "input" or not isinstance(layer, nn.Conv2d):
            continue
        target = teacher[name]
        target = target[:, chosen_channels(target, layer.out_channels)]
        target = target / target.std((0, 2, 3), keepdim=True).clamp_min(1e-6)
        if x.shape[-1] != target.shape[-1]:
            x = F.max_pool2d(x, 2)
        fit_convolution(layer, x, target, rectified=True)
        x = F.relu(layer(x))
        shares[f"encoder.{name}"] = explained(x, target)
    return shares


def explained(output: Tensor, target: Tensor) -> float:
    """Share of the target's variance that the output explains."""
    return 1 - ((output - target).square().mean() / target.var()).item()


def _rows(layer: nn.Conv2d, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of patches with a one at the end, and of targets, at an even sample of positions."""
    batch, _, height, width = target.shape
    at = torch.linspace(0, batch * height * width - 1, min(POSITIONS, batch * height * width)).long()
    padded = F.pad(x, (1, 1, 1, 1), mode="reflect") if layer.kernel_size == (3, 3) else x
    b, rest = at // (height * width), at % (height * width)
    i, j = rest // width, rest % width
    columns = [padded[b, :, i + di, j + dj] for di in range(layer.kernel_size[0]) for dj in range(layer.kernel_size[1])]
    patches = torch.stack(columns, 2).flatten(1)
    patches = torch.cat([patches, torch.ones(len(at), 1)], 1).double()
    return patches, target[b, :, i, j].double()


def _bias(layer: nn.Conv2d) -> Tensor:
    if layer.bias is None:
        raise TypeError("this convolution has no bias")
    return layer.bias
