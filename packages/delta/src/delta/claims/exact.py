"""D1: the regulariser and the attention are what their formulas say, evaluated as literally as possible."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.transfer.maps.layers import layers_for
from claimkit.transfer.networks import CifarResNet, reinitialise
from delta.ablation import ablate, ablate_naive
from delta.attention import Attention
from delta.regularizer import DELTA


@dataclass(frozen=True)
class Exactness(Settings):
    """A random CIFAR ResNet with BatchNorm statistics of its own, and a student a little away from it."""

    threads: int | None = 1
    depth: int = 20
    batch: int = 8
    distance: float = 0.02


def literal(student: Sequence[Tensor], source: Sequence[Tensor], gaps: Sequence[Tensor]) -> float:
    """The formula term by term, in float64: attention by its definition, then every image, every channel, every pixel."""
    total = 0.0
    for fm_t, fm_s, gap in zip(student, source, gaps, strict=True):
        g = gap.double()
        z = (g - g.mean()) / ((g - g.mean()).square().mean()).sqrt()
        a = (z / 5).exp() / (z / 5).exp().sum()
        images, channels, height, width = fm_t.shape
        for b in range(images):
            for c in range(channels):
                distance = float((fm_t[b, c].double() - fm_s[b, c].double()).square().sum())
                total += 0.5 * channels * float(a[c]) * distance / (height * width)
    return total


def _outputs(model: nn.Module, layers: Sequence[str], x: Tensor) -> list[Tensor]:
    """Outputs of layers, by the plainest of hooks."""
    seen: list[Tensor] = []
    handles = [
        model.get_submodule(n).register_forward_hook(lambda _m, _i, o: seen.append(o.detach().clone())) for n in layers
    ]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return seen


def measure(s: Exactness, job: Job) -> Values:
    """Relative errors of the regulariser in train and eval mode, and the largest error of a channel's gap."""
    generator = torch.Generator().manual_seed(job.seed)
    x = torch.randn(s.batch, 3, 32, 32, generator=generator)
    y = torch.randint(10, (s.batch,), generator=generator)
    source = reinitialise(CifarResNet(s.depth), job.seed)
    with torch.no_grad():
        for _ in range(5):
            source.train()(x)  # running statistics that are not those of the batch
        source.eval()
        student = reinitialise(CifarResNet(s.depth), job.seed)
        student.load_state_dict(source.state_dict())
        for p in student.parameters():
            p.add_(s.distance * torch.randn(p.shape, generator=generator))
    layers = layers_for(source, x)
    fast, naive = ablate(source, layers, x, y), ablate_naive(source, layers, x, y)
    gap_error = max(float((a - b).abs().max()) for a, b in zip(fast, naive, strict=True))
    reg = DELTA(source, layers, Attention(tuple(naive), layers))
    errors: dict[str, float] = {}
    for mode in ("train", "eval"):
        student.train(mode == "train")
        expected = literal(_outputs(student, layers, x), _outputs(source, layers, x), naive)
        with reg.watch(student):
            student(x)
            errors[mode] = abs(reg(x, student).item() / expected - 1)
    identical = reg(x, source.eval()).item()
    return {
        "relative_error": errors,
        "gap_error": gap_error,
        "identical_in_eval": identical,
        "channels": len(torch.cat(fast)),
    }


def judge(values: Sequence[Values]) -> Verdict:
    """All errors within their bars."""
    worst = max(v["relative_error"][mode] for v in values for mode in ("train", "eval"))
    gap = max(v["gap_error"] for v in values)
    zero = max(abs(v["identical_in_eval"]) for v in values)
    good = worst <= 1e-6 and gap <= 1e-5 and zero == 0
    channels = values[0]["channels"]
    reason = f"Without each of {channels} channels the loss is right to {gap:.1e}; equal networks give {zero:g}."
    return Verdict("reproduced" if good else "not reproduced", reason, Estimate("relative error of the regulariser", worst))


EXPERIMENTS = [
    Experiment(
        Claim(
            id="D1",
            title="The formula, exactly",
            paper="1901.09229",
            where="section 3 as the released code has it",
            statement="The regulariser is 1/2 sum C a_c ||FM_c(w) - FM_c(w_s)||^2 / (H W), with a the softmax of a fifth of "
            "the standardised rises of the loss when a filter is removed.",
            criterion="Against a literal evaluation in float64, term by term: relative error at most 1e-6 with BatchNorm "
            "in train and in eval mode; every rise of the loss within 1e-5 of setting the filter to zero; exactly zero for "
            "equal networks in eval mode.",
            tolerance="Sums of 10^5 terms in float32 round at about 1e-7.",
        ),
        {"smoke": Exactness(depth=8, batch=4), "small": Exactness(seeds=3)},
        measure,
        judge,
    )
]
