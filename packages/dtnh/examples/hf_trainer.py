"""Hugging Face Trainer: decay towards the base model's weights instead of towards zero, by a callback or guarded."""

import tempfile

import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

import dtnh


class DecayToBase(TrainerCallback):
    """The simplest: what ``weight_decay`` does, towards the pretrained weights; follows the schedule of the rate."""

    def __init__(self, alpha: float = 0.1, head: str | tuple[()] = ()):  # of a language model nothing is left out
        self.alpha, self.head, self.pull = alpha, head, None

    def on_train_begin(self, args, state, control, model=None, optimizer=None, **_):
        """Remember where the model starts."""
        self.pull = dtnh.L2SP(model, alpha=self.alpha, head=self.head, optimizer=optimizer)

    def on_optimizer_step(self, args, state, control, **_):
        """Called after the optimiser's step, before gradients are cleared."""
        self.pull.step()


class GuardedTrainer(Trainer):
    """L2-SP in closed form, guarded. Set ``weight_decay=0``: AdamW's own decay would escape the guard."""

    def __init__(self, *args, alpha: float = 0.1, head: str = "classifier", **kwargs):
        super().__init__(*args, **kwargs)
        self.guard = dtnh.Guard(self.model, head=head)
        self.pull = dtnh.L2SP(self.model, alpha=alpha / self.args.gradient_accumulation_steps, head=head)
        self.seen = 0

    def training_step(self, model, inputs, num_items_in_batch=None):
        """One micro-batch; the last of each step projects."""
        model.train()
        inputs = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs)
        parts = self.args.gradient_accumulation_steps
        self.seen += 1
        self.guard.backward(loss / parts, reg_grad=self.pull.grad(), accumulate=self.seen % parts > 0)
        return loss.detach() / parts


class Sentences(Dataset):
    """Random tokens with labels."""

    def __len__(self):
        return 32

    def __getitem__(self, i):
        generator = torch.Generator().manual_seed(i)
        return {"input_ids": torch.randint(50, (6,), generator=generator), "labels": torch.tensor(i % 2)}


def main(steps: int = 3) -> dtnh.Conflicts:
    """Train on random sentences."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForSequenceClassification(BertConfig(vocab_size=50, **sizes))  # your from_pretrained(...)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=steps,
            per_device_train_batch_size=4,
            gradient_accumulation_steps=2,
            weight_decay=0.0,
            learning_rate=1e-2,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = GuardedTrainer(model, arguments, train_dataset=Sentences())
        trainer.train()
        decayed = Trainer(model, arguments, train_dataset=Sentences(), callbacks=[DecayToBase(head="classifier")])
        decayed.train()
    print(f"{len(trainer.guard.conflicts)} steps, conflict in {trainer.guard.conflicts.rate:.0%}")
    return trainer.guard.conflicts


if __name__ == "__main__":
    main()
