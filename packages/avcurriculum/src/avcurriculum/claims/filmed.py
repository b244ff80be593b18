"""E7: the shipped localiser on filmed clips with boxes, which it was not trained on, beside maps that nobody learned."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avcurriculum.claims.common import PAPER
from avcurriculum.evaluation.annotations import vggss_json
from avcurriculum.evaluation.clips import read_samples
from avcurriculum.evaluation.field import measure as measure_field
from avcurriculum.video.apply import shipped_localizer
from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import mean_interval, paired_difference, power

CLIPS, BOXES = "filmed", "filmed/boxes.json"
"""Below ``--data``: a folder of videos, and their boxes in the format of VGG-SS."""
FEWEST, RANK = 20, 1 / 3


@dataclass(frozen=True, kw_only=True)
class FilmedSettings(Settings):
    """Nothing is drawn: one model, one set of clips."""

    threads: int | None = 1


def measure(s: FilmedSettings, job: Job) -> Values:
    """One value a clip of every candidate, and the mean rank of the clips' own sounds."""
    entries, _ = vggss_json(job.assets.find(BOXES))
    missing: list[str] = []
    net = shipped_localizer()
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

EXPERIMENTS = [Experiment(CLAIM, {"full": FilmedSettings()}, measure, judge)]
