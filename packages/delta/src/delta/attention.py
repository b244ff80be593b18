"""Which channels matter: how much the target loss rises when a filter of the source network is removed (1901.09229).

``W_c = softmax(loss without filter c - loss with it)``; the released code standardises the differences of a layer and
divides them by a temperature of 5 first, and multiplies by the number of channels, so that the mean weight is one.
"""

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from claimkit.errors import InputError, one_of
from claimkit.files import write_atomic
from claimkit.transfer.maps.features import unwrapped
from claimkit.transfer.maps.layers import layers_for
from delta.ablation import ablate
from delta.probe import fit_head, pairs

TEMPERATURE = 5.0


@dataclass(frozen=True)
class Attention:
    """Rise of the loss without each channel, by layer.

    Attributes:
        gaps: One vector a layer: mean loss with the channel removed, minus the mean loss.
        layers: Names of the layers; empty where a file does not say.
        temperature: Divides the standardised gaps before the softmax.
        standardize: Subtract the mean and divide by the standard deviation (of n, not n - 1) within a layer.
    """

    gaps: tuple[Tensor, ...]
    layers: tuple[str, ...] = ()
    temperature: float = TEMPERATURE
    standardize: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no attention."""
        if not self.gaps or any(g.ndim != 1 or not len(g) or not torch.isfinite(g).all() for g in self.gaps):
            raise InputError("attention needs one non-empty vector of finite numbers a layer")
        if self.layers and len(self.layers) != len(self.gaps):
            raise InputError(f"{len(self.layers)} layers are named for {len(self.gaps)} vectors of attention")
        if not self.temperature > 0:
            raise InputError(f"temperature = {self.temperature}: expected a positive number")

    def weights(self) -> list[Tensor]:
        """``C a_c`` by layer: non-negative, of mean one; all one where the gaps do not differ.

        >>> [round(w, 3) for w in Attention((torch.tensor([0.0, 1.0]),)).weights()[0].tolist()]
        [0.803, 1.197]
        """
        return [self._weights(g) for g in self.gaps]

    def _weights(self, gaps: Tensor) -> Tensor:
        spread = gaps.std(correction=0)
        if spread == 0:
            return torch.ones_like(gaps)
        z = (gaps - gaps.mean()) / spread if self.standardize else gaps
        return torch.softmax(z / self.temperature, 0) * len(gaps)

    def to_json(self, path: Path) -> None:
        """Write the gaps as the released files have them: a list of one list of numbers a layer."""
        write_atomic(path, json.dumps([g.tolist() for g in self.gaps]) + "\n")

    @classmethod
    def from_json(cls, path: Path, layers: Sequence[str] = ()) -> Self:
        """Read such a file; the layers are those of the released code unless named.

        Raises:
            InputError: Not a list of lists of numbers.
        """
        try:
            read = json.loads(path.read_text(encoding="utf-8"))
            return cls(tuple(torch.tensor(g, dtype=torch.float64).float() for g in read), tuple(layers))
        except (ValueError, TypeError, RuntimeError) as e:
            raise InputError(f"{path} is no attention: expected a JSON list of one list of numbers a layer ({e})") from e


def channel_attention(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    layers: Sequence[str] | None = None,
    max_batches: int = 4,
    head: Literal["probe", "given"] = "probe",
    probe_epochs: int = 10,
    classes: int | None = None,
    seed: int = 0,
) -> Attention:
    """Fit the attention of a source network to a target task, as the released code does.

    A new head is trained with everything else frozen (:func:`delta.probe.fit_head`); then, in eval mode and over the first
    batches, each channel of each layer is removed in turn, and the mean loss is compared (:func:`delta.ablation.ablate`).

    Args:
        model: The source network; a copy is used, and the network does not change.
        batches: Batches ``(x, labels)`` that can be iterated again, as a DataLoader can.
        layers: Names; :func:`delta.layers_for` when None.
        max_batches: Batches over which the loss is compared.
        head: ``probe`` trains a new head; ``given`` uses the network's own, whose classes are those of the labels.
        probe_epochs: Epochs of training the head.
        classes: Number of classes of the new head; the largest label plus one when None.
        seed: Of the new head.
    """
    one_of("head", head, ("probe", "given"))
    source = copy.deepcopy(unwrapped(model))
    if head == "probe":
        fit_head(source, batches, probe_epochs, classes, seed)
    source.eval()
    device = next(source.parameters()).device
    total: list[Tensor] = []
    count = 0
    for x, y in pairs(batches):
        x, y = x.to(device), y.to(device)
        layers = layers or layers_for(source, x)
        gaps = ablate(source, layers, x, y)
        total = [a + b for a, b in zip(total, gaps, strict=True)] if total else gaps
        count += 1
        if count == max_batches:
            break
    if not count or layers is None:
        raise InputError("there is no batch to fit attention on: give an iterable of (x, labels) that is not used up")
    return Attention(tuple((t / count).cpu() for t in total), tuple(layers))
