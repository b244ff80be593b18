"""Gradients, hessians, starting scores and losses of the objectives, as LightGBM has them, and their fixed point."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ObjectiveName = Literal["binary", "regression", "multiclass"]
PLAIN = 2.0**-10
"""Where the largest derivative is between this and 1, derivatives are sent as they are."""


@dataclass(frozen=True)
class Objective:
    """An objective of boosting.

    Args:
        name: `binary` (labels 0 and 1), `regression` (squared error) or `multiclass` (labels 0 to num_class - 1).
        num_class: Classes of `multiclass`, 1 otherwise; scores have shape `(num_class, rows)`.
        scale_pos_weight: Factor on the derivatives of rows of label 1 (binary only), as in LightGBM; the starting score
            and the loss are without it.
    """

    name: ObjectiveName
    num_class: int = 1
    scale_pos_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in ("binary", "regression", "multiclass"):
            raise SecureGBMError(f"objective {self.name!r} is not supported; use binary, regression or multiclass")
        if (self.name == "multiclass") != (self.num_class > 1):
            raise SecureGBMError(f"objective {self.name} does not go with num_class={self.num_class}")
        if not 0.0 < self.scale_pos_weight < float("inf") or (self.scale_pos_weight != 1.0 and self.name != "binary"):
            raise SecureGBMError(
                f"scale_pos_weight is {self.scale_pos_weight} for {self.name}; give a positive number, for binary only"
            )

    def check_labels(self, labels: Floats) -> None:
        """Refuse labels that do not fit the objective.

        Raises:
            SecureGBMError: With the label that does not fit.
        """
        if not np.isfinite(labels).all():
            raise SecureGBMError("labels hold NaN or infinite values; remove these rows at both parties")
        allowed = {"binary": {0.0, 1.0}, "multiclass": set(map(float, range(self.num_class)))}.get(self.name)
        if allowed is not None and not set(np.unique(labels).tolist()) <= allowed:
            raise SecureGBMError(f"labels of a {self.name} objective must be 0 to {len(allowed) - 1}")
        if (labels == labels[0]).all():
            raise SecureGBMError(
                f"all labels of the training rows are {labels[0]:g}, which leaves nothing to learn; check the label column"
            )

    def check_spread(self, labels: Floats, weights: Floats) -> None:
        """Refuse labels or weights among which a few are so large that gradients of 23 bits show nothing of the others.

        Raises:
            SecureGBMError: If half of those that differ are less than 2^-23 of the largest.
        """
        away = weights * (np.abs(labels - np.median(labels)) if self.name == "regression" else 1.0)
        small = (away > 0.0) & (away < away.max() * 2.0**-23)
        if 2 * small.sum() > (away > 0.0).sum():
            raise SecureGBMError(
                "a few labels or weights are more than 2^23 times as large as half of the others, which gradients of 23 "
                "bits cannot show beside them; clip or remove them"
            )

    def initial(self, labels: Floats, weights: Floats) -> Floats:
        """LightGBM's boost_from_average: the best constant scores, `(num_class,)`."""
        if self.name == "regression":
            return np.array([np.average(labels, weights=weights)])
        classes = [1.0] if self.name == "binary" else [float(c) for c in range(self.num_class)]
        share = np.array([np.average(labels == c, weights=weights) for c in classes]).clip(1e-15, 1 - 1e-15)
        return np.asarray(np.log(share / (1 - share)) if self.name == "binary" else np.log(share), dtype=np.float64)

    def derivatives(self, scores: Floats, labels: Floats, weights: Floats) -> tuple[Floats, Floats]:
        """First and second derivative of the loss by the scores, both `(num_class, rows)`."""
        if self.name == "regression":
            return (scores - labels) * weights, np.broadcast_to(weights, scores.shape)
        p = self.transform(scores)
        if self.name == "binary":
            weights = weights * np.where(labels == 1.0, self.scale_pos_weight, 1.0)
            return (p - labels) * weights, p * (1.0 - p) * weights
        target = np.arange(self.num_class)[:, None] == labels
        factor = self.num_class / (self.num_class - 1.0)
        return (p - target) * weights, factor * p * (1.0 - p) * weights

    def transform(self, scores: Floats) -> Floats:
        """Scores to probabilities (or, for regression, to predictions), `(num_class, rows)`."""
        if self.name == "regression":
            return scores
        if self.name == "binary":
            small = np.exp(-np.abs(scores))  # 1 / (1 + e^-s) without overflow; scipy.special's takes half a second to load
            return np.where(scores >= 0.0, 1.0, small) / (1.0 + small)
        shifted = np.exp(scores - scores.max(axis=0))
        return np.asarray(shifted / shifted.sum(axis=0), dtype=np.float64)

    def loss(self, scores: Floats, labels: Floats, weights: Floats) -> float:
        """Mean log loss, or root mean squared error; what early stopping watches."""
        if self.name == "regression":
            return float(np.sqrt(np.average((scores[0] - labels) ** 2, weights=weights)))
        if self.name == "binary":
            return float(np.average(np.logaddexp(0.0, scores[0]) - labels * scores[0], weights=weights))
        top = scores.max(axis=0)
        log_total = top + np.log(np.exp(scores - top).sum(axis=0))
        own = np.take_along_axis(scores, labels.astype(np.int64)[None], axis=0)[0]
        return float(np.average(log_total - own, weights=weights))

    def metric(self, name: str, scores: Floats, labels: Floats, weights: Floats) -> float:
        """What early stopping watches, smaller is better: the loss, 1 - AUC, or the share of wrong classes."""
        if name == "loss":
            return self.loss(scores, labels, weights)
        if name == "auc":
            from sklearn.metrics import roc_auc_score

            if len(np.unique(labels)) < 2:
                raise SecureGBMError("the held-out rows are of one class, so they have no AUC; hold out more rows")
            return 1.0 - float(roc_auc_score(labels, scores[0], sample_weight=weights))
        found = (scores[0] > 0.0).astype(np.float64) if self.name == "binary" else scores.argmax(axis=0)
        return float(np.average(found != labels, weights=weights))


