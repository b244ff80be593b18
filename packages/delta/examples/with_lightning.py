"""DELTA in a LightningModule: the regulariser enters training_step."""

import lightning
import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from claimkit.transfer.networks import create, replace_head
from delta import DELTA


class FineTuned(lightning.LightningModule):
    """A network that is fine-tuned near its source."""

    def __init__(self, source: torch.nn.Module, model: torch.nn.Module, alpha: float = 0.01) -> None:
        super().__init__()
        self.model, self.alpha = model, alpha
        self.reg = DELTA(source)  # no module: it is neither trained nor saved with the model

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _index: int) -> torch.Tensor:
        """Cross-entropy plus the regulariser."""
        x, y = batch
        return cross_entropy(self.model(x), y) + self.alpha * self.reg(x, self.model)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """SGD as in the released code."""
        return torch.optim.SGD(self.model.parameters(), 0.01, 0.9)


def main(steps: int = 10) -> int:
    """Fine-tune a network on random images; returns the number of steps."""
    lightning.seed_everything(0, verbose=False)
    images = TensorDataset(torch.randn(64, 3, 32, 32), torch.randint(5, (64,)))
    source = create("cifar-resnet8")
    trainer = lightning.Trainer(
        max_steps=steps, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(FineTuned(source, replace_head(create("cifar-resnet8"), 5)), DataLoader(images, batch_size=16))
    return trainer.global_step


if __name__ == "__main__":
    print(f"{main()} steps")
