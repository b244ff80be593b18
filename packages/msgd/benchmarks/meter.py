"""What noise and the meter cost: 32 steps of a training loop, of which the meter measures one, as by default."""

from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import msgd
from claimkit import bench
from msgd.train.models import make_model

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"
ROWS, STEPS = 64, 32


class Transformer(nn.Module):
    """Two layers of width 64 over 32 tokens, four heads, and ten classes of a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(1_000, 64)
        layer = nn.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)
        self.body, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(64, 10)

    def forward(self, ids):
        """Scores of the classes."""
        return self.head(self.body(self.words(ids)).mean(1))


def loop(build, x, noisy=False, metered=False):
    torch.manual_seed(0)
    model, y = build(), torch.arange(ROWS) % 10
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    mean = msgd.NoisyMean(msgd.match(msgd.MiniBatchFisher(50_000, ROWS), ROWS // 4)) if noisy else torch.mean
    meter = msgd.NoiseScale(model.parameters()) if metered else None

    def steps():
        for _ in range(STEPS):
            losses = cross_entropy(model(x), y, reduction="none")
            if meter is not None:
                meter.probe(losses)
            optimizer.zero_grad()
            mean(losses).backward()
            if meter is not None:
                meter.step(ROWS)
            optimizer.step()

    return steps


def main():
    torch.set_num_threads(1)
    networks = {
        "ConvSmall": (lambda: make_model("conv-small", (1, 28, 28), 10), torch.randn(ROWS, 1, 28, 28)),
        "a transformer": (Transformer, torch.randint(1_000, (ROWS, 32))),
    }
    for name, (build, x) in networks.items():
        candidates = {
            "plain": loop(build, x),
            "with noise": loop(build, x, noisy=True),
            "with NoiseScale, every 32nd step": loop(build, x, metered=True),
        }
        result = bench.alternate(f"{STEPS} steps of {name}, {ROWS} rows", candidates, rounds=11, warmup=1, cpu=True)
        bench.save(result, RESULTS / f"meter-{name.split()[-1].lower()}.json")


if __name__ == "__main__":
    main()
