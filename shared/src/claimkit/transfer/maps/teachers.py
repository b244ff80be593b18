"""Where the source's feature maps come from: a network as it stands, in eval mode and without gradients."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from claimkit.transfer.maps.features import Taps, still, unwrapped, version
from claimkit.transfer.maps.layers import find, layers_for


class Teacher:
    """Feature maps of a network that is not copied: as it stands when it is asked, in eval mode, without gradients.

    .. code-block:: python

        Teacher(averaged.module)  # an average of the weights, which moves
        Teacher(model, within=model.disable_adapter)  # the model itself without its adapters: no second network
        Teacher(other, layers=["stages.2"])  # another network, whose layers have other names

    Args:
        network: Whose maps; what follows the last of the layers is not computed.
        layers: Its names of the layers, in the order of the student's; the student's own when None.
        within: Gives the context in which the network runs.
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str] | None = None,
        within: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        if layers is not None:
            find(unwrapped(network), layers)
        self.network, self.within = unwrapped(network), within
        self.layers = None if layers is None else tuple(layers)
        self._taps: Taps | None = None

    @property
    def written(self) -> int:
        """How often its parameters were written to; 0 where a context switches off parts of it, which may be trained."""
        return sum(map(version, self.network.parameters())) if self.within is nullcontext else 0

    def choose(self, x: Any, layers: Sequence[str] | None = None) -> tuple[str, ...]:
        """Fix the names of the layers, if none were given: the student's, or those of ``layers_for``."""
        if self.layers is None:
            self.layers = tuple(layers) if layers is not None else layers_for(self.network, x)
        return self.layers

    def __call__(self, x: Any, dtype: torch.dtype | None = None) -> list[Tensor]:
        """Feature maps of ``x``, in the order of the layers, under the autocast of the caller or under one to ``dtype``."""
        if self._taps is None:
            self._taps = Taps(self.network, find(self.network, self.choose(x)), stop=True)
        device = (x if isinstance(x, Tensor) else x[0]).device.type
        autocast = nullcontext() if dtype is None else torch.autocast(device, dtype)
        with self.within(), still(self.network), autocast:
            return self._taps.run(x)
