"""P14 to P19 and P21: the pictures beside those of the best small peer, on held-out pictures and on ones fetched for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.claims.power import Power
from claimkit.experiment import Experiment, Job, Settings
from claimkit.statistics import group_means, mean_interval, power
from claimkit.style.images import fit, read_image
from claimkit.style.looks import Judge
from claimkit.style.transforms import Statistics, ot_map
from styleproj.claims.common import BENT, CUT, CutFirst, held_out
from styleproj.claims.weights import COLOURS, MEASURES, below, draw, looked_at, noted, table
from styleproj.networks.microast import MicroAST
from styleproj.pictures.stylizer import Stylizer

OURS, DEEP, BEFORE, PEER = "styleproj", "styleproj --model deep", "the default before", "MicroAST"
MARGIN, EDGES = 0.02, 0.05
WEAVE, FOREIGN, CLIPPED = 1.2, 0.01, 0.03


@dataclass(frozen=True)
class Beside(Settings):
    """Which pictures are stylised, at which longer side."""

    side: int = 512
    styles: int = 16
    each: int = 7
    """Contents a style."""
    fetched: str = ""
    """Folder of ``--data`` with ``content`` and ``style``, instead of the pictures that are held out."""
    turn: int = 0
    """Which draw of pairs."""


def couples(s: Beside, job: Job) -> list[tuple[Path, Path]]:
    """Files of contents and styles: every style with as many contents, all in turn in an order drawn by the seed."""
    if s.fetched:
        contents, styles = (sorted(job.assets.find(f"{s.fetched}/{kind}").iterdir()) for kind in ("content", "style"))
    else:
        folder = job.assets.find("images/photos").parent
        job.assets.find("images/paintings")
        contents, styles = ([folder / f for f in held_out(kind, job)] for kind in ("photos", "paintings"))
    rng = np.random.default_rng(job.seed + s.turn)
    chosen = [styles[i] for i in rng.permutation(len(styles))[: s.styles]]
    order = rng.permutation(len(contents))
    return [(contents[order[(i * s.each + k) % len(order)]], t) for i, t in enumerate(chosen) for k in range(s.each)]


def measure(s: Beside, job: Job) -> Values:
    """Each measure of what either network makes, of --model deep, and of colours alone, one a pair."""
    makers = {OURS: CutFirst(noted("joint", job), **CUT), DEEP: CutFirst(noted("deep", job), **CUT)}
    return beside(makers, couples(s, job), s.side, job)


def measure_paint(s: Beside, job: Job) -> Values:
    """The same of `paint` and of the default before it."""
    makers = {OURS: CutFirst(noted("paint", job), **BENT), BEFORE: CutFirst(noted("joint", job), **CUT)}
    return beside(makers, couples(s, job), s.side, job)


def measure_brush(s: Beside, job: Job) -> Values:
    """The same of `brush` alone."""
    return beside({OURS: Stylizer(noted("brush", job), max_gain=1.15)}, couples(s, job), s.side, job)


def measure_easel(s: Beside, job: Job) -> Values:
    """The same of `easel` alone."""
    return beside({OURS: Stylizer(noted("easel", job), max_gain=1.15)}, couples(s, job), s.side, job)


def measure_studio(s: Beside, job: Job) -> Values:
    """The same of `studio` and of the default before it."""
    makers = {n: Stylizer(noted(name, job), max_gain=1.15) for n, name in ((OURS, "studio"), (BEFORE, "easel"))}
    return beside(makers, couples(s, job), s.side, job)


def beside(makers: Mapping[str, Stylizer], pairs: Sequence[tuple[Path, Path]], side: int, job: Job) -> Values:
    """Each measure of what each maker, the peer and a linear transfer of colours make of pairs of files."""
    judge_by = Judge(job.assets.find("weights/vgg19_imagenet_conv3_4.pt"))
    peer = MicroAST.load(job.assets.find("weights/microast.pt"))
    found: dict[str, dict[str, list[float]]] = {n: {m: [] for m in MEASURES} for n in (*makers, PEER, COLOURS)}
    for files in pairs:
        content, style = (fit(read_image(file), side) for file in files)
        made = {n: maker.stylize(content, style) for n, maker in makers.items()} | {PEER: peer.stylize(content, style)}
        made[COLOURS] = ot_map(Statistics.of(content[None]), Statistics.of(style[None]))(content[None])[0].clamp(0, 1)
        with torch.inference_mode():
            rows = looked_at(made, content, style, judge_by)
        for name, row in rows.items():
            for key, value in row.items():
                found[name][key].append(value)
    return {"measures": found, "styles": [t.name for _, t in pairs], "contents": [c.name for c, _ in pairs]}


def judge(values: Sequence[Values]) -> Verdict:
    """Nearer to the style in one distance, farther in none, no content lost, more drawing, few wrong colours."""
    styles, rows = [f"{v}" for run in values for v in run["styles"]], table(values)
    ours, peer = rows[OURS], rows[PEER]

    def interval(x: NDArray[np.float64], name: str) -> Estimate:
        return mean_interval(group_means(x, styles), name)

    near = {m: interval(ours[m] / peer[m] - 1, f"{m} distance, ours over the peer's") for m in ("style", "Gram")}
    content = interval(ours["content"] / peer["content"] - 1, "content distance, ours over the peer's")
    edges = interval(peer["edges"] - ours["edges"], "edges, peer - ours")
    weave, foreign, clipped = (float(ours[m].mean()) for m in ("weave", "foreign", "clipped"))
    means = "; ".join(f"{n}: " + ", ".join(f"{m} {row[m].mean():.3f}" for m in MEASURES) for n, row in rows.items())
    told = f"{len(styles)} pairs of {len(set(styles))} styles. Means: {means}."
    control = interval(peer["Gram"] - rows[COLOURS]["Gram"], "Gram, peer - colours alone")
    if not below(control, 0):
        return Verdict("not run", f"The judge does not tell the peer's pictures from colours alone. {told}", near["style"])
    nearer = any(below(e, 0) for e in near.values())
    holds = {"nearer": nearer} | {f"{m} kept": below(e, MARGIN) for m, e in near.items()}
    holds |= {"content": below(content, MARGIN), "edges": edges.high is not None and edges.high <= -EDGES}
    holds |= {"weave": weave <= WEAVE, "foreign": foreign <= FOREIGN, "clipped": clipped <= CLIPPED}
    failed = [name for name, h in holds.items() if not h]
    intervals = "; ".join(f"{e.name} {e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]" for e in (*near.values(), content, edges))
    kind = "reproduced" if not failed else "direction reproduced" if nearer else "not reproduced"
    return Verdict(kind, f"Missed: {', '.join(failed) or 'nothing'}. {intervals}. {told}", near["style"])


CRITERION = (
    "The default's pictures against MicroAST's at full strength (paired 95 % intervals, a style's mean is one value; "
    "distances on the original VGG-19's relu1_1, 2_1, 3_1 and 3_4 at 272 pixels): the relative difference of the distance "
    "to the style, of means and deviations or of Gram matrices, is wholly below 0, and its upper end at most +2 % for "
    "both; content distance at most +2 % by its upper end; SSIM of edges higher by 0.05 by its lower end; means of weave at "
    "most 1.2, of foreign colours (farther than 0.08 from all of the style's) 1 %, of clipped pixels 3 %. All: reproduced; "
    "nearer alone: direction. Control, without which it is not run: colours alone (linear transfer) are farther from the "
    "style in Gram than the peer's."
)


def seen(styles: int) -> Power:
    """What so many styles can see."""
    pilot = "24 pairs of training pictures, each with a style of its own: relative difference of style +5 %, spread 0.145 "
    pilot += "(Gram 0.141, content 0.092); the mean of several contents spreads less"
    return power(0.12, 0.145, {"full": styles}, pilot, "of the distance to the style")


def again(styles: int) -> Power:
    """What so many styles can see, by the spread of P14."""
    pilot = "claim P14, 16 styles of seven contents: relative difference of style +10 % [4, 19], spread 0.14 between styles"
    return power(0.12, 0.14, {"full": styles}, pilot, "of the distance to the style")


def pairwise(styles: int) -> Power:
    """What so many styles of one content each can see, by the spread of P17."""
    pilot = "claim P17, 88 pairs of 44 styles: the relative difference of style spreads 0.147 between pairs (Gram 0.159, "
    pilot += "content 0.072)"
    return power(0.05, 0.159, {"full": styles}, pilot, "of the distance to the style")


def elsewhere(styles: int) -> Power:
    """What so many styles of one content each can see, by the spread of P19."""
    pilot = "claim P19, 197 pairs: the relative difference of style spreads 0.141 between pairs (Gram 0.156, content 0.090)"
    return power(0.03, 0.156, {"full": styles}, pilot, "of the distance to the style")


def repeated(styles: int) -> Power:
    """What so many styles of one content each can see, by the spread of P18."""
    pilot = (
        "claim P18, the same pairs with other weights: the relative difference of style spreads 0.135 between pairs (Gram "
    )
    pilot += "0.169, content 0.092)"
    return power(0.05, 0.169, {"full": styles}, pilot, "of the distance to the style")


EXPERIMENTS = [
    Experiment(
        claim := Claim(
            id="P14",
            title="Beside the best small peer",
            paper="2003.07694",
            where="derived: the paper compares with AdaIN and WCT; MicroAST (AAAI 2023) is the smallest of today's networks",
            statement="Pictures at 512 pixels are nearer to their style than those of MicroAST, a peer of twice the size, "
            "keep as much of the content and more of its drawing, with few foreign and clipped colours.",
            criterion=CRITERION,
            tolerance="2 % of a distance is less than the eye tells apart; 0.05 of SSIM of edges is seen at a glance.",
            power=seen(16),
        ),
        {"full": Beside()},
        measure,
        judge,
        draw,
    ),
    Experiment(
        replace(
            claim,
            id="P15",
            title="Beside the best small peer, on pictures fetched for it",
            statement="On thirty pairs from the examples of other public projects, which nothing here was chosen by, the "
            "default is nearer to the style than MicroAST, keeps as much of the content and more of its drawing.",
            power=seen(15),
        ),
        {"full": Beside(styles=15, each=2, fetched="unseen")},
        measure,
        judge,
        draw,
    ),
    Experiment(
        replace(
            claim,
            id="P16",
            title="Beside the best small peer, with colours that reach the ends of the range",
            statement="The default that bends the ends of the range instead of cutting them off is nearer to the style than "
            "MicroAST, keeps as much of the content and more of its drawing.",
            power=again(16),
        ),
        {"full": Beside(turn=1)},
        measure_paint,
        judge,
        draw,
    ),
    Experiment(
        replace(
            claim,
            id="P17",
            title="The same on pictures fetched for it",
            statement="On 88 pairs of 44 styles from other public projects, which nothing here was chosen by, the default "
            "is nearer to the style than MicroAST, keeps as much of the content and more of its drawing.",
            power=again(44),
        ),
        {"full": Beside(styles=44, each=2, fetched="fetched", turn=1)},
        measure_paint,
        judge,
        draw,
    ),
    Experiment(
        replace(
            claim,
            id="P18",
            title="Weights that the third rule takes, on pictures fetched for them",
            statement="In 197 styles from other public projects, which nothing here was chosen by, the weights that the "
            "third rule takes bring pictures nearer to the style than MicroAST, keep as much of the content and more of "
            "its drawing.",
            power=pairwise(197),
        ),
        {"full": Beside(styles=197, each=1, fetched="gallery", turn=2)},
        measure_brush,
        judge,
        draw,
    ),
    Experiment(
        replace(
            claim,
            id="P19",
            title="Weights whose encoder trained along, on the pictures of P18",
            statement="On the 197 pairs of P18, by which the weights before were measured and nothing was chosen, weights "
            "that were trained on ten times the paintings, encoder and decoder together, bring pictures nearer to the style "
            "than MicroAST, keep as much of the content and more of its drawing.",
            power=repeated(197),
        ),
        {"full": Beside(styles=197, each=1, fetched="gallery", turn=2)},
        measure_easel,
        judge,
        draw,
    ),
    Experiment(
        replace(
            claim,
            id="P21",
            title="Weights judged in training as pictures are looked at, on pictures fetched for them",
            statement="In 285 styles from other public projects, which nothing here was chosen by, weights that were "
            "trained on larger crops, judged at half their size, bring pictures nearer to the style than MicroAST, keep as "
            "much of the content and more of its drawing.",
            power=elsewhere(285),
        ),
        {"full": Beside(styles=285, each=1, fetched="hall", turn=3)},
        measure_studio,
        judge,
        draw,
    ),
]
