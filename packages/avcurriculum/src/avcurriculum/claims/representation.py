"""E3: what the sound network learned without labels, as features of a linear classifier, and retrieval across modalities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avcurriculum import audio
from avcurriculum.claims.common import HARDEST, PACK, PAPER, Scenes
from avcurriculum.network.model import AVNet, build
from avcurriculum.scenes.composer import LEVELS, Composer
from avcurriculum.scenes.generated import generate_pack
from avcurriculum.scenes.packs import Pack, load_pack
from avcurriculum.scenes.pools import Pool, fill
from avcurriculum.training.curriculum import make
from avcurriculum.training.trainer import Training, train
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job
from claimkit.statistics import paired_difference

POINTS = 5.0
CLASSES = 8
"""Classes that are heard and seen, of the development pack as of the generated one."""


@dataclass(frozen=True, kw_only=True)
class RepresentationSettings(Scenes):
    """Folds of the classification; a network is trained for each."""

    folds: int = 5


def measure(s: RepresentationSettings, job: Job) -> Values:
    """Train on the sounds of all folds but one, classify and retrieve those of the one left out."""
    accuracy: dict[str, list[float]] = {"learned": [], "random": [], "mel": []}
    retrieval: dict[str, list[float]] = {}
    for fold in range(1, s.folds + 1):
        train_pack, test_pack = _packs(s, job, fold)
        random = build(s.architecture, job.seed)
        learned = build(s.architecture, job.seed)
        pools = {
            k: fill(Composer(train_pack, LEVELS[k], s.architecture.canvas, 10 * fold + k, learned.mel), s.scenes, learned)
            for k in range(1, HARDEST + 1)
        }
        settings = replace(s.training, seed=job.seed, validate_every=10**9)
        train(learned, pools, make("easy_to_hard", s.steps), settings)
        (x, y), (u, v) = labelled(train_pack), labelled(test_pack)
        for name, net in (("learned", learned), ("random", random), ("mel", None)):
            accuracy[name].append(100 * classify(features(x, net), y, features(u, net), v))
        if fold == s.folds:
            shuffled = build(s.architecture, job.seed)
            rng = np.random.default_rng(job.seed)
            wrong = {k: replace(p, audio=p.audio[torch.from_numpy(rng.permutation(len(p)))]) for k, p in pools.items()}
            train(shuffled, wrong, make("easy_to_hard", s.steps), settings)
            shown = fill(Composer(test_pack, 1, s.architecture.canvas, 5, learned.mel), s.held_out, learned)
            retrieval = {name: retrieve(net, shown) for name, net in (("learned", learned), ("shuffled pairs", shuffled))}
    return {"accuracy": accuracy, "retrieval": retrieval, "chance": 1 / CLASSES}


def _packs(s: RepresentationSettings, job: Job, fold: int) -> tuple[Pack, Pack]:
    if not s.real:
        return generate_pack("train", seed=fold), generate_pack("test", seed=fold)
    folder, others = job.assets.find(PACK), [f for f in range(1, 6) if f != fold]
    return load_pack(folder, "train", folds=others), load_pack(folder, "test", folds=[fold])


def labelled(pack: Pack) -> tuple[Tensor, NDArray[np.int64]]:
    """Waves and classes of all sounds, also of those without pictures."""
    groups = {**pack.sounds, **pack.offscreen}
    waves = np.concatenate([np.stack(groups[c]) for c in sorted(groups)])
    return torch.from_numpy(waves), np.repeat(np.arange(len(groups)), [len(groups[c]) for c in sorted(groups)])


@torch.inference_mode()
def features(waves: Tensor, net: AVNet | None) -> NDArray[np.float64]:
    """Mean and maximum over positions of the sound backbone's map; mean and deviation of log-mel without a network."""
    if net is None:
        mel = audio.log_mel(waves, audio.SMALL)
        return torch.cat([mel.mean(1), mel.std(1)], 1).numpy()
    maps = net.eval().audio(audio.log_mel(waves, net.mel)[:, None]).flatten(2)
    return torch.cat([maps.mean(-1), maps.amax(-1)], 1).numpy()


