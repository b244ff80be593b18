"""A recipe as torchtune writes them: AdamW, accumulation, clipping, a schedule; all weights of a language model move.

Decay towards the pretrained weights enters with two lines. Unguarded it is one: ``pull.step()`` after ``optimizer.step()``.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import dtnh


class LanguageModel(nn.Module):
    """One layer, output weights tied to the embedding."""

    def __init__(self, words: int = 50, width: int = 16):
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.0, batch_first=True)

    def forward(self, tokens):
        """Logits of the next words, ``(batch, token, word)``."""
        mask = nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])
        return self.layer(self.embedding(tokens), src_mask=mask) @ self.embedding.weight.T


def main(steps: int = 3, accumulation: int = 2) -> dtnh.Conflicts:
    """Train on random words."""
    torch.manual_seed(0)
    model = LanguageModel()  # your pretrained model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, (step + 1) / 2))
    pull = dtnh.L2SP(model, alpha=1.0, head=(), optimizer=optimizer)  # new; () since nothing of the model is new
    guard = dtnh.Guard(model, head=(), optimizer=optimizer)  # new
    for _ in range(steps):
        for part in range(accumulation):
            tokens = torch.randint(50, (4, 9))
            loss = cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()) / accumulation
            pulled = {n: t / accumulation for n, t in pull.grad().items()}
            guard.backward(loss, reg_grad=pulled, accumulate=part < accumulation - 1)  # instead of loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()  # the guard applies the decay here
        schedule.step()
        optimizer.zero_grad()
    print(f"{len(guard.conflicts)} steps, conflict in {guard.conflicts.rate:.0%}")
    return guard.conflicts


if __name__ == "__main__":
    main()
