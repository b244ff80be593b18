"""Which rows a tree sees: a fresh uniform subset (the paper's stochastic mode), GOSS, or LightGBM's own bag."""

import numpy as np
import numpy.typing as npt

from securegbm.config import TrainConfig
from securegbm.errors import SecureGBMError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


def held_out(n_rows: int, config: TrainConfig) -> Flags:
    """Rows kept from training, for early stopping; drawn from the seed.

    Raises:
        SecureGBMError: If the share of so many rows is none of them, or all.
    """
    out = np.zeros(n_rows, dtype=bool)
    count = round(n_rows * config.validation_fraction)
    if config.validation_fraction and not 0 < count < n_rows:
        raise SecureGBMError(
            f"a validation_fraction of {config.validation_fraction} holds out {count} of {n_rows} rows; give one that "
            "leaves rows on both sides, or 0"
        )
    out[np.random.default_rng([config.seed, 1]).permutation(n_rows)[:count]] = True
    return out


def draw_rows(config: TrainConfig, iteration: int, train: Flags, gradient: Floats, hessian: Floats) -> tuple[Flags, Floats]:
    """The rows of one iteration.

    The draw depends on the seed and the iteration only, so a resumed run draws the same rows.

    Args:
        config: The run.
        iteration: Boosting iteration.
        train: `(rows,)` rows that may be drawn.
        gradient: `(classes, rows)`.
        hessian: `(classes, rows)`.

    Returns:
        `(rows,)` which rows are in, and `(rows,)` the factor on their gradients and hessians (GOSS amplifies the
        small ones to keep the sums unbiased).
    """
    factor = np.ones(len(train))
    if config.exact_sampling:
        return train, factor
    rows = np.flatnonzero(train)
    chosen = np.zeros(len(train), dtype=bool)
    if not config.approximates:
        chosen[rows[config.draws.rows(len(rows), iteration)]] = True
        if not chosen.any():
            raise SecureGBMError(f"a bag of {config.draws.bagging_fraction} of {len(rows)} rows came out empty; raise it")
        return chosen, factor
    generator = np.random.default_rng([config.seed, 2, iteration])
    if config.goss is None:
        count = max(1, round(len(rows) * config.row_fraction))
        chosen[generator.permutation(rows)[:count]] = True
        return chosen, factor
    top, other = config.goss
    size = np.abs(gradient * hessian).sum(axis=0)[rows]
    order = rows[np.argsort(-size, kind="stable")]
    n_top, n_other = max(1, int(len(rows) * top)), max(1, int(len(rows) * other))
    rest = generator.permutation(order[n_top:])[:n_other]
    chosen[order[:n_top]] = True
    chosen[rest] = True
    factor[rest] = (len(rows) - n_top) / max(len(rest), 1)
    return chosen, factor
