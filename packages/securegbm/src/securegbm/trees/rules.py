"""LightGBM's regularisation: its parameters, the gain of a leaf and the value of a leaf."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from securegbm.errors import SecureGBMError, require_finite

Floats = npt.NDArray[np.float64]
EPSILON = float(np.float32(1e-15))
"""LightGBM's kEpsilon, added to every sum of hessians."""
Bounds = tuple[float, float]
"""Least and greatest value that monotone constraints leave to a leaf."""
UNBOUNDED: Bounds = (-np.inf, np.inf)


@dataclass(frozen=True)
class CategoryRules:
    """LightGBM's parameters of categorical splits, under LightGBM's names.

    Args:
        cat_smooth: Smoothing of the order of categories, and fewest rows of a category that is ordered, >= 0.
        cat_l2: L2 penalty beside `lambda_l2` in splits of ordered categories, >= 0.
        max_cat_threshold: Most categories on the side that is searched, >= 1.
        max_cat_to_onehot: Up to so many bins each category is tried alone, >= 1.
        min_data_per_group: Fewest rows between two candidates, >= 1.
    """

    cat_smooth: float = 10.0
    cat_l2: float = 10.0
    max_cat_threshold: int = 32
    max_cat_to_onehot: int = 4
    min_data_per_group: int = 100

    def __post_init__(self) -> None:
        require_finite(self)
        if min(self.cat_smooth, self.cat_l2) < 0 or min(self.max_cat_threshold, self.max_cat_to_onehot) < 1:
            raise SecureGBMError("cat_smooth and cat_l2 must be >= 0, max_cat_threshold and max_cat_to_onehot >= 1")
        if self.min_data_per_group < 1:
            raise SecureGBMError(f"min_data_per_group is {self.min_data_per_group}; give at least 1")


@dataclass(frozen=True)
class SplitRules:
    """LightGBM's regularisation parameters, under LightGBM's names.

    Args:
        lambda_l1: L1 penalty on leaf values, >= 0.
        lambda_l2: L2 penalty on leaf values, >= 0.
        min_data_in_leaf: Fewest rows of a leaf, >= 1 (rows are estimated from hessians, as LightGBM does).
        min_sum_hessian_in_leaf: Least sum of hessians of a leaf, > 0.
        min_gain_to_split: A split must gain more than this, >= 0.
        categories: The rules of categorical splits.
    """

    lambda_l1: float = 0.0
    lambda_l2: float = 0.0
    min_data_in_leaf: int = 20
    min_sum_hessian_in_leaf: float = 1e-3
    min_gain_to_split: float = 0.0
    categories: CategoryRules = field(default_factory=CategoryRules)

    def __post_init__(self) -> None:
        require_finite(self)
        if min(self.lambda_l1, self.lambda_l2, self.min_gain_to_split, self.min_sum_hessian_in_leaf) < 0:
            raise SecureGBMError("lambda_l1, lambda_l2, min_sum_hessian_in_leaf and min_gain_to_split must be >= 0")
        if self.min_data_in_leaf < 1:
            raise SecureGBMError(f"min_data_in_leaf is {self.min_data_in_leaf}; give at least 1")

    def for_share(self, share: float) -> "SplitRules":
        """The rules for a leaf of which only a share of the rows is seen: `min_data_in_leaf` counts all rows."""
        return replace(self, min_data_in_leaf=max(1, round(self.min_data_in_leaf * share)))

    def threshold_l1(self, gradient: Floats) -> Floats:
        """Soft threshold sign(G) max(0, |G| - lambda_l1)."""
        if self.lambda_l1 == 0.0:
            return gradient
        return np.sign(gradient) * np.maximum(0.0, np.abs(gradient) - self.lambda_l1)

    def gain(self, gradient: Floats, hessian: Floats) -> Floats:
        """A leaf's gain T(G)^2 / (H + lambda_l2)."""
        shrunk = self.threshold_l1(gradient)
        return shrunk * shrunk / (hessian + self.lambda_l2)

    def output(self, gradient: float, hessian: float, bounds: Bounds | None = None, l2: float | None = None) -> float:
        """A leaf's value -T(G) / (H + l2), within bounds; l2 is `lambda_l2` where not given."""
        l2 = self.lambda_l2 if l2 is None else l2
        value = float(-self.threshold_l1(np.float64(gradient)) / (hessian + l2))  # type: ignore[arg-type]
        return value if bounds is None else min(max(value, bounds[0]), bounds[1])

    def bounded_gain(self, gradient: Floats, hessian: Floats, bounds: Bounds) -> tuple[Floats, Floats]:
        """Gain of leaves whose value is kept within bounds, -(2 T(G) w + (H + lambda_l2) w^2), and the values w."""
        shrunk, total = self.threshold_l1(gradient), hessian + self.lambda_l2
        value = np.clip(-shrunk / total, *bounds)
        return -(2.0 * shrunk * value + total * value * value), value

    def split_gain(
        self, left: float, left_h: float, right: float, right_h: float, bounds: Bounds | None, l2: float
    ) -> float:
        """Gain of both children of a categorical split, with its own L2 penalty."""
        rules = self if l2 == self.lambda_l2 else replace(self, lambda_l2=l2)
        g, h = np.array([left, right]), np.array([left_h, right_h])
        one, other = (rules.gain(g, h) if bounds is None else rules.bounded_gain(g, h, bounds)[0]).tolist()
        return one + other