def classify(x: NDArray, y: NDArray, u: NDArray, v: NDArray) -> float:
    """Share of ``u`` that a linear SVM on ``x`` gives its class in ``v``; the strength by four folds of ``x``."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    steps = make_pipeline(StandardScaler(), LinearSVC(max_iter=20_000, random_state=0))
    search = GridSearchCV(steps, {"linearsvc__C": [1e-4, 1e-3, 1e-2, 1e-1]}, cv=4).fit(x, y)
    return float(np.mean(search.predict(u) == v))


@torch.inference_mode()
def retrieve(net: AVNet, shown: Pool) -> list[float]:
    """R@1 and mean average precision by class, picture to sound then sound to picture."""
    d = net.eval().match(shown.visual, shown.audio, 1).numpy()
    labels = np.array([c[0] for c in shown.classes])
    out = []
    for table in (d, d.T):
        np.fill_diagonal(table, np.inf)  # a scene's own sound is left out: what is found must be of the class, not the clip
        order = table.argsort(1)[:, :-1]
        right = labels[order] == labels[:, None]
        precision = right.cumsum(1) / np.arange(1, right.shape[1] + 1)
        out += [float(right[:, 0].mean()), float(((precision * right).sum(1) / right.sum(1).clip(1)).mean())]
    return out


def judge(values: Sequence[Values]) -> Verdict:
    """Five points over a random network, and retrieval above chance that is gone when pairs are shuffled."""
    learned, random, mel = (np.mean([v["accuracy"][n] for v in values], axis=0) for n in ("learned", "random", "mel"))
    gain = paired_difference(learned, random, "learned - random network", "points")
    found, control = (np.mean([v["retrieval"][n] for v in values], axis=0) for n in ("learned", "shuffled pairs"))
    chance = values[0]["chance"]
    above = found[0] > 1.5 * chance and found[2] > 1.5 * chance
    gone = control[0] < 1.5 * chance and control[2] < 1.5 * chance
    clear = (gain.low or 0) > 0
    kind = "not reproduced"
    if random.mean() > 100 - POINTS:
        kind = "not run"
    elif gain.value >= POINTS and clear and above and gone:
        kind = "reproduced"
    elif gain.value > 0 and above:
        kind = "direction reproduced"
    ceiling = "No gap at this scale: the random network is already right. " if kind == "not run" else ""
    reason = (
        f"{ceiling}Accuracy in per cent: learned {learned.mean():.1f}, random network {random.mean():.1f}, mel statistics "
        f"{mel.mean():.1f}. R@1 picture to sound {found[0]:.2f}, sound to picture {found[2]:.2f}, mAP {found[1]:.2f} and "
        f"{found[3]:.2f}; with shuffled pairs R@1 {control[0]:.2f} and {control[2]:.2f}; chance {chance:.2f}."
    )
    return Verdict(kind, reason, gain)


CLAIM = Claim(
    id="E3",
    title="Representation of one modality",
    paper=PAPER,
    where="abstract",
    statement="Training by concurrency alone gives an effective representation of sound, and aligns pictures with sounds.",
    criterion="A linear SVM on the frozen sound network gains at least 5 points on the same network with random weights, "
    "mean of the folds, with a 95 % interval that excludes zero; retrieval by the distance of centres finds the class at "
    "rank one more than 1.5 times as often as chance both ways, and less than that after training on shuffled pairs.",
    tolerance="5 points are two or three sounds a fold; 1.5 times chance is above what 240 queries give by chance.",
)

EXPERIMENTS = [
    Experiment(
        CLAIM,
        {
            "smoke": RepresentationSettings(seeds=1, steps=6, scenes=64, held_out=32, folds=2),
            "small": RepresentationSettings(
                seeds=1, steps=80, scenes=256, held_out=160, folds=2, training=Training(batch=48)
            ),
            "full": RepresentationSettings(
                seeds=3, real=True, steps=1200, scenes=1024, training=Training(learning_rate=1e-3)
            ),
        },
        measure,
        judge,
    )
]
