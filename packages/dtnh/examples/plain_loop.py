"""A plain loop: feature maps kept, guarded, with autocast, a GradScaler and clipping; runs in seconds on made-up images."""

import copy

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from torchvision.models import resnet18

import dtnh


def main(steps: int = 3) -> dtnh.Conflicts:
    """Fine-tune a network of random weights on random images."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = resnet18(weights=None).to(device)  # your pretrained network
    model = copy.deepcopy(source)
    model.fc = nn.Linear(512, 2, device=device)  # a new head, which no source knows
    loader = DataLoader(TensorDataset(torch.randn(4 * steps, 3, 64, 64), torch.randint(2, (4 * steps,))), batch_size=4)

    regularizer = dtnh.FeatureMaps(source, alpha=0.01)
    guard = dtnh.Guard(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scaler = torch.amp.GradScaler(device)
    with regularizer.watch(model):
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            optimizer.zero_grad()
            with torch.autocast(device, torch.bfloat16):
                loss = cross_entropy(model(x), y)
                penalty = regularizer(x)
            guard.backward(loss, penalty, scaler=scaler)
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
    print(f"{len(guard.conflicts)} steps, conflict in {guard.conflicts.rate:.0%}")
    return guard.conflicts


if __name__ == "__main__":
    main()
