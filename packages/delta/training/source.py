"""Trains the source of C13 to C15: a narrow ResNet of ten layers on half of Tiny ImageNet's classes.

    python source.py DATA OUT.pt

DATA holds ``tiny-imagenet-200`` as its makers give it. Of the 500 training pictures of each of the 100 classes that no
target has (``FolderSet.halves``), 450 train and 50 are held out. Crops of 48 pixels for the first 11 of the 12 epochs, which
costs less, of 64 in the last; both mirrored at random; one thread, 12 minutes of one core. The state is saved beside OUT
after every epoch, and an interrupted run goes on from there. Prints the accuracy on the pictures held out, and the digest
of the weights.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from claimkit.assets import Assets
from claimkit.files import atomic_path, sha256
from claimkit.transfer.arena.folders import SETS
from claimkit.transfer.arena.ring import shots
from claimkit.transfer.data import Images, View
from claimkit.transfer.loop import score
from claimkit.transfer.networks import create
from claimkit.transfer.tasks import Split

BATCH, RATE, DECAY, SMOOTHING = 128, 0.2, 5e-4, 0.1
SMALL, LARGE = View(48), View(64, pad=6)
EPOCHS, ON_SMALL, CYCLE, COOLING = 12, 11, 16, 3
"""Epochs in all and on small crops; the rate's cycle is one of 16, which a linear cooling over the last three cuts off."""


def pictures(data: Path) -> Split:
    """Of the source's classes 450 pictures each to train on, and 50 held out (12 and 38, which nothing chooses by)."""
    tiny = SETS["tiny-imagenet"]
    folder, names = tiny.find(Assets(data))
    return shots(tiny.read(folder, LARGE.size, tiny.halves(names)[0]), 0, 450)


class Training:
    """SGD with Nesterov's momentum and one cycle of the rate; the network's passes in bfloat16."""

    def __init__(self, images: Images) -> None:
        torch.manual_seed(0)
        self.images, self.epoch = images, 0
        network: Any = create("small-resnet")
        self.network: nn.Module = network.to(memory_format=torch.channels_last)
        self.steps = len(images) // BATCH
        self.optimizer = torch.optim.SGD(self.network.parameters(), RATE, 0.9, weight_decay=DECAY, nesterov=True)
        cycle = torch.optim.lr_scheduler.OneCycleLR
        self.schedule = cycle(self.optimizer, RATE, CYCLE * self.steps, pct_start=0.15, cycle_momentum=False)

    def advance(self) -> float:
        """One epoch, a function of the state and the epoch's number; the mean loss."""
        generator = torch.Generator().manual_seed(self.epoch)
        view = SMALL if self.epoch < ON_SMALL else LARGE
        total = 0.0
        self.network.train()
        for rows in torch.randperm(len(self.images), generator=generator)[: self.steps * BATCH].split(BATCH):
            x = view.train(self.images.x[rows], generator).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                logits = self.network(x)
            loss = cross_entropy(logits.float(), self.images.y[rows], label_smoothing=SMOOTHING)
            self.optimizer.zero_grad()
            loss.backward()
            left = (EPOCHS * self.steps - self.schedule.last_epoch) / (COOLING * self.steps)
            self.optimizer.param_groups[0]["lr"] = self.schedule.get_last_lr()[0] * min(1.0, left)
            self.optimizer.step()
            self.schedule.step()
            total += loss.item() / self.steps
        self.epoch += 1
        return total

    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds besides the number of the epoch."""
        return {"network": self.network, "optimizer": self.optimizer, "schedule": self.schedule}

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        with atomic_path(path) as temporary:
            torch.save({n: p.state_dict() for n, p in self.parts().items()} | {"epoch": self.epoch}, temporary)

    def load(self, path: Path) -> None:
        """Take up a checkpoint."""
        state = torch.load(path, weights_only=True)
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.epoch = state["epoch"]


def main(data: Path, out: Path) -> None:
    """Train, write, and say how good the source is on the pictures of its classes that were held out."""
    torch.set_num_threads(1)
    split = pictures(data)
    training, checkpoint = Training(split.train), out.with_suffix(".checkpoint")
    if checkpoint.exists():
        training.load(checkpoint)
    while training.epoch < EPOCHS:
        begin = time.process_time()
        loss = training.advance()
        training.save(checkpoint)
        print(f"epoch {training.epoch}: loss {loss:.3f}, {time.process_time() - begin:.0f} s of CPU", flush=True)
    found = [score(training.network, part, LARGE).accuracy for part in (split.validation, split.test)]
    with atomic_path(out) as temporary:
        torch.save(training.network.state_dict(), temporary)
    print(f"held out: {100 * (0.24 * found[0] + 0.76 * found[1]):.1f} % of 5,000 pictures; sha256 {sha256(out)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
