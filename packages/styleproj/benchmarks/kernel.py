"""The projection against everything else that computes it, and against AdaIN and WCT, on real features.

``--cpu`` counts CPU seconds instead of wall seconds and writes nothing: for a machine that is busy.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from claimkit import bench
from claimkit.experiment import Job
from claimkit.style.transforms import Statistics, wct
from styleproj import SortedStyle, kernels, project
from styleproj.claims.speed import real_features
from styleproj.operator.baselines import adain_reference, efdm, histogram_matching

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
CPU = "--cpu" in sys.argv


def argsort_scatter(x, s):
    """Two sorts of torch and a scatter: what the definition says."""
    rows, t = x.flatten(-2), s.flatten(-2).sort(-1).values
    return torch.empty_like(rows).scatter_(-1, rows.argsort(dim=-1, stable=True), t).view_as(x)


def numpy_scatter(x, s):
    """The same in NumPy, whose stable sort of float32 is a radix sort only for 16 bits."""
    rows, t = x.flatten(-2).numpy(), np.sort(s.flatten(-2).numpy(), -1)
    z = np.empty_like(rows)
    np.put_along_axis(z, np.argsort(rows, -1, kind="stable"), t, -1)
    return torch.from_numpy(z).view_as(x)


def flat_index_scatter(x, s):
    """One flat index of all channels, built in NumPy and assigned through."""
    c, n = x.shape[1], x[0, 0].numel()
    rows, t = x.reshape(c, n).numpy(), np.sort(s.reshape(c, n).numpy(), 1)
    index = (np.arange(c)[:, None] * n + np.argsort(rows, 1)).reshape(-1)
    z = np.empty(c * n, np.float32)
    z[index] = t.reshape(-1)
    return torch.from_numpy(z).view_as(x)


def work(x, s, slow=True):
    cached, known = SortedStyle.of(s), Statistics.of(s)
    others = {
        "torch argsort (stable), sort, scatter": lambda: argsort_scatter(x, s),
        "NumPy stable argsort, sort, put_along_axis": lambda: numpy_scatter(x, s),
        "NumPy argsort, flat index": lambda: flat_index_scatter(x, s),
        "scikit-image match_histograms": lambda: histogram_matching(x, s),
        "WCT (claimkit), style cached": lambda: wct(x, known),
    }
    return {
        "EFDM's operator: sort, sort, argsort, gather": lambda: efdm(x, s),
        "project": lambda: project(x, s),
        "project, ties averaged": lambda: project(x, s, ties="average"),
        "project, style cached": lambda: project(x, cached),
        "project, style cached, alpha 0.6": lambda: project(x, cached, 0.6),
        "AdaIN: var_mean, var_mean, addcmul": lambda: adain_reference(x, s),
        **(others if slow else {}),
    }


def run(name, title, x, s, rounds, slow=True):
    assert torch.equal(project(x, s), argsort_scatter(x, s))
    result = bench.alternate(title, work(x, s, slow), rounds=rounds, cpu=CPU)
    if not CPU:
        bench.save(result, RESULTS / f"{name}.json")


def main():
    kernels.warmup()
    with torch.inference_mode():
        x, s = real_features(512, 4, Job(0))
        zeros = float((x == 0).float().mean())
        threads = torch.get_num_threads()
        run("kernel", f"512 x 64 x 64 features after ReLU ({zeros:.0%} zeros), {threads} threads", x, s, 15)
        dense = torch.randn(2, 1, 512, 64, 64)
        run("kernel-dense", f"512 x 64 x 64 normal noise, {threads} threads", *dense, 9, slow=False)
        x, s = real_features(256, 4, Job(0))
        run("kernel-small", f"512 x 32 x 32 features after ReLU, {threads} threads", x, s, 15, slow=False)
        x, s = real_features(1024, 1, Job(0))
        run("kernel-large", f"128 x 128 x 128 features after ReLU, {threads} threads", x, s, 15, slow=False)


if __name__ == "__main__":
    main()
