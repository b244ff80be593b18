"""The variance that NoisyMean brings into a step, against the one asked for: writes the table of docs/msgd/variance.md.

Weights of all ranks and passes are added, row by row, so that streams that repeat show; in one process, which takes the
place of one rank after the other.
"""

import math
from pathlib import Path

import torch

import msgd
from claimkit.report.tables import update_block
from msgd.loop import loss

PAGE = Path(__file__).parents[3] / "docs" / "msgd" / "variance.md"
SUMS, BATCH = 20_000, 5
KINDS = (msgd.MiniBatchFisher, msgd.MiniBatchCov)
ROWS, RANKS, PASSES = (7, 50, 300, 2_000), (1, 2, 4, 8), (1, 2, 4, 8)


def ratio(kind, rows, ranks, passes):
    """Measured over asked variance of the summed weights, minus one; its standard error is 1 %."""
    law = msgd.match(kind(n=10**9, size=1_000), BATCH)
    total, steps = rows * ranks * passes, math.ceil(SUMS / rows)
    sums = torch.zeros(steps, rows, dtype=torch.float64)
    for rank in range(ranks):
        loss.place = lambda group=None, rank=rank: (rank, ranks)
        noisy_mean = msgd.NoisyMean(law, seed=1, accumulate=passes)
        for step in sums:
            for _ in range(passes):
                step += noisy_mean._weights(torch.ones(rows), noisy_mean._state) / (ranks * passes) - 1 / total
    asked = (1 / BATCH - 1 / total) / total * ranks * passes
    return float(sums.square().mean()) / asked - 1


def main():
    torch.set_num_threads(1)
    lines = ["| rows a pass | ranks | Fisher: passes 1 2 4 8 | Cov: passes 1 2 4 8 |", "|---|---|---|---|"]
    worst = 0.0
    for rows in ROWS:
        for ranks in RANKS:
            cells = []
            for kind in KINDS:
                off = [100 * ratio(kind, rows, ranks, passes) for passes in PASSES]
                worst = max(worst, *map(abs, off))
                cells.append(" ".join(f"{x:+.1f}" for x in off))
            lines.append(f"| {rows:,} | {ranks} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    count = len(ROWS) * len(RANKS) * len(PASSES) * len(KINDS)
    lines += ["", f"Largest of {count}: {worst:.1f} %, {worst / 100 * (SUMS / 2) ** 0.5:.1f} standard errors."]
    update_block(PAGE, "variance", "\n".join(lines))


if __name__ == "__main__":
    main()
