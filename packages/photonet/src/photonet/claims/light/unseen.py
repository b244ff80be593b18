"""N19: what is used unasked, on photographs that nobody here had looked at when it was chosen."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from claimkit.claims import Claim, Values, Verdict
from claimkit.errors import InputError
from claimkit.experiment import Experiment, Job
from claimkit.files import sha256
from claimkit.statistics import paired_difference
from claimkit.style.images import fit, read_image
from photonet.claims.common import Pair, averages, judge, judged_by, photo_pairs, style_distance
from photonet.claims.light.default import BANDS, EDGES, HALOS, SHARE, TIMES, UNSEEN
from photonet.claims.light.known import BAR, CONTENT, GRAM, KINDS, MATRIX, Known, errors, of_pairs
from photonet.colour.methods import METHODS
from photonet.stylizer import METHOD, PhotoStylizer
from photonet.weights import shipped

FOLDER, SALT = "unseen", b"photonet N19"
SIDE = 480
"""Shorter side in pixels that a photograph has at least."""


@dataclass(frozen=True)
class Unseen(Known):
    """Pairs of photographs of the folder ``unseen``, or of those that come with libraries."""

    drawn: int = 0
    """Pairs that are drawn from the folder; 0 for the libraries' photographs."""


def draw(folder: Path, count: int, longest: int) -> Iterator[tuple[str, Tensor]]:
    """Photographs with their sha256, in the order of the sha256 of :data:`SALT` and their bytes.

    JPEGs of the folder that can be read, each content once, of at least :data:`SIDE` pixels on the shorter side; nobody's
    eye has a part in it.

    Raises:
        InputError: Fewer than ``count`` of them.
    """
    files = {p.read_bytes(): p for p in sorted(folder.iterdir()) if p.suffix.lower() in (".jpg", ".jpeg")}
    left = count
    for data in sorted(files, key=lambda d: hashlib.sha256(SALT + d).digest()):
        try:
            picture = read_image(files[data])
        except InputError:
            continue
        if min(picture.shape[1:]) >= SIDE and left:
            left -= 1
            yield hashlib.sha256(data).hexdigest(), fit(picture, longest)
        if not left:
            return
    raise InputError(f"{folder} has {count - left} photographs of {SIDE} pixels and more: this needs {count}")


def pairs(s: Unseen, job: Job) -> list[Pair]:
    """The first half of what is drawn as contents, the second as styles."""
    if not s.drawn:
        return photo_pairs(s, job)
    found = list(draw(job.assets.find(FOLDER), 2 * s.drawn, s.longest))
    both = zip(found[: s.drawn], found[s.drawn :], strict=True)
    return [(f"{a}|{b}", content, style) for (a, content), (b, style) in both]


def measure(s: Unseen, job: Job) -> Values:
    """Edges, style, halo, banding of pairs, seconds, errors to known grades of the contents; the default is the last."""
    job.assets.note(shipped().name, sha256(shipped()))
    use = {n: PhotoStylizer(method=n) for n in (*METHODS, METHOD)}
    chosen, look = pairs(s, job), judge(s, job)
    found = of_pairs(s, job, use, chosen)
    untouched = [style_distance(look(content), look(style)) for _, content, style in chosen]
    contents = list({name.split("|")[0]: content for name, content, _ in chosen}.values())
    about = {"pairs": [n for n, *_ in chosen], "longest": s.longest, "square": s.square, "encoders": judged_by(s)}
    return {**found, "untouched": untouched, "errors": errors(contents, job.seed, s.grades, use), **about}


