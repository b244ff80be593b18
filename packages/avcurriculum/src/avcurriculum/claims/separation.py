"""E4: separation conditioned on what was learned without labels, against blind, random, class-supervised and ideal masks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum import audio
from avcurriculum.claims.common import (
    PAPER,
    PRETRAINED_RUN,
    Data,
    Scenes,
    crossed_interval,
    curriculum_network,
    pack,
    scenes,
)
from avcurriculum.metrics import audible_mean, bss_eval, si_sdr
from avcurriculum.network.model import AVNet
from avcurriculum.scenes.packs import Split
from avcurriculum.scenes.pools import Pool, audio_features
from avcurriculum.separation import nmf
from avcurriculum.separation.mixing import Conditions, Mix, constant_conditions, draw_mix, seen_centers, train_separator
from avcurriculum.separation.mixing import stems as mix_stems
from avcurriculum.separation.separate import Separator, SeparatorSettings, ideal_masks
from avcurriculum.training.trainer import Training
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job

GAIN, SHARE = 0.5, 0.5
TRAINED = ("audiovisual", "random-visual", "blind", "one-hot")


@dataclass(frozen=True, kw_only=True)
class SeparationSettings(Scenes):
    """Sizes of the separators."""

    separator_steps: int = 150
    separator_batch: int = 8
    mixes: int = 40
    ngf: int = 8


def measure(s: SeparationSettings, job: Job) -> Values:
    """Train a separator a condition on the same mixes, and measure all on the same held-out mixes."""
    data = scenes(s, job)
    learned, _ = curriculum_network(s, data, job.seed)
    untrained = data.network(s.architecture, job.seed)
    train, test = pack(s, job, "train"), pack(s, job, "test")
    classes = len(train.classes)
    size = {"one-hot": classes, "blind": 2}
    mixes = [draw_mix(test, data.pools["test", 1], np.random.default_rng([7, i])) for i in range(s.mixes)]
    stems = mix_stems(test, mixes)
    estimates: dict[str, Tensor] = {}
    for arm in TRAINED:
        net = {"audiovisual": learned, "random-visual": untrained}.get(arm)
        size_of = size.get(arm, s.architecture.dim)
        settings = SeparatorSettings(size_of, ngf=s.ngf, masks="independent", blind=arm == "blind")
        torch.manual_seed(job.seed)
        separator = Separator(settings)
        shown, told = data.pools["train", 1], _conditions(arm, net, data, "train", classes)
        train_separator(separator, train, shown, told, s.separator_steps, batch=s.separator_batch, seed=job.seed)
        conditions = _conditions(arm, net, data, "test", classes)(mixes, stems.sum(1))
        with torch.inference_mode():
            estimates[arm] = separator.separate(stems.sum(1), conditions)
    estimates["nmf"] = nmf.separate(nmf.learn(train, job.seed), stems.sum(1), [m.classes for m in mixes])
    estimates |= {f"ideal {kind} mask": ideal_masks(stems, kind) for kind in ("ratio", "binary")}
    before = [audible_mean(bss_eval(x, np.broadcast_to(x.sum(0), x.shape)).sdr) for x in stems.numpy()]
    return {"arms": {arm: _scores(stems.numpy(), e.numpy(), before, arm == "blind") for arm, e in estimates.items()}}


def _conditions(arm: str, net: AVNet | None, data: Data, split: Split, classes: int) -> Conditions:
    """What tells the sources apart: nothing, the class, or the visual centre that is nearest to the sound."""
    if net is None:
        return constant_conditions(torch.eye(classes if arm == "one-hot" else 2), arm == "one-hot")
    frozen = net.architecture.backbone == "pretrained"
    features = (lambda mel: audio_features(data.model, mel)) if frozen else None
    return _nearest(net, data.pools[split, 1], data.solo[split], split != "train", features)


@torch.no_grad()
def _nearest(
    net: AVNet, shown: Pool, solo: Mapping[int, Tensor], heard: bool, features: Callable[[Tensor], Tensor] | None
) -> Conditions:
    """The rule of this claim's records: nearest to any sound of the mixture, or, in training, to the source's own."""
    seen = seen_centers(net.eval(), shown)
    alone = {c: net.centers(net.embed_audio(x), 1).centers for c, x in solo.items()}

    def conditions(mixes: Sequence[Mix], mixture: Tensor) -> Tensor:
        with torch.no_grad():
            mel = audio.log_mel(mixture, net.mel)
            centers = net.centers(net.embed_audio(features(mel) if features else mel), 2).centers if heard else None
            rows = []
            for n, m in enumerate(mixes):
                for c, i, p in zip(m.classes, m.sounds, m.pictures, strict=True):
                    d = torch.cdist(seen[p], alone[c][i] if centers is None else centers[n])
                    rows.append(seen[p][d.amin(1).argmin()])
            return torch.stack(rows).unflatten(0, (-1, 2))

    return conditions


def _scores(stems: NDArray, estimates: NDArray, before: Sequence[float], free: bool) -> dict[str, list[float]]:
    """Means over the two sources of each mix; a blind separator is given the better order."""
    out: dict[str, list[float]] = {"nsdr": [], "sdr": [], "sir": [], "sar": [], "si_sdr": []}
    for s, e, mixture in zip(stems, estimates, before, strict=True):
        if free:
            e = max((e, e[::-1]), key=lambda x: audible_mean(si_sdr(s, x)))
        sdr, sir, sar = (audible_mean(x) for x in bss_eval(s, e))
        row = (sdr - mixture, sdr, sir, sar, audible_mean(si_sdr(s, e)))
        for name, value in zip(out, row, strict=True):
            out[name].append(round(min(max(value, -99.0), 99.0), 3))
    return out


def judge(values: Sequence[Values]) -> Verdict:
    """At least 0.5 dB over blind and random-visual, and half of what class labels give."""
    if len(values) < 2:
        return Verdict("not run", "An interval over seeds needs at least two of them.")
    nsdr = {arm: np.array([v["arms"][arm]["nsdr"] for v in values]) for arm in values[0]["arms"]}
    gains = {
        arm: crossed_interval(nsdr["audiovisual"] - nsdr[arm], f"audiovisual - {arm}, NSDR", "dB")
        for arm in ("blind", "random-visual")
    }
    share = float(nsdr["audiovisual"].mean() / nsdr["one-hot"].mean()) if nsdr["one-hot"].mean() > 0 else float("nan")
    clear = all(g.low is not None and g.low > 0 for g in gains.values())
    large = all(g.value >= GAIN for g in gains.values())
    kind = "not reproduced"
    if nsdr["one-hot"].mean() <= GAIN:
        kind = "not run"
    elif clear and large and share >= SHARE:
        kind = "reproduced"
    elif clear:
        kind = "direction reproduced"
    note = " Class labels themselves give no gain at this scale: nothing follows." if kind == "not run" else ""
    means = ", ".join(f"{arm} {x.mean():.2f}" for arm, x in nsdr.items())
    reason = f"{gains['random-visual']}. Share of the one-hot gain {share:.2f}. Mean NSDR in dB: {means}.{note}"
    return Verdict(kind, reason, gains["blind"])


def draw(values: Sequence[Values], path: Path) -> None:
    """NSDR and SI-SDR of every arm."""
    from avcurriculum import plots

    titles = {"NSDR": "nsdr", "SI-SDR": "si_sdr"}
    means = {t: {arm: [np.mean(v["arms"][arm][k]) for v in values] for arm in values[0]["arms"]} for t, k in titles.items()}
    plots.bars(means, "dB", path)


CLAIM = Claim(
    id="E4",
    title="Separation by looking",
    paper=PAPER,
    where="abstract",
    statement="Sounds are separated with the audiovisual network's visual features, learned without labels, comparably to "
    "separation that has visual supervision.",
    criterion="On held-out mixes of two sounds, conditioning on the learned visual centre gives at least 0.5 dB more NSDR "
    "than blind separation (given the better order) and than an untrained network's centre, 95 % intervals over seeds x "
    "mixes excluding zero, and at least half of the NSDR that the class as a one-hot condition gives.",
    tolerance="0.5 dB is about the least that is heard; half of the supervised gain is what we call comparable.",
)

EXPERIMENTS = [
    Experiment(
        CLAIM,
        {
            "smoke": SeparationSettings(seeds=1, steps=6, scenes=64, held_out=48, separator_steps=2, mixes=3),
            "small": SeparationSettings(
                seeds=2,
                steps=120,
                scenes=512,
                held_out=100,
                training=Training(batch=48),
                separator_steps=100,
                mixes=24,
                ngf=4,
            ),
            "full": SeparationSettings(
                **PRETRAINED_RUN,
                seeds=3,
                training=Training(learning_rate=1e-3, validate_every=100),
                separator_steps=1500,
                mixes=120,
            ),
        },
        measure,
        judge,
        draw,
    )
]
