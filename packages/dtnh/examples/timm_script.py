"""A timm training script: the backward pass of its loop is the line that changes."""

import timm
import torch
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from torch.nn.functional import cross_entropy

import dtnh


def main(steps: int = 3) -> dtnh.Conflicts:
    """Fine-tune a network of random weights on random images."""
    torch.manual_seed(0)
    source = timm.create_model("resnet10t", pretrained=False)  # pretrained=True with a network
    model = timm.create_model("resnet10t", pretrained=False, num_classes=5)
    model.load_state_dict({k: v for k, v in source.state_dict().items() if not k.startswith("fc.")}, strict=False)
    guard = dtnh.Guard(model, head="fc")
    regularizer = dtnh.FeatureMaps(source, ["layer3.0.conv2", "layer4.0.conv2"], alpha=0.01)
    pull = dtnh.L2SP(model, source, alpha=0.01, head="fc")
    optimizer = create_optimizer_v2(model, "sgd", lr=0.01, weight_decay=0.0, momentum=0.9)
    scheduler = CosineLRScheduler(optimizer, t_initial=steps, t_in_epochs=False)
    with regularizer.watch(model):
        for step in range(steps):
            x, y = torch.randn(4, 3, 64, 64), torch.randint(5, (4,))  # your loader
            optimizer.zero_grad()
            loss = cross_entropy(model(x), y)
            guard.backward(loss, regularizer(x), pull.grad())  # was: loss.backward()
            optimizer.step()
            scheduler.step_update(step)
    print(f"{len(guard.conflicts)} steps, conflict in {guard.conflicts.rate:.0%}")
    return guard.conflicts


if __name__ == "__main__":
    main()