@dataclass(frozen=True)
class FixedPoint:
    """Integers that stand for real numbers: value = integer * 2^(exponent - bits), |integer| <= 2^bits."""

    integers: Ints
    exponent: int
    bits: int

    @property
    def step(self) -> float:
        """The value of one unit."""
        return 2.0 ** (self.exponent - self.bits)

    @property
    def values(self) -> Floats:
        """The rounded real numbers; with bits <= 23 they are exact in float32."""
        return self.integers.astype(np.float64) * self.step


def to_fixed_point(values: Floats, bits: int, least: int | None = None) -> FixedPoint:
    """Round `values` to `bits` fractional bits, after division by the power of two that covers the largest of them.

    The power of two is 1 where the largest lies between 2^-10 and 1, so plain gradients are multiples of 2^-bits; it is
    smaller where labels or weights are written in a unit that makes all of them tiny. Only the label party knows it.

    Args:
        values: Any finite numbers.
        bits: Fractional bits, 4 to 23.
        least: The smallest integer allowed (1 for hessians, which must stay positive).
    """
    if not 4 <= bits <= 23:
        raise SecureGBMError(f"privacy_bits is {bits}; give a number from 4 to 23 (23 is lossless)")
    if not np.isfinite(values).all():
        raise SecureGBMError("gradients are not finite; the labels or the weights are too large")
    largest = float(np.abs(values).max(initial=0.0))
    exponent = 0 if PLAIN <= largest <= 1.0 or largest == 0.0 else int(np.ceil(np.log2(largest)))
    integers = np.rint(np.ldexp(values, bits - exponent)).astype(np.int64)
    if least is not None:
        integers = np.maximum(integers, least)
    return FixedPoint(integers, exponent, bits)
