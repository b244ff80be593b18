"""Methods compared in pairs: the same splits, heads, batches and augmentation, the weight chosen on validation images."""

from collections.abc import Sequence

from claimkit.transfer.arena.curves import Run
from claimkit.transfer.loop import DivergedError, FineTuning
from claimkit.transfer.maps.layers import layers_for
from claimkit.transfer.tasks import Task
from delta.methods import ALPHAS, GRIDS, Method, fine_tune, task_attention


def compare_task(
    task: Task,
    methods: Sequence[Method],
    settings: FineTuning,
    layers: Sequence[str] | None = None,
    device: str = "cpu",
    short: bool = False,
    feature_scale: float = 1.0,
) -> list[Run]:
    """Run every method at every weight of its grid, on the split of ``settings.seed``.

    Args:
        task: The source network and the target images.
        methods: Which; their grids are :data:`delta.methods.GRIDS`.
        settings: How to train, the same for all.
        layers: Where features are kept; :func:`delta.layers_for` when None.
        device: Where.
        short: Only the first weight of each grid.
        feature_scale: Factor of the weights on feature maps, for networks whose maps are not of order one.
    """
    layers = layers or layers_for(task.source.to(device), task.view.test(task.pool.x[:1]).to(device))
    attention = task_attention(task, settings.seed, layers, device=device) if "delta" in methods else None
    runs: list[Run] = []
    for method in methods:
        scale = feature_scale if method in ("fm", "delta") else 1
        grid = [scale * alpha for alpha in GRIDS.get(method, (ALPHAS[method],))]
        for alpha in grid[:1] if short else grid:
            row: Run = [task.name, method, alpha]
            try:
                r = fine_tune(task, method, alpha, settings, layers, attention, device).result
                runs.append([*row, r.validation.accuracy, r.test.accuracy, r.train.loss, 0])
            except DivergedError:
                chance = 1 / len(task.pool.classes)
                runs.append([*row, chance, chance, -1.0, 1])
    return runs