def judge_unseen(values: Sequence[Values]) -> Verdict:
    """Every bar that the default met when it was chosen, once more."""
    rows = {k: {n: [x for v in values for x in v[k][n]] for n in values[0][k]} for k in (*KINDS, "seconds")}
    kinds = list(values[0]["errors"])
    known = {
        n: np.array([[x for v in values for x in v["errors"][k][n]] for k in kinds]) for n in values[0]["errors"][kinds[0]]
    }
    mine, its = ({k: np.asarray(v[n]) for k, v in rows.items()} for n in (METHOD, MATRIX))
    truth = paired_difference(known[METHOD].mean(0), known[MATRIX].mean(0), "error to the truth, default - matrix", "levels")
    gram, bands = (paired_difference(mine[k], its[k]) for k in ("style", "banding"))
    control = paired_difference([x for v in values for x in v["untouched"]], its["style"])
    shares = {
        "edges": float(np.mean(mine["edges"] - its["edges"] >= EDGES)),
        "halo": float(np.mean(mine["halo"] <= HALOS * its["halo"] + UNSEEN)),
    }
    times = {n: float(np.median(np.divide(x, its["seconds"]))) for n, x in rows["seconds"].items()}
    met = {
        "truth": known[METHOD].mean() <= BAR * known[MATRIX].mean() and truth.high is not None and truth.high < 0,
        "no light worse": bool((known[METHOD].mean(1) <= known[MATRIX].mean(1)).all()),
        "edges": shares["edges"] >= SHARE,
        "style": gram.high is not None and gram.high <= GRAM * its["style"].mean(),
        "halo": shares["halo"] >= SHARE,
        "banding": bands.high is not None and bands.high <= BANDS,
        "time": times[METHOD] <= TIMES,
    }
    ratios = ", ".join(f"{n} {x.mean() / known[MATRIX].mean():.2f}" for n, x in known.items() if n in (CONTENT, *times))
    untouched = np.mean([x for v in values for x in v["untouched"]])
    reason = (
        f"Bars missed by {METHOD}: {', '.join(k for k, ok in met.items() if not ok) or 'none'}. Error to the truth over the "
        f"matrix's: {ratios}. SSIM of edges: {averages(rows['edges'])}, at most {-EDGES:g} below the matrix's in "
        f"{shares['edges']:.0%}. Gram distance: {averages(rows['style'])}, untouched {untouched:.3f}; {METHOD} - matrix "
        f"{gram.value:+.3f} [{gram.low:+.3f}, {gram.high:+.3f}]. Halo, levels of 255: {averages(rows['halo'])}, within the "
        f"bar in {shares['halo']:.0%}. Banding: {averages(rows['banding'])}. Times the matrix's CPU seconds, squares of "
        f"{values[0]['square']} pixels, medians: {', '.join(f'{n} {x:.1f}' for n, x in times.items())}. "
        f"{len(its['style'])} pairs of {values[0]['longest']} pixels. {values[0]['encoders']}"
    )
    if control.low is None or control.low <= 0:
        return Verdict("not run", f"The matrix brings no style to these pairs. {reason}", truth)
    nearer = truth.high is not None and truth.high < 0
    kind = "reproduced" if all(met.values()) else "direction reproduced" if nearer else "not reproduced"
    return Verdict(kind, reason, truth)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="N19",
            title="What is used unasked, on photographs not looked at before",
            paper="1912.02398",
            where="derived: N15 chose the default on photographs that this project has used all along",
            statement="On photographs that nobody here had looked at, the default meets every bar by which it was chosen, "
            "against the methods of colours that a photographer would try first.",
            criterion="60 JPEGs of the folder given, those of the lowest sha256 of a fixed salt and their bytes that have "
            f"{SIDE} pixels on the shorter side, 30 contents and 30 styles; no eye has a part in it. The bars of N15 for "
            f"the default against Monge-Kantorovich's matrix: error to known grades of the contents at most {BAR:g} times "
            "the matrix's, paired 95 % interval below 0, larger in none of the six kinds; SSIM of edges at most "
            f"{-EDGES:g} lower in {SHARE:.0%} of the pairs; halos at most {HALOS:g} times the matrix's (+ {UNSEEN:g} of "
            f"255) in {SHARE:.0%}; Gram distance at most {GRAM:.0%} above and at most {BANDS:.0%} more banding, by the ends "
            f"of the intervals; at most {TIMES:g} times its CPU seconds with the style kept. Reproduced: all. Direction: "
            "the error's interval is below 0. Control: the matrix brings style, interval.",
            tolerance="Intervals by bootstrap over photographs and pairs. Power: in N15 the difference of errors had a "
            "spread of 5 levels between photographs, so 30 see 2, where the bar asks for some 3.5.",
        ),
        {
            "smoke": Unseen(contents=2, styles=1, longest=64, grades=1, square=64, clocked=1),
            "full": Unseen(drawn=30, longest=320, judge="vgg19", grades=1, clocked=8),
        },
        measure,
        judge_unseen,
    )
]
