"""Mini-batch SGD itself, in replicas."""

from collections.abc import Callable

import numpy as np


def run_sgd(
    gradient: Callable[[np.ndarray, np.ndarray], np.ndarray],
    samples: int,
    start: np.ndarray,
    *,
    step: float,
    batch: int,
    steps: int,
    seed: int = 0,
    label: Callable[[np.ndarray], np.ndarray] | None = None,
    burn: int = 0,
    every: int = 10,
) -> tuple[np.ndarray, np.ndarray]:
    """Replicas of mini-batch SGD, the algorithm itself.

    Batches of samples drawn with replacement, no differential equation.

    Args:
        gradient: ``(theta (R, d), index (R, b)) -> (R, b, d)``, the gradients of the drawn samples.
        samples: how many there are.
        start: ``(R, d)``.
        step: eta.
        batch: b.
        steps: how many.
        seed: any integer.
        label: function of parameters returning integers from 0; None for no occupancy.
        burn: steps before the first look.
        every: steps between two looks.

    Returns:
        The last parameters ``(R, d)`` and each replica's share of looks in each label ``(R, labels)`` (empty without
        a label).
    """
    rng = np.random.default_rng(seed)
    theta = np.array(start, float)
    counts = np.zeros((len(theta), 0))
    for k in range(1, steps + 1):
        index = rng.integers(0, samples, (len(theta), batch))
        theta = theta - step * gradient(theta, index).mean(1)
        if label is not None and k > burn and k % every == 0:
            which = np.asarray(label(theta))
            wider = int(which.max()) + 1 - counts.shape[1]
            if wider > 0:
                counts = np.pad(counts, ((0, 0), (0, wider)))
            counts[np.arange(len(theta)), which] += 1
    return theta, counts / np.maximum(counts.sum(1, keepdims=True), 1)
