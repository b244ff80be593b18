"""DELTA in a Hugging Face Trainer: the regulariser enters compute_loss."""

import tempfile
from typing import Any

import torch
from transformers import ResNetConfig, ResNetForImageClassification, Trainer, TrainingArguments

from delta import DELTA

LAYERS = ("resnet.encoder.stages.0", "resnet.encoder.stages.1")


class FineTuned(Trainer):
    """A Trainer that keeps the feature maps of a source network."""

    def __init__(self, *args: Any, source: torch.nn.Module, alpha: float = 0.01, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reg, self.alpha = DELTA(source, LAYERS), alpha

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        """Cross-entropy plus the regulariser."""
        outputs = model(**inputs)
        loss = outputs.loss + self.alpha * self.reg(inputs["pixel_values"], model)
        return (loss, outputs) if return_outputs else loss


def main(steps: int = 5) -> int:
    """Fine-tune a small random ResNet on random images; returns the number of steps."""
    config = ResNetConfig(
        num_channels=3, embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=5
    )  # yours: ResNetForImageClassification.from_pretrained("microsoft/resnet-50")
    source, model = ResNetForImageClassification(config), ResNetForImageClassification(config)
    images = [{"pixel_values": torch.randn(3, 32, 32), "labels": i % 5} for i in range(32)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=8, report_to=[], use_cpu=True, save_strategy="no",
            disable_tqdm=True,
        )  # fmt: skip
        trainer = FineTuned(model, arguments, train_dataset=images, source=source)
        trainer.train()
        return trainer.state.global_step


if __name__ == "__main__":
    print(f"{main()} steps")
