"""E7 and E7b: shipped localisers on filmed clips with boxes that they have not seen, beside maps that nobody learned."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from avcurriculum.claims.common import PAPER
from avcurriculum.evaluation.annotations import vggss_json
from avcurriculum.evaluation.clips import read_samples
from avcurriculum.evaluation.field import measure as measure_field
from avcurriculum.network.model import AVNet
from avcurriculum.video.apply import film_localizer, shipped_localizer
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import mean_interval, paired_difference, power

CLIPS, BOXES, DEVELOPMENT = "filmed", "filmed/boxes.json", "filmed/development.json"
"""Below ``--data``: a folder of videos, their boxes as VGG-SS has them, names of those that a localiser was chosen by."""
FEWEST, RANK = 20, 1 / 3


@dataclass(frozen=True, kw_only=True)
class FilmedSettings(Settings):
    """Nothing is drawn: one model, one set of clips."""

    threads: int | None = 1


def measure(s: FilmedSettings, job: Job) -> Values:
    """The localiser of tiles on all clips."""
    return _measure(job, shipped_localizer(), ())


def measure_unseen(s: FilmedSettings, job: Job) -> Values:
    """The localiser of films on the clips that it was not chosen by."""
    return _measure(job, film_localizer(), json.loads(job.assets.find(DEVELOPMENT).read_text()))


def _measure(job: Job, net: AVNet, seen: Collection[str]) -> Values:
    """One value a clip of every candidate, and the mean rank of the clips' own sounds."""
    entries = [e for e in vggss_json(job.assets.find(BOXES))[0] if e.name not in seen]
    missing: list[str] = []
    scores = measure_field(net, read_samples(entries, job.assets.find(CLIPS), net, missing))
    paired = {name: {k: [round(float(x), 4) for x in v] for k, v in row.items()} for name, row in scores.paired.items()}
    return {"paired": paired, "rank": scores.listening["own sound"]["mean rank"], "missing": len(missing)}


def judge(values: Sequence[Values]) -> Verdict:
    """Above the picture's centre in cIoU and in pointing, and the own sound among the nearest third."""
    paired, rank = values[0]["paired"], values[0]["rank"]
    model = {k: np.array(v) for k, v in paired["model"].items()}
    n = len(model["cIoU"])
    if n < FEWEST:
        return Verdict("not run", f"{n} clips decide nothing: {FEWEST} are needed.")
    over = {
        (other, k): paired_difference(model[k], paired[other][k], f"model - {other}, {k}")
        for other in ("center", "saliency")
        for k in ("cIoU", "pointing")
    }
    clear = {other: all((over[other, k].low or 0) > 0 for k in ("cIoU", "pointing")) for other in ("center", "saliency")}
    kind = "not reproduced"
    if clear["center"] and rank <= RANK:
        kind = "reproduced"
    elif clear["saliency"]:
        kind = "direction reproduced"
    means = ", ".join(f"{name} {np.mean(v['cIoU']):.2f}/{np.mean(v['pointing']):.2f}" for name, v in paired.items())
    whole = mean_interval(model["cIoU"] - np.array(paired["whole picture"]["cIoU"]), "model - whole picture, cIoU")
    reason = (
        f"{over['center', 'pointing']}; {over['saliency', 'cIoU']}; {whole}. cIoU at the median cut/pointing on {n} clips: "
        f"{means}. Mean rank of the own sound {rank:.2f} (best 0, chance 0.5)."
    )
    return Verdict(kind, reason, over["center", "cIoU"])


CLAIM = Claim(
    id="E7",
    title="Filmed clips",
    paper=PAPER,
    where="derived",
    statement="A small localiser that was trained on composed scenes finds what sounds in filmed clips.",
    criterion="On at least 20 filmed clips with boxes, none of which it was trained on, the shipped localiser's cIoU at the "
    "median cut and its pointing are above those of a Gaussian in the picture's centre, both 95 % intervals over clips "
    "exclude zero, and a clip's own sound is on average among the nearest third of all clips' sounds. The map that does not "
    "listen is the control: centre, saliency and the whole picture are always shown.",
    tolerance="The centre is what a user has for nothing; a third is the specification's bar, a half is chance.",
    power=power(
        asks=0.1,
        spread=0.14,
        n={"full": 34},
        pilot="cIoU of the picture's centre less that of its saliency on 14 clips, none of them seen by a model before",
    ),
)

UNSEEN = Claim(
    id="E7b",
    title="Filmed clips, a localiser of films",
    paper=PAPER,
    where="derived",
    statement="A small localiser that was trained on scenes composed as films look finds what sounds in filmed clips.",
    criterion=CLAIM.criterion + " Clips that the localiser was chosen by (training/filmed_development.json) are left out.",
    tolerance=CLAIM.tolerance,
    power=power(
        asks=0.1,
        spread=0.14,
        n={"full": 20},
        pilot="as E7: cIoU of the picture's centre less that of its saliency on the 14 clips for development",
    ),
)

EXPERIMENTS = [
    Experiment(CLAIM, {"full": FilmedSettings()}, measure, judge),
    Experiment(UNSEEN, {"full": FilmedSettings()}, measure_unseen, judge),
]
