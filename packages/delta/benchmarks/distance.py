"""The distance of two feature maps, forward and backward: in closed form, term by term through autograd, the peer's way.

Beside them the floor: as many bytes by plain copies, 2.5 of one map, of which one is into fresh memory as the gradient is.
"""

from pathlib import Path

import torch

from claimkit import bench
from claimkit.report.tables import update_block
from claimkit.transfer.maps.distance import feature_distance

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks" / "distance"
PAGE = Path(__file__).parents[3] / "docs" / "delta" / "concepts.md"
LAYOUTS = {"nchw": "NCHW", "channels_last": "channels last", "tokens": "tokens, channels last"}
BATCH, CHANNELS, SIDE = 16, 128, 28


def term_by_term(student, source, v, axis):
    """What the formula says, through autograd."""
    squares = (student - source).square().movedim(axis, -1)
    return (squares * v).sum() / (2 * student[0].numel() // len(v))


def norms_of_flattened_maps(student, source, v, axis):
    """As Transfer-Learning-Library computes it: the norm of each flattened map, squared."""
    a, b = (t.movedim(axis, 1).reshape(BATCH, CHANNELS, -1) for t in (student, source))
    return (v * torch.norm(a - b, 2, 2) ** 2 / a.shape[2]).sum() / 2


WAYS = {
    "closed form, here": feature_distance,
    "term by term, autograd": term_by_term,
    "norms of flattened maps, autograd": norms_of_flattened_maps,
}


def maps(layout):
    """Student and source ``(16, 128, 28, 28)`` or ``(16, 784, 128)``, and the axis of the channels."""
    g = torch.Generator().manual_seed(0)
    pair = [torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=g) for _ in range(2)]
    if layout == "nchw":
        return *pair, 1
    pair = [t.contiguous(memory_format=torch.channels_last) for t in pair]
    return (*pair, 1) if layout == "channels_last" else (*(t.permute(0, 2, 3, 1).flatten(1, 2) for t in pair), 2)


def both(way, student, source, v, axis):
    """Value and gradient."""
    student = student.detach().requires_grad_()
    value = way(student, source, v, axis)
    return value.item(), torch.autograd.grad(value, student)[0]


def copies(student, source, kept):
    """Four reads and one write of a map, as a distance and its gradient make them; a copy is one of each."""
    half = len(kept) // 2
    kept.copy_(source)
    kept[:half].copy_(source[:half])
    return student.clone()


def main():
    torch.set_num_threads(1)
    v = torch.rand(CHANNELS, generator=torch.Generator().manual_seed(1)) + 0.5
    for layout, name in LAYOUTS.items():
        student, source, axis = maps(layout)
        value, gradient = both(term_by_term, student.double(), source.double(), v.double(), axis)
        ours = both(feature_distance, student, source, v, axis)
        errors = abs(ours[0] / value - 1), float((ours[1] - gradient).abs().max() / gradient.abs().max())
        candidates = {k: lambda w=w, a=(student, source, v, axis): both(w, *a) for k, w in WAYS.items()}
        pair = student, source, torch.empty_like(source)
        candidates["floor: the same bytes by copies"] = lambda a=pair: copies(*a)
        title = f"distance of maps 16 x 128 x 28 x 28 and its gradient, {name} (error {max(errors):.0e})"
        bench.save(bench.alternate(title, candidates, rounds=31, warmup=5, cpu=True), RESULTS / f"{layout}.json")
    update_block(PAGE, "distance", bench.table(RESULTS))


if __name__ == "__main__":
    main()
