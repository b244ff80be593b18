"""Whole pictures a second, style prepared, one a call; and one picture of 4096 x 4096 in pieces."""

from pathlib import Path

from paperkit import bench
from styleproj import Stylizer, kernels
from styleproj.samples import photograph, square

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


def main():
    kernels.warmup()
    stylizer = Stylizer(device="cpu")
    style = stylizer.prepare(photograph("ihc"))
    contents = {side: square(photograph("astronaut"), side) for side in (256, 512, 1024)}
    candidates = {f"{side} x {side}": lambda c=c: stylizer.stylize(c, style) for side, c in contents.items()}
    bench.save(bench.alternate("a picture, style prepared", candidates, rounds=9), RESULTS / "pictures.json")
    large = square(photograph("astronaut"), 4096)
    candidates = {"pieces of 512": None, "pieces of 1024": None}
    for name in candidates:
        other = Stylizer(stylizer.network, device="cpu", tile=int(name.split()[-1]))
        candidates[name] = lambda other=other: other.stylize(large, style)
    bench.save(bench.alternate("4096 x 4096 pixels", candidates, rounds=3, warmup=0), RESULTS / "large.json")


if __name__ == "__main__":
    main()
