"""Lightning: manual optimisation, L2-SP in closed form, guarded."""

import lightning as L
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import dtnh


class GuardedModule(L.LightningModule):
    """Any network and any source state; Lightning's own backward pass is not used."""

    def __init__(self, network: nn.Module, alpha: float = 0.1) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network = network
        self.alpha = alpha

    def on_fit_start(self) -> None:
        """Everything is on its device by now."""
        self.guard = dtnh.Guard(self.network)
        self.pull = dtnh.L2SP(self.network, alpha=self.alpha)  # anchored where training starts

    def training_step(self, batch, _):
        """One guarded step."""
        x, y = batch
        optimizer = self.optimizers()
        optimizer.zero_grad()
        loss = cross_entropy(self.network(x), y)
        self.guard.backward(loss, reg_grad=self.pull.grad())
        self.clip_gradients(optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")
        optimizer.step()

    def configure_optimizers(self):
        """No weight decay: it would escape the guard."""
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


def main(steps: int = 5) -> dtnh.Conflicts:
    """Train on random data."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    loader = DataLoader(TensorDataset(torch.randn(16 * steps, 8), torch.randint(3, (16 * steps,))), batch_size=16)
    module = GuardedModule(network)
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    print(f"{len(module.guard.conflicts)} steps, conflict in {module.guard.conflicts.rate:.0%}")
    return module.guard.conflicts


if __name__ == "__main__":
    main()
