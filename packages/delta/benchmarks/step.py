"""A step of fine-tuning: plain, with L2-SP, with DELTA, with DELTA and cached features; time and peak memory."""

import multiprocessing
from pathlib import Path

import torch

from claimkit import bench, run
from claimkit.transfer.data import Images, View
from claimkit.transfer.loop import FineTuner, FineTuning
from claimkit.transfer.networks import create
from claimkit.transfer.regularizers import L2SP, Regularizer
from claimkit.transfer.tasks import Split
from delta import DELTA, FeatureCache, layers_for

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
KINDS = ("plain", "L2-SP", "DELTA", "DELTA, cached features")
NETWORKS = {"ResNet-20, 32 x 32": ("cifar-resnet20", 32), "ResNet-18, 64 x 64": ("resnet18", 64)}
BATCH = 32


def stepper(kind, arch, size):
    """Function of one step, from a network of its own; the regulariser is warm: hooks set, features cached."""
    torch.manual_seed(0)
    x, y = torch.randn(2 * BATCH, 3, size, size), torch.arange(2 * BATCH) % 10
    images = Images(x, y, tuple(map(str, range(10))))
    source, model = create(arch), create(arch)
    model.load_state_dict(source.state_dict())
    cache = FeatureCache(2 * BATCH) if kind.endswith("cached features") else None
    if kind == "plain":
        regularizer = Regularizer()
    elif kind == "L2-SP":
        regularizer = L2SP(source, 0.01)
    else:
        regularizer = DELTA(source, layers_for(source, x), alpha=1e-4, cache=cache)
    settings = FineTuning(10**6, BATCH, 1e-4, augment=False)
    view = View(size, flip=False, mean=(0.0,), std=(1.0,))
    tuner = FineTuner(model, Split(images, images, images), view, settings, regularizer)
    regularizer.watch(tuner.model).__enter__()
    return tuner.advance


def memory(kind, arch, size, answer):
    """Peak memory of a process that makes five steps, in MB."""
    torch.set_num_threads(1)
    step = stepper(kind, arch, size)
    for _ in range(5):
        step()
    answer.put(run.peak_memory_mb())


def main():
    torch.set_num_threads(1)
    for name, (arch, size) in NETWORKS.items():
        steps = {kind: stepper(kind, arch, size) for kind in KINDS}
        result = bench.alternate(f"a step of {name}, {BATCH} images", steps, rounds=25, warmup=5, cpu=True)
        bench.save(result, RESULTS / f"step-{arch}.json")
        for kind in KINDS:
            context = multiprocessing.get_context("spawn")
            answer = context.Queue()
            process = context.Process(target=memory, args=(kind, arch, size, answer))
            process.start()
            peak = answer.get()
            process.join()
            print(f"  {kind:<22} peak memory of its process {peak:.0f} MB")


if __name__ == "__main__":
    main()
