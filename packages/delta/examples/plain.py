"""DELTA in a loop of your own: three lines are new."""

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from claimkit.transfer.networks import create, replace_head
from delta import DELTA, channel_attention


def main(steps: int = 20) -> float:
    """Fine-tune a network on random images; returns the last loss."""
    torch.manual_seed(0)
    images = TensorDataset(torch.randn(64, 3, 32, 32), torch.randint(5, (64,)))
    loader = DataLoader(images, batch_size=16, shuffle=True)  # yours

    source = create("cifar-resnet8")  # yours: create("resnet50", "IMAGENET1K_V2")
    model = replace_head(create("cifar-resnet8"), 5)
    model.load_state_dict({k: v for k, v in source.state_dict().items() if "linear" not in k}, strict=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9)

    attention = channel_attention(source, loader, probe_epochs=2)  # new; save it with attention.to_json(path)
    reg = DELTA(source, attention=attention)  # new
    loss, done = torch.zeros(()), 0
    with reg.watch(model):
        while done < steps:
            for x, y in loader:
                loss = cross_entropy(model(x), y) + 0.01 * reg(x, model)  # new: the second term
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                done += 1
    return loss.item()


if __name__ == "__main__":
    print(f"last loss {main():.3f}")
