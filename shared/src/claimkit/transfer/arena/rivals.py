"""Three published rivals for the loop of :mod:`claimkit.transfer`: batch spectral shrinkage, StochNorm, Co-Tuning.

They are here as baselines: each in its published form, with what differs from it said where it does.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, log_softmax, softmax

from claimkit.errors import InputError
from claimkit.transfer.data import Images, View, digest
from claimkit.transfer.heads import head
from claimkit.transfer.maps.features import still
from claimkit.transfer.regularizers import Regularizer, Step


class OnFeatures(Regularizer):
    """A penalty on what enters the head in the loop's own forward pass, caught by a hook."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._seen: Tensor | None = None

    @contextmanager
    def watch(self, model: nn.Module) -> Iterator[None]:
        """Catch the head's input until the end of the block."""
        handle = head(model, self.name).register_forward_pre_hook(lambda _module, args: setattr(self, "_seen", args[0]))
        try:
            yield
        finally:
            handle.remove()
            self._seen = None

    def features(self) -> Tensor:
        """The head's input of the pass that was just made; once.

        Raises:
            InputError: There was none.
        """
        found, self._seen = self._seen, None
        if found is None:
            raise InputError("the head saw no input: hold `watch(model)` open around the forward pass")
        return found


def _pooled(maps: Tensor) -> Tensor:
    """``(batch, width)``: positions of a map averaged."""
    return maps.flatten(2).mean(2) if maps.ndim > 2 else maps


class BSS(OnFeatures):
    """Batch spectral shrinkage (Chen et al., NeurIPS 2019): ``eta sum_{i<=k} sigma_{-i}^2`` of the batch's feature matrix.

    Args:
        eta: Weight; 1e-3 in the paper.
        k: How many of the smallest singular values.
        name: Of the head; found when None.
    """

    def __init__(self, eta: float = 1e-3, k: int = 1, name: str | None = None) -> None:
        super().__init__(name)
        self.eta, self.k = eta, k

    def __repr__(self) -> str:
        return f"BSS({self.eta}, k={self.k})"

    def penalty(self, step: Step) -> Tensor:
        """A scalar in the graph; the feature matrix is ``(batch, width)``."""
        return self.eta * torch.linalg.svdvals(_pooled(self.features()))[-self.k :].square().sum()


class CoTuning(OnFeatures):
    """Co-Tuning (You et al., NeurIPS 2020): the source's own head learns which source classes go with a target class.

    ``lambda CE(h_s(features), p(y_s | y_t))``, the relationship taken directly, as the mean of the source's answers to the
    training images of a class. Here ``h_s`` stays as it is, so that the penalty trains the shared layers alone.

    Args:
        source: The source network with its head.
        train: Training images of the target.
        view: How pixels become inputs.
        weight: lambda; 2.3 in the released code.
        name: Of the head; found when None.
    """

    def __init__(self, source: nn.Module, train: Images, view: View, weight: float = 2.3, name: str | None = None) -> None:
        super().__init__(name)
        self.weight, self.answers = weight, head(source, name)
        self._source = digest(*source.state_dict().values())
        with still(source), torch.no_grad(), self.watch(source):
            source(view.test(train.x))
            probabilities = softmax(self._logits(), 1)
        classes = range(len(train.classes))
        self.relation = torch.stack([probabilities[train.y == label].mean(0) for label in classes])

    def __repr__(self) -> str:
        return f"CoTuning({self.weight})"

    def source_digest(self) -> str:
        """Of the source, as it was when the relationship was taken."""
        return self._source

    def _logits(self) -> Tensor:
        parameters = {n: p.detach() for n, p in self.answers.named_parameters()}
        return _pooled(torch.func.functional_call(self.answers, parameters, (self.features(),)))

    def penalty(self, step: Step) -> Tensor:
        """A scalar in the graph."""
        wanted = self.relation[step.targets]
        return -self.weight * (wanted * log_softmax(self._logits(), 1)).sum(1).mean()


class StochNorm2d(nn.BatchNorm2d):
    """StochNorm (Kou et al., 2020): in training, a channel is normalised by the batch or, with chance p, as in eval."""

    p = 0.5

    def forward(self, input: Tensor) -> Tensor:
        """Maps of the input's shape ``(batch, channel, height, width)``."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None
        mean, variance = self.running_mean.clone(), self.running_var.clone()
        by_batch = super().forward(input)
        by_moving = batch_norm(input, mean, variance, self.weight, self.bias, False, 0.0, self.eps)
        chosen = (torch.rand(self.num_features, device=input.device) < self.p).view(1, -1, 1, 1)
        return torch.where(chosen, by_moving, by_batch)


def stochnorm(model: nn.Module) -> nn.Module:
    """Put :class:`StochNorm2d` for every ``BatchNorm2d`` of a network, with its weights and statistics; in place.

    Raises:
        InputError: It has none.
    """
    found = [(n, m) for n, m in model.named_modules() if type(m) is nn.BatchNorm2d]
    if not found:
        raise InputError("the network has no BatchNorm2d: StochNorm is not defined for it")
    for name, old in found:
        new = StochNorm2d(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
        new.load_state_dict(old.state_dict())
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, new.to(next(old.parameters()).device).train(old.training))
    return model
