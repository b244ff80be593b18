"""N6, N7: PhotoNAS does what PhotoNet does; and PhotoNet gives a picture in its own light back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit.claims import Claim, Values, Verdict
from claimkit.experiment import Experiment, Job
from claimkit.statistics import mean_interval, paired_difference
from claimkit.style.images import fit, read_image
from claimkit.style.metrics import psnr, ssim
from photonet.claims import drawing
from photonet.claims.common import (
    CONTENTS,
    ENCODER,
    SHEET,
    STYLES,
    Pairs,
    averages,
    by_network,
    feature_distance,
    held_out,
    judge,
    judged_by,
    network,
    photo_pairs,
    photographic,
    side_by_side,
)
from photonet.samples import photograph

KEPT = 0.5
"""Share of the way from the content to PhotoNet's picture, in features, that a student must make."""
CLOSE = 30.0
STUDENTS = {"PhotoNAS": "photonas", "found by stylenas": "stylenas"}


@dataclass(frozen=True)
class Preserved(Pairs):
    """Photographs in the light of photographs, by teacher and student."""


def measure(s: Preserved, job: Job) -> Values:
    """SSIM and relative feature distance to PhotoNet's picture: of both students, content, PhotoWCT."""
    methods, look = photographic(job), judge(s, job)
    students = {label: by_network(network(name, job)) for label, name in STUDENTS.items()}
    found: dict[str, dict[str, list[float]]] = {k: {} for k in ("ssim", "features")}
    pairs = photo_pairs(s, job)
    for _, content, style in pairs:
        teacher = methods["PhotoNet"](content, style)
        target = look(teacher)
        others = {label: student(content, style) for label, student in students.items()}
        others |= {"content": content, "PhotoWCT": methods["PhotoWCT"](content, style)}
        for name, picture in others.items():
            found["ssim"].setdefault(name, []).append(ssim(picture, teacher))
            found["features"].setdefault(name, []).append(feature_distance(look(picture), target))
    return {**found, "pairs": [n for n, *_ in pairs], "longest": s.longest, "encoders": judged_by(s)}


def judge_preserved(values: Sequence[Values]) -> Verdict:
    """At least half of the way in features, and nearer in SSIM than doing nothing."""
    rows = {k: {n: [x for v in values for x in v[k][n]] for n in values[0][k]} for k in ("ssim", "features")}
    mine, control = (np.array(rows["features"][n]) for n in ("PhotoNAS", "content"))
    effect = mean_interval(1 - mine / control, "share of the way to PhotoNet's picture, in features")
    nearer = paired_difference(rows["ssim"]["PhotoNAS"], rows["ssim"]["content"], "SSIM")
    some = effect.low is not None and effect.low > 0
    good = effect.value >= KEPT and nearer.low is not None and nearer.low > 0
    reason = (
        f"SSIM to PhotoNet's picture: {averages(rows['ssim'])}; relative feature distance: {averages(rows['features'])}. "
        f"{len(mine)} pairs. {values[0]['encoders']}"
    )
    return Verdict("reproduced" if good else "direction reproduced" if some else "not reproduced", reason, effect)


def draw_preserved(values: Sequence[Values], path: Path) -> None:
    """Teacher and student beside each other."""
    job = Job(0)
    networks = {"PhotoNet (teacher)": "photonet", **{f"{n} (7 of 31 operators)": k for n, k in STUDENTS.items()}}
    methods = {label: by_network(network(name, job)) for label, name in networks.items()}
    pairs = photo_pairs(Preserved(contents=3, styles=3, longest=min(SHEET, values[0]["longest"])), job)
    rows = side_by_side(methods, (pairs[1], pairs[3], pairs[8]))
    drawing.sheet(rows, path, "Photographs of scikit-image and scikit-learn")


@dataclass(frozen=True)
class Own(Pairs):
    """Pictures that are their own style."""

    longest: int = 384
    contents: int = 6
    styles: int = 1


def own(s: Own, job: Job) -> Values:
    """PSNR in dB of a picture in its own light, one a picture, of PhotoNet, its students and the baselines."""
    methods = photographic(job)
    methods = {n: methods[n] for n in ("PhotoNet", "PhotoWCT", "WCT2")}
    methods |= {label: by_network(network(name, job)) for label, name in STUDENTS.items()}
    if s.development:
        folder = job.assets.find("images/photos").parent
        pictures = [fit(read_image(folder / f), s.longest) for f in held_out("photos", job)[: s.contents]]
    else:
        job.assets.note("photographs of scikit-image and scikit-learn", "the wheels'")
        pictures = [photograph(n, s.longest) for n in (*CONTENTS, *STYLES)[: s.contents]]
    return {"psnr": {n: [psnr(m(x, x), x) for x in pictures] for n, m in methods.items()}}


def judge_own(values: Sequence[Values]) -> Verdict:
    """30 dB."""
    rows = {n: [x for v in values for x in v["psnr"][n]] for n in values[0]["psnr"]}
    effect = mean_interval(rows["PhotoNet"], "PSNR of a photograph in its own light", "dB")
    reason = f"PSNR in dB: {averages(rows, 1)}; {len(rows['PhotoNet'])} photographs. Encoder: {ENCODER}."
    good, near = effect.value >= CLOSE, effect.high is not None and effect.high >= CLOSE
    return Verdict("reproduced" if good else "direction reproduced" if near else "not reproduced", reason, effect)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N6",
            title="PhotoNAS keeps the effect",
            paper="1912.02398",
            where="abstract: the effect is kept almost intact by the pruned network",
            statement="PhotoNAS, with 7 of the 31 operators, gives almost the picture that PhotoNet gives.",
            criterion="Relative distance of features at the same places, mean over levels, between PhotoNAS's and "
            f"PhotoNet's picture: the student makes at least {KEPT:.0%} of the way from the content (the control: doing "
            "nothing) to the teacher's picture, mean over all photo pairs; and its SSIM to the teacher's picture exceeds "
            "the content's, paired 95 % interval above 0. Direction: the interval of the share of the way is above 0.",
            tolerance="Half of the way is what separates keeping from losing; PhotoWCT's distance is reported beside it.",
        ),
        {
            "smoke": Preserved(contents=2, styles=1, longest=96),
            "small": Preserved(),
            "full": Preserved(longest=512, development=True, judge="vgg19"),
        },
        measure,
        judge_preserved,
        draw_preserved,
    ),
    Experiment(
        Claim(
            id="N7",
            title="A photograph in its own light",
            paper="1907.03118",
            where="derived: a transfer of features on themselves changes nothing, skip links carry the rest",
            statement="Where the style is the content, PhotoNet gives the photograph back.",
            criterion=f"PSNR of at least {CLOSE:g} dB, mean over photographs, shipped PhotoNet, WCT.",
            tolerance="30 dB is where differences begin to be hard to see; direction: the interval reaches it.",
        ),
        {
            "smoke": Own(contents=2, longest=96),
            "small": Own(),
            "full": Own(contents=79, longest=512, development=True),
        },
        own,
        judge_own,
    ),
]
