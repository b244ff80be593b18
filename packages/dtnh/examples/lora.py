"""Low-rank adapters, or any other part of the parameters: only what trains is guarded."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

import dtnh


class LowRank(nn.Module):
    """A frozen linear layer plus a product of two thin matrices, the second of which starts at zero."""

    def __init__(self, layer: nn.Linear, rank: int = 4) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(rank, layer.in_features) / rank)
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))
        self.on = True

    def forward(self, x: Tensor) -> Tensor:
        """Of the layer, plus the adapter where it is on."""
        return self.layer(x) + (x @ self.a.T @ self.b.T if self.on else 0)


def main(steps: int = 5) -> dtnh.Conflicts:
    """Train adapters that must stay near what the network said without them."""
    torch.manual_seed(0)
    network = nn.Sequential(LowRank(nn.Linear(8, 32)), nn.ReLU(), LowRank(nn.Linear(32, 10)))
    trainable = [(n, p) for n, p in network.named_parameters() if p.requires_grad]
    guard = dtnh.Guard(trainable, "layer")
    optimizer = torch.optim.AdamW([p for _, p in trainable], lr=0.05, weight_decay=0.0)
    for _ in range(steps):
        x, y = torch.randn(16, 8), torch.randint(10, (16,))
        for m in (network[0], network[2]):
            m.on = False
        with torch.no_grad():
            before = log_softmax(network(x), 1)
        for m in (network[0], network[2]):
            m.on = True
        optimizer.zero_grad()
        logits = network(x)
        stay = 0.5 * kl_div(log_softmax(logits, 1), before, reduction="batchmean", log_target=True)  # any scalar will do
        guard.backward(cross_entropy(logits, y), stay)
        optimizer.step()
    rates = ", ".join(f"{name} {rate:.0%}" for name, rate in guard.conflicts.rates.items())
    print(f"{len(guard.conflicts)} steps, conflicts by layer: {rates}")
    return guard.conflicts


if __name__ == "__main__":
    main()
