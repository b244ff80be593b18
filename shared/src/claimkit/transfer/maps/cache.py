"""Feature maps of the source network, computed once an image: for data that is not augmented."""

from collections.abc import Callable

import torch
from torch import Tensor

from claimkit.errors import InputError

LIMIT = 2**31


class FeatureCache:
    """Remembers the source network's feature maps by the number of the image.

    Args:
        n: Number of images.
        limit: Bytes that may be used; more is refused with the estimate.
        dtype: In which features are kept; float16 halves the memory and rounds to 3 digits.
    """

    def __init__(self, n: int, limit: int = LIMIT, dtype: torch.dtype = torch.float32) -> None:
        if n < 1:
            raise InputError(f"n = {n}: a cache is for at least one image")
        self.n, self.limit, self.dtype = n, limit, dtype
        self._features: list[Tensor] = []
        self._known = torch.zeros(n, dtype=torch.bool)

    def bytes(self, features: list[Tensor]) -> int:
        """Memory for all images, given the features ``(batch, ...)`` of some."""
        return self.n * sum(f[0].numel() for f in features) * self.dtype.itemsize

    def get(self, rows: Tensor, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Features of the images ``rows``, computed (all of the batch) if one of them is new.

        Raises:
            InputError: A row outside 0..n-1, or the memory would exceed the limit.
        """
        rows = rows.to("cpu")
        if int(rows.min()) < 0 or int(rows.max()) >= self.n:
            raise InputError(f"image {int(rows.max())} is outside the cache of n = {self.n}: rows count from 0 to n - 1")
        if not self._known[rows].all():
            features = compute()
            if not self._features:
                if (size := self.bytes(features)) > self.limit:
                    raise InputError(
                        f"cached features of {self.n} images take {size / 2**20:.0f} MiB, the limit is "
                        f"{self.limit / 2**20:.0f} MiB: raise it, keep them in float16, name fewer layers, or do not cache"
                    )
                self._features = [f.new_empty((self.n, *f.shape[1:]), dtype=self.dtype) for f in features]
            for kept, f in zip(self._features, features, strict=True):
                kept[rows.to(kept.device)] = f.to(self.dtype)
            self._known[rows] = True
        return [kept[rows.to(kept.device)] for kept in self._features]
