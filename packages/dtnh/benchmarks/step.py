"""A fine-tuning step: plain, with a guarded regulariser, and with torchjd's PCGrad of the same two losses."""

import argparse
import copy
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torchjd.aggregation import PCGrad
from torchjd.autojac import backward, jac_to_grad
from torchvision.models import resnet18

import dtnh
from claimkit import bench
from claimkit.transfer.networks import CifarResNet, head_name, replace_head

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"


class Setting:
    """A source, a student a little away from it, a batch, and an optimiser that is the same for every candidate."""

    def __init__(self, source: nn.Module, size: int, batch: int, device: str) -> None:
        torch.manual_seed(0)
        self.source = source.to(device)
        self.model = replace_head(copy.deepcopy(source), 10).to(device)
        with torch.no_grad():
            for p in self.model.parameters():
                p.add_(0.01 * p.std().nan_to_num() * torch.randn_like(p))
        self.x, self.y = torch.randn(batch, 3, size, size, device=device), torch.randint(10, (batch,), device=device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), 1e-6, 0.9, foreach=True)
        self.pull = dtnh.L2SP(self.model, source, 0.1)
        self.maps = dtnh.FeatureMaps(source, alpha=0.01)
        self.guard, self.featmap_guard = dtnh.Guard(self.model, check=False), dtnh.Guard(self.model, check=False)
        self.device = device

    def loss(self) -> torch.Tensor:
        """The task loss of a new forward pass."""
        self.optimizer.zero_grad()
        return cross_entropy(self.model(self.x), self.y)

    def finish(self) -> None:
        """Step, and wait for the device."""
        self.optimizer.step()
        if self.device == "cuda":
            torch.cuda.synchronize()

    def plain(self) -> None:
        """Fine-tuning without a regulariser."""
        self.loss().backward()
        self.finish()

    def l2sp(self) -> None:
        """L2-SP through autograd."""
        (self.loss() + self.pull.value()).backward()
        self.finish()

    def guarded_l2sp(self) -> None:
        """L2-SP in closed form, guarded."""
        self.guard.backward(self.loss(), reg_grad=self.pull.grad())
        self.finish()

    def pcgrad_l2sp(self) -> None:
        """PCGrad of torchjd on both losses."""
        backward([self.loss(), self.pull.value()], inputs=self.model.parameters(), parallel_chunk_size=1)
        jac_to_grad(self.model.parameters(), PCGrad())
        self.finish()

    def featmap(self) -> None:
        """Feature maps added."""
        with self.maps.watch(self.model):
            (self.loss() + self.maps(self.x)).backward()
        self.finish()

    def guarded_featmap(self) -> None:
        """Feature maps guarded, one forward pass."""
        with self.maps.watch(self.model):
            self.featmap_guard.backward(self.loss(), self.maps(self.x))
        self.finish()

    def pcgrad_featmap(self) -> None:
        """PCGrad of torchjd on both losses."""
        with self.maps.watch(self.model):
            backward([self.loss(), self.maps(self.x)], inputs=self.model.parameters(), parallel_chunk_size=1)
            jac_to_grad(self.model.parameters(), PCGrad())
        self.finish()


def memory(s: Setting) -> str:
    """What the guard and the closed form of L2-SP keep from step to step, in copies of the parameters."""
    s.guarded_l2sp()
    kept = sum(t.numel() * t.element_size() for t in s.pull.source.values())
    kept += sum(t.numel() * t.element_size() for t in s.guard._r.values())
    head = head_name(s.model)
    shared = sum(p.numel() * p.element_size() for n, p in s.model.named_parameters() if not n.startswith(f"{head}."))
    return f"L2-SP and its guard keep {kept / 1e6:.2f} MB between steps: {kept / shared:.3f} copies of the shared parameters"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name, source, size, batch in (("ResNet-20", CifarResNet(20), 32, 32), ("ResNet-18", resnet18(), 64, 32)):
        s = Setting(source, size, batch, arguments.device)
        title = f"{name}, {size} x {size}, batch {batch}"
        candidates = {
            "plain step": s.plain,
            "L2-SP by autograd": s.l2sp,
            "guarded L2-SP": s.guarded_l2sp,
            "torchjd PCGrad, L2-SP": s.pcgrad_l2sp,
            "feature maps": s.featmap,
            "guarded feature maps": s.guarded_featmap,
            "torchjd PCGrad, feature maps": s.pcgrad_featmap,
        }
        cpu = arguments.device == "cpu"
        result = bench.alternate(f"a step of {title}", candidates, rounds=arguments.rounds, cpu=cpu)
        bench.save(result, arguments.out / f"step-{name.lower()}-{arguments.device}.json")
        for base in ("L2-SP", "feature maps"):
            ours, theirs = (result.timings[k].seconds[0] for k in (f"guarded {base}", f"torchjd PCGrad, {base}"))
            print(f"  torchjd PCGrad / guard, {base}: {theirs / ours:.2f}")
        print(f"  {memory(s)}")


if __name__ == "__main__":
    main()
