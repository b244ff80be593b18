"""Networks by name, their weights from a file or, asked for by name, from torchvision; and their heads (see ``heads``)."""

import difflib
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, relu

from claimkit.errors import InputError
from claimkit.transfer.heads import head as head
from claimkit.transfer.heads import head_name as head_name
from claimkit.transfer.heads import logits as logits
from claimkit.transfer.heads import replace_head as replace_head


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.stride, self.grow = stride, (outer - inner) // 2

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        shortcut = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.grow, self.grow)) if self.grow else x
        return relu(out + shortcut)


class CifarResNet(nn.Module):
    """The ResNet of 6n + 2 layers for 32 x 32 images (He et al. 2016, section 4.2), identity shortcuts padded with zeros."""

    def __init__(self, depth: int = 20, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        n = (depth - 2) // 6
        self.layer1 = nn.Sequential(*(_Block(16, 16, 1) for _ in range(n)))
        self.layer2 = nn.Sequential(_Block(16, 32, 2), *(_Block(32, 32, 1) for _ in range(n - 1)))
        self.layer3 = nn.Sequential(_Block(32, 64, 2), *(_Block(64, 64, 1) for _ in range(n - 1)))
        self.linear = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape ``(batch, classes)``."""
        x = relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(avg_pool2d(x, x.shape[-1]).flatten(1))


class SmallResNet(nn.Module):
    """A narrow ResNet of ten layers for 64 x 64 images: a convolution, then a block at each of 32, 16, 8 and 4 pixels."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256), classes: int = 100) -> None:
        super().__init__()
        first = widths[0]
        stem = nn.Sequential(nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        blocks = (_Block(inner, outer, outer // inner) for inner, outer in zip((first, *widths), widths, strict=False))
        self.features = nn.Sequential(stem, *blocks)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of shape ``(batch, classes)``."""
        return self.fc(self.features(x).mean((2, 3)))


class SmallCNN(nn.Sequential):
    """Convolution, BatchNorm and ReLU for each width, pooling by two between them, global average, a linear head."""

    def __init__(self, channels: int = 1, widths: tuple[int, ...] = (16, 32, 64), classes: int = 10) -> None:
        super().__init__()
        for i, (inner, outer) in enumerate(zip((channels, *widths), widths, strict=False), 1):
            self.add_module(f"conv{i}", nn.Conv2d(inner, outer, 3, 1, 1, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(outer))
            self.add_module(f"relu{i}", nn.ReLU())
            self.add_module(f"pool{i}", nn.MaxPool2d(2) if i < len(widths) else nn.AdaptiveAvgPool2d(1))
        self.add_module("flatten", nn.Flatten())
        self.add_module("fc", nn.Linear(widths[-1], classes))


def create(arch: str, weights: str | Path | None = None) -> nn.Module:
    """A network by name, on the CPU.

    Args:
        arch: ``small-cnn``, ``small-resnet``, ``cifar-resnet20`` ... ``cifar-resnet110``, or a classification network of
            torchvision.
        weights: A file with the network's state, or the name of torchvision weights such as ``IMAGENET1K_V1``, which are
            then downloaded; None leaves the random initialisation.

    Raises:
        InputError: No such network, or weights that do not fit it.
    """
    if arch == "small-cnn":
        model: nn.Module = SmallCNN()
    elif arch == "small-resnet":
        model = SmallResNet()
    elif arch.startswith("cifar-resnet"):
        depth = arch.removeprefix("cifar-resnet")
        if not depth.isdigit() or (int(depth) - 2) % 6 or int(depth) < 8:
            raise InputError(f"{arch!r}: the depth of a CIFAR ResNet is 6 n + 2, such as cifar-resnet20")
        model = CifarResNet(int(depth))
    else:
        return _torchvision(arch, weights)
    if weights is not None:
        load_weights(model, Path(weights))
    return model


def _torchvision(arch: str, weights: str | Path | None) -> nn.Module:
    from torchvision import models

    known = [m for m in models.list_models() if "/" not in m and m[0] != "_"]
    if arch not in known:
        near = difflib.get_close_matches(arch, ["small-cnn", "small-resnet", "cifar-resnet20", *known], 3)
        raise InputError(f"no network is called {arch!r}{'; near it are ' + ', '.join(near) if near else ''}")
    names = [w.name for w in models.get_model_weights(arch)]
    options = {"init_weights": False} if arch in ("inception_v3", "googlenet") else {}
    if weights is None or Path(weights).is_file():
        model = models.get_model(arch, weights=None, **options)
        if weights is not None:
            load_weights(model, Path(weights))
    elif str(weights) in (*names, "DEFAULT"):
        model = models.get_model(arch, weights=str(weights))
    else:
        raise InputError(f"weights {str(weights)!r}: there is no such file, and {arch} has {', '.join(names)}")
    if getattr(model, "aux_logits", False):  # logits in training as in evaluation
        setattr(model, "aux_logits", False)  # noqa: B010 - not an attribute of every module
        for name in ("AuxLogits", "aux1", "aux2"):
            if hasattr(model, name):
                setattr(model, name, None)
    return model


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a state from a file; a head with another number of classes than the model's gives the model that head.

    Raises:
        InputError: Not a file of weights, or keys or shapes that are not the network's.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, AttributeError, KeyError) as e:
        raise InputError(f"{path} is not a file of tensors that torch can load safely: save model.state_dict()") from e
    for key in ("state_dict", "model"):
        state = state.get(key, state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"{path} does not hold names and tensors: save model.state_dict()")
    state = {k.removeprefix("module.").removeprefix("_orig_mod."): v for k, v in state.items()}
    rows = state.get(f"{head_name(model)}.weight")
    if rows is not None and len(rows) != len(head(model).weight):
        replace_head(model, len(rows))
    own = model.state_dict()
    counters = {k for k in own if k.endswith("num_batches_tracked")}
    missing, foreign = sorted(own.keys() - state.keys() - counters), sorted(state.keys() - own.keys())
    foreign = [k for k in foreign if not k.lower().startswith(("auxlogits.", "aux1.", "aux2."))]
    if missing or foreign:
        said = [f"{len(k)} {w} ({k[0]!r})" for k, w in ((missing, "missing keys"), (foreign, "foreign keys")) if k]
        raise InputError(f"{path} holds weights of another network: {' and '.join(said)}; give the matching --arch")
    if wrong := [k for k in own if k in state and own[k].shape != state[k].shape]:
        k = wrong[0]
        raise InputError(f"{path}: {k} has shape {tuple(state[k].shape)}, the network expects {tuple(own[k].shape)}")
    model.load_state_dict({k: v for k, v in state.items() if k in own}, strict=False)


def reinitialise(model: nn.Module, seed: int) -> nn.Module:
    """Draw every weight afresh, as each layer's class does it, and return the network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in model.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return model
