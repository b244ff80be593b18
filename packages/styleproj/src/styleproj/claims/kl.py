"""P4 and P20: what the KL term of the loss does to the content, at an equal budget of training and at equal style loss."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from claimkit import run
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import paired_difference
from claimkit.style.images import write_image
from claimkit.style.metrics import ssim_edge
from styleproj import plots
from styleproj.claims.common import NAMES, Pairs, held_out, network, pairs
from styleproj.operator.baselines import TRANSFORMS
from styleproj.samples import CONTENTS, STYLES, photograph
from styleproj.training.decoder import TrainingSettings, train
from styleproj.training.losses import content_loss, kl_loss, moments, style_loss

HELD_OUT_SMALL = Pairs(side=128, contents=2, styles=3)
HELD_OUT = Pairs(side=256, contents=6, styles=4, development=True)
QUANTITIES = ("KL", "content loss", "edges (SSIM)", "style loss")


@dataclass(frozen=True)
class Ablation(Settings):
    """Trainings that differ in nothing but the weight of the KL term; seeds draw crops and the order of styles."""

    seeds: int = 3
    threads: int | None = 1
    weights: tuple[float, ...] = (0.0, 1.0, 10.0)
    steps: int = 60
    crop: int = 64
    batch: int = 4
    style_crops: int = 64
    development: bool = False
    pairs: Pairs = HELD_OUT_SMALL


@dataclass(frozen=True)
class Equal(Ablation):
    """The training with the KL term, and trainings without it that differ in the weight of the style: a front."""

    seeds: int = 6
    weights: tuple[float, ...] = (10.0,)
    styles: tuple[float, ...] = (2.0, 1.4, 1.0, 0.7)
    """Weights of the style without the KL term; with it the default's."""


def measure(s: Ablation, job: Job) -> Values:
    """Quantities of held-out pairs for every weight: name -> weights x pairs."""
    found = _trained(s, job, [(TrainingSettings.style_weight, weight) for weight in s.weights])
    return {"weights": list(s.weights), "quantities": found, "encoder": NAMES["slim"]}


def measure_equal(s: Equal, job: Job) -> Values:
    """The same for every weight of the style without the KL term, and last for the training with it."""
    arms = [(weight, 0.0) for weight in s.styles] + [(TrainingSettings.style_weight, s.weights[-1])]
    return {"styles": list(s.styles), "quantities": _trained(s, job, arms), "encoder": NAMES["slim"]}


def _trained(s: Ablation, job: Job, arms: Sequence[tuple[float, float]]) -> dict[str, list[list[float]]]:
    """Quantities of held-out pairs after training with each weight of the style and of the KL term."""
    found: dict[str, list[list[float]]] = {q: [] for q in QUANTITIES}
    with tempfile.TemporaryDirectory() as folder:
        content, style = _training_files(s, job, Path(folder))
        for i, (style_weight, kl_weight) in enumerate(arms):
            net = network("slim", job)
            settings = TrainingSettings(
                steps=s.steps,
                batch=s.batch,
                crop=s.crop,
                style_weight=style_weight,
                kl_weight=kl_weight,
                style_crops=s.style_crops,
                sample_every=0,
                checkpoint_every=s.steps,
                seed=job.seed,
            )
            run.seed_everything(job.seed)
            train(net, [net.encoder], content, style, Path(folder) / f"run-{i}", settings)
            net.eval()
            rows: dict[str, list[float]] = {q: [] for q in QUANTITIES}
            with torch.inference_mode():
                for _, x, t in pairs(s.pairs, job):
                    y = net(x, t, lambda a, b: TRANSFORMS["projection"](a, b, 1.0)).clamp(0, 1)
                    levels, wanted, target = net.encoder(y), net.encoder(x), net.encoder(t)
                    rows["KL"].append(float(kl_loss(levels[-1], wanted[-1])))
                    rows["content loss"].append(float(content_loss(levels[-1], wanted[-1])))
                    rows["edges (SSIM)"].append(ssim_edge(y[0].cpu(), x[0].cpu()))
                    rows["style loss"].append(float(style_loss(moments(levels), moments(target))))
            for q in QUANTITIES:
                found[q].append(rows[q])
    return found


def _training_files(s: Ablation, job: Job, folder: Path) -> tuple[list[Path], list[Path]]:
    """Photographs to train on; those of the libraries leave out what is measured on."""
    if s.development:
        kinds = ("photos", "paintings")
        found = [sorted(job.assets.find(f"images/{k}").glob("*.jpg")) for k in kinds]
        held = [{Path(n).name for n in held_out(k, job)} for k in kinds]
        photos, paintings = ([f for f in files if f.name not in names] for files, names in zip(found, held, strict=True))
        return photos, paintings
    written: list[list[Path]] = []
    for kind, names in (("content", CONTENTS[s.pairs.contents :]), ("style", STYLES[s.pairs.styles :])):
        files = []
        for name in names:
            path = folder / kind / f"{name}.png"
            write_image(path, photograph(name, 256))
            files.append(path)
        written.append(files)
    return written[0], written[1]


def judge(values: Sequence[Values]) -> Verdict:
    """The largest weight against none, paired by seed and picture."""
    effects = {}
    for q in QUANTITIES:
        none, most = (np.concatenate([v["quantities"][q][i] for v in values]) for i in (0, -1))
        effects[q] = paired_difference(most, none, f"{q}, largest weight minus none")
    kl, edges = effects["KL"], effects["edges (SSIM)"]
    told = "; ".join(str(e) for e in effects.values())
    means = {
        q: [np.mean([v["quantities"][q][i] for v in values]) for i in range(len(values[0]["weights"]))] for q in QUANTITIES
    }
    by_weight = ", ".join(f"{w:g}: {m:.3g}" for w, m in zip(values[0]["weights"], means["KL"], strict=True))
    reason = f"{told}. KL by weight {by_weight}. Encoder: {values[0]['encoder']}."
    lower, keeps = (kl.high or 0) < 0, (edges.low or 0) > 0
    kind = "reproduced" if lower and keeps else "direction reproduced" if lower else "not reproduced"
    return Verdict(kind, reason, kl)


def draw(values: Sequence[Values], path: Path) -> None:
    """Quantities by weight."""
    weights = values[0]["weights"]
    panels = {
        q: {f"{w:g}": [x for v in values for x in v["quantities"][q][i]] for i, w in enumerate(weights)} for q in QUANTITIES
    }
    plots.bars(panels, path, f"Held-out pairs after training with each weight of the KL term; {values[0]['encoder']}")


EXPERIMENTS = [
    Experiment(
        Claim(
            id="P4",
            title="The KL term keeps the content",
            paper="2003.07694",
            where="abstract: a KL term for semantic structure",
            statement="Training with a Kullback-Leibler term between content and result keeps the content better.",
            criterion="After equal training, over 3 seeds and held-out pairs, the largest weight (10) against none: the "
            "KL distance is lower and the edges' SSIM higher, each with a 95 % interval on its side of zero; the first "
            "alone is direction reproduced.",
            tolerance="Intervals of paired differences; the edges are measured on pixels, which the term does not see.",
        ),
        {
            "smoke": Ablation(
                seeds=1, steps=2, crop=32, style_crops=8, weights=(0.0, 10.0), pairs=Pairs(side=64, contents=1)
            ),
            "small": Ablation(),
            "full": Ablation(
                weights=(0.0, 0.1, 1.0, 10.0), steps=1500, crop=128, style_crops=400, development=True, pairs=HELD_OUT
            ),
        },
        measure,
        judge,
        draw,
    )
]
