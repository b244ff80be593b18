"""N2: what PhotoNet's three ideas are good for: skips with instance norm, bottleneck aggregation, several transfers."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job
from claimkit.statistics import paired_difference
from claimkit.style.metrics import ssim_edge
from claimkit.training.crops import Crops
from photonet.claims import drawing
from photonet.claims.common import (
    Method,
    Pairs,
    averages,
    by_network,
    judge,
    judged_by,
    network,
    photo_pairs,
    style_distance,
    training_photographs,
)
from photonet.network.architecture import PRESETS, Architecture
from photonet.network.auto_encoder import Decoder, PhotoNet
from photonet.training.decoders import train
from photonet.training.settings import TrainingSettings

FULL = PRESETS["photonet"]
REMOVED: dict[str, tuple[str, ...]] = {
    "PhotoNet": (),
    "without INSL": tuple(n for n in FULL.operators if n.startswith(("in", "skip"))),
    "skips without norm": tuple(n for n in FULL.operators if n.startswith("in")),
    "without BFA": tuple(n for n in FULL.operators if n.startswith("bfa")),
    "one transfer": tuple(n for n in FULL.transfers if n != "stage1.T"),
}
"""Operators that each variant lacks; one transfer is that at the bottleneck, after the aggregation."""


@dataclass(frozen=True)
class Ablation(Pairs):
    """All decoders start from the shipped PhotoNet's weights and are trained on by the same crops, equally long."""

    contents: int = 3
    styles: int = 2
    steps: int = 30
    batch: int = 4
    crop: int = 128
    """Side in pixels: norms see what they see in whole pictures only where crops are not small."""


def variant(name: str) -> Architecture:
    """PhotoNet but for what the variant lacks."""
    return Architecture.of(n for n in FULL.operators if n not in REMOVED[name])


def inherited(parent: Decoder, architecture: Architecture) -> Decoder:
    """A decoder with fewer operators and the parent's weights wherever it has the same inputs."""
    child = Decoder(architecture, parent.channels)
    widths = {5: parent.channels[4], **{k: parent.channels[k - 1] for k in (4, 3, 2, 1)}}
    blocks = (5, *parent.architecture.aggregated)
    kept = [torch.full((widths[k],), k == 5 or k in architecture.aggregated, dtype=torch.bool) for k in blocks]
    with torch.no_grad():
        for name, layer in child.named_children():
            source = parent.get_submodule(name)
            if not isinstance(layer, nn.Conv2d) or not isinstance(source, nn.Conv2d):
                continue
            weight: Tensor = source.weight
            weight = weight[:, torch.cat(kept)] if name == "pyramid" else weight[:, : layer.in_channels]
            if weight.shape == layer.weight.shape:
                layer.weight.copy_(weight)
                layer.load_state_dict(layer.state_dict() | {"bias": source.bias})
    return child


def trained(s: Ablation, job: Job) -> dict[str, PhotoNet]:
    """The variants, trained on together; those that differ in transfers alone share their weights."""
    net = network("photonet", job)
    names = {variant(n).bits: n for n in reversed(REMOVED) if n != "one transfer"}
    decoders = {n: inherited(net.decoder, Architecture(b)) for b, n in names.items()}
    with tempfile.TemporaryDirectory() as folder:
        pictures = training_photographs(s, job, Path(folder))
        settings = TrainingSettings(
            steps=s.steps,
            batch=s.batch,
            crop=s.crop,
            learning_rate=3e-4,
            image_weight=5.0,
            sample_every=0,
            checkpoint_every=s.steps,
            seed=job.seed,
        )
        train(net.encoder, decoders, Crops(pictures, seed=job.seed), Path(folder) / "run", settings, device=job.device)
    networks = {n: PhotoNet(net.encoder, d).eval().requires_grad_(False) for n, d in decoders.items()}
    once = Decoder(variant("one transfer"), net.encoder.channels)
    once.load_state_dict(networks["PhotoNet"].decoder.state_dict())
    networks["one transfer"] = PhotoNet(net.encoder, once.to(job.device)).eval().requires_grad_(False)
    return {n: networks[n] for n in REMOVED}


def measure(s: Ablation, job: Job) -> Values:
    """SSIM of edges to the content and Gram distance to the style, one a pair, by variant."""
    methods: dict[str, Method] = {n: by_network(net) for n, net in trained(s, job).items()}
    look = judge(s, job)
    found: dict[str, dict[str, list[float]]] = {k: {n: [] for n in methods} for k in ("edges", "style")}
    pairs = photo_pairs(s, job)
    for _, content, style in pairs:
        target = look(style)
        for name, method in methods.items():
            picture = method(content, style)
            found["edges"][name].append(ssim_edge(picture, content))
            found["style"][name].append(style_distance(look(picture), target))
    return {**found, "pairs": [n for n, *_ in pairs], "steps": s.steps, "encoders": judged_by(s)}


def judge_ablation(values: Sequence[Values]) -> Verdict:
    """Three removals, each judged by what the part is there for."""
    edges, style = ({n: [x for v in values for x in v[k][n]] for n in REMOVED} for k in ("edges", "style"))
    insl = paired_difference(edges["PhotoNet"], edges["without INSL"], "SSIM of edges, with - without INSL")
    bfa = paired_difference(edges["PhotoNet"], edges["without BFA"], "SSIM of edges, with - without BFA")
    many = paired_difference(style["one transfer"], style["PhotoNet"], "Gram distance, one - all transfers")
    clear = [e.low is not None and e.low > 0 for e in (insl, bfa, many)]
    reason = (
        f"{insl}; {bfa}; {many}. SSIM of edges: {averages(edges)}. Gram distance: {averages(style)}. "
        f"{len(edges['PhotoNet'])} pairs, {values[0]['steps']} steps of training each. {values[0]['encoders']}"
    )
    kind = "reproduced" if all(clear) else "direction reproduced" if sum(clear) == 2 else "not reproduced"
    return Verdict(kind, reason, insl)


def draw(values: Sequence[Values], path: Path) -> None:
    """Both quantities by variant."""
    labels = {"edges": "SSIM of edges to the content", "style": "Gram distance to the style"}
    panels = {label: {n: [x for v in values for x in v[k][n]] for n in REMOVED} for k, label in labels.items()}
    drawing.bars(panels, path, f"PhotoNet without its parts, {values[0]['steps']} steps of training each")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N2",
            title="Each part matters",
            paper="1907.03118",
            where="the network's three ideas: INSL, BFA, transfer before every stage",
            statement="Skips with instance norm (INSL), aggregation at the bottleneck (BFA), and several transfers matter.",
            criterion="Decoders start from the shipped PhotoNet's weights and are trained on equally long, on the same "
            "crops. Paired 95 % intervals over photo pairs exclude 0: SSIM of edges to the content is higher with INSL "
            "than without, and with BFA than without; the Gram distance to the style is lower with all transfers than with "
            "one, at the bottleneck. Direction: two of three.",
            tolerance="Intervals by bootstrap over pairs; a part that makes no difference within them does not matter here.",
        ),
        {
            "smoke": Ablation(contents=2, styles=1, longest=96, steps=1, batch=1, crop=32),
            "small": Ablation(),
            "full": Ablation(longest=512, development=True, judge="vgg19", steps=300, batch=8),
        },
        measure,
        judge_ablation,
        draw,
    )
]
