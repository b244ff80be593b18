"""The reference of lossless mode: LightGBM itself, on both parties' columns, with the same rounded gradients."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from securegbm.config import TrainConfig
from securegbm.model.export import to_lightgbm_text
from securegbm.model.halves import FeatureHalf, LabelHalf
from securegbm.trees.objectives import Floats, to_fixed_point


@dataclass(frozen=True)
class Parity:
    """Splits compared and how many differ in feature, threshold or default direction."""

    splits: int
    mismatches: int
    largest_difference: float


def lightgbm_settings(config: TrainConfig) -> dict[str, object]:
    """The parameters of `lightgbm.train` that mean the same as `config`."""
    return {
        "num_leaves": config.growth.num_leaves,
        "max_depth": config.growth.max_depth,
        "learning_rate": config.learning_rate,
        "lambda_l1": config.rules.lambda_l1,
        "lambda_l2": config.rules.lambda_l2,
        "min_data_in_leaf": config.rules.min_data_in_leaf,
        "min_sum_hessian_in_leaf": config.rules.min_sum_hessian_in_leaf,
        "min_gain_to_split": config.rules.min_gain_to_split,
        "max_bin": config.bins.max_bin,
        "min_data_in_bin": config.bins.min_data_in_bin,
        "zero_as_missing": config.bins.zero_as_missing,
        "bagging_fraction": config.draws.bagging_fraction,
        "bagging_freq": config.draws.bagging_freq if config.draws.bagging_fraction < 1.0 else 0,
        "bagging_seed": config.draws.bagging_seed,
        "feature_fraction": config.draws.feature_fraction,
        "feature_fraction_seed": config.draws.feature_fraction_seed,
        **vars(config.rules.categories),
        "feature_pre_filter": False,
        "enable_bundle": False,
        "force_col_wise": True,
        "deterministic": True,
        "num_threads": 1,
        "verbose": -1,
    }


def reference_model(
    values: Floats,
    labels: Floats,
    config: TrainConfig,
    weights: Floats | None = None,
    monotone: dict[int, int] | None = None,
    categorical: tuple[int, ...] = (),
) -> str:
    """Train LightGBM with a custom objective that returns the rounded derivatives; its model text.

    Args:
        values: `(rows, columns)`, the label party's columns first.
        labels: `(rows,)`.
        config: The run; `row_fraction` and `goss` are not supported here.
        weights: `(rows,)`.
        monotone: Direction of the columns that have one.
        categorical: Columns of categories.
    """
    import lightgbm

    objective, n_rows = config.objective, len(labels)
    classes = objective.num_class
    weights = np.ones(n_rows) if weights is None else weights
    initial = objective.initial(labels, weights) if config.boost_from_average else np.zeros(classes)

    def derivatives(scores: Floats, _data: object) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        table = scores.reshape(n_rows, classes).T if scores.ndim == 2 else scores.reshape(classes, n_rows)
        out = []
        for found, least in zip(objective.derivatives(table, labels, weights), (None, 1), strict=True):
            rounded = [to_fixed_point(row, config.privacy_bits, least).values.astype(np.float32) for row in found]
            out.append(rounded[0] if classes == 1 else np.stack(rounded, axis=1))
        return out[0], out[1]

    start = np.repeat(initial, n_rows) if initial.any() else None
    settings = lightgbm_settings(config) | {"num_class": classes}
    if monotone:
        settings["monotone_constraints"] = [monotone.get(column, 0) for column in range(values.shape[1])]
    settings |= {"objective": "none"}
    data = lightgbm.Dataset(values, labels, init_score=start, categorical_feature=list(categorical), params=settings)
    booster = lightgbm.Booster(settings, data)
    vars(booster)["_Booster__set_objective_to_none"] = True  # it would be configured anew, and draw a tree's columns more
    for _ in range(config.n_estimators):
        if booster.update(fobj=derivatives):
            break
    return booster.model_to_string()


def splits_of(model: str) -> list[list[tuple[str, str, str]]]:
    """(feature, threshold or words of the categories that go left, decision type) of every split of every tree."""
    out = []
    for block in model.split("\nTree=")[1:]:
        rows = []
        for name in ("split_feature", "threshold", "decision_type"):
            found = re.search(rf"^{name}=(.*)$", block, re.MULTILINE)
            rows.append(found.group(1).split() if found else [])
        if found := re.search(r"^cat_boundaries=(.*)\ncat_threshold=(.*)$", block, re.MULTILINE):
            ends, words = (part.split() for part in found.groups())
            sets = ["|".join(words[int(a) : int(b)]) for a, b in pairwise(ends)]
            rows[1] = [sets[int(at)] if int(kind) & 1 else at for at, kind in zip(rows[1], rows[2], strict=True)]
        out.append(list(zip(*rows, strict=True)))
    return out


def compare(label: LabelHalf, feature: FeatureHalf | Sequence[FeatureHalf], reference: str, values: Floats) -> Parity:
    """Compare our joint model with LightGBM's, split by split, and their predictions on `values`.

    The reference was trained from given starting scores, which its text does not hold; they are added back.
    """
    import lightgbm

    ours = to_lightgbm_text(label, feature, consent=True)
    pairs = list(zip(splits_of(ours), splits_of(reference), strict=False))
    total = sum(max(len(a), len(b)) for a, b in pairs)
    wrong = sum(max(len(a), len(b)) - sum(x == y for x, y in zip(a, b, strict=False)) for a, b in pairs)
    wrong += abs(len([t for t in splits_of(ours) if t]) - len([t for t in splits_of(reference) if t]))
    mine = lightgbm.Booster(model_str=ours).predict(values, raw_score=True)
    theirs = np.asarray(lightgbm.Booster(model_str=reference).predict(values, raw_score=True))
    if not label.trees:
        return Parity(total, wrong, 0.0)
    start = label.initial if label.objective.num_class > 1 else label.initial[0]
    return Parity(total, wrong, float(np.abs(np.asarray(mine) - theirs - start).max()))
