"""S6: a label party that studies the noise of replies learns every row's bin, unless replies are sanitised."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings, pooled
from claimkit.figures import figure, save
from securegbm.claims.attack import Attacker
from securegbm.crypto.feature_cipher import FeatureCipher
from securegbm.crypto.label_cipher import LabelCipher
from securegbm.crypto.parameters import BFVParameters


@dataclass(frozen=True)
class Attack(Settings):
    """Rows of one ciphertext; with N / rows bins, chance is rows / N."""

    seeds: int = 5
    rows: int = 2048


def measure(s: Attack, job: Job) -> Values:
    """Share of rows whose bin the attack finds, with and without sanitising, for both production parameters."""
    found: dict[str, float] = {}
    for strength in ("standard", "strong"):
        parameters = BFVParameters.choose(s.rows, 23, strength)
        label = LabelCipher(parameters)
        feature = FeatureCipher(parameters, label.public_key)
        attacker, n_bins = Attacker(label), parameters.degree // s.rows
        rng = np.random.default_rng(job.seed)
        bins = rng.integers(0, n_bins, s.rows)
        entries = bins[:, None].astype(np.int32)
        upload = label.encrypt([rng.integers(-(2**23), 2**23, s.rows)])
        for sanitise in (False, True):
            reply = feature.histogram([upload], entries, n_bins, s.rows, range(1), None, sanitise)[0][0]
            share = float((attacker.bins(upload[0], reply, s.rows, s.rows) == bins).mean())
            found[f"{strength}, {'sanitised' if sanitise else 'not sanitised'}"] = share
    return {"shares": dict(found), "chance": s.rows / 8192, "rows": s.rows}


def judge(values: Sequence[Values]) -> Verdict:
    """The attack works without sanitising, and is at chance with it."""
    chance, rows = float(values[0]["chance"]), sum(pooled(values, "rows"))  # type: ignore[arg-type]
    tables = [v["shares"] for v in values]
    means = {name: float(np.mean([t[name] for t in tables])) for name in tables[0]}  # type: ignore[index,union-attr,call-overload]
    open_ = min(means[name] for name in means if "not" in name)
    closed = max((means[name] for name in means if "not" not in name), key=lambda share: abs(share - chance))
    error = float(np.sqrt(chance * (1 - chance) / rows))
    estimate = Estimate("share of bins found in sanitised replies", closed, closed - 2 * error, closed + 2 * error)
    if open_ < 0.99:
        return Verdict("not run", "The attack does not work on replies that are not sanitised either.", estimate)
    good = abs(closed - chance) < 4 * error
    reason = f"Chance is {chance}; without sanitising the same attack finds {open_:.1%}."
    return Verdict("reproduced" if good else "not reproduced", reason, estimate)


def draw(values: Sequence[Values], path: Path) -> None:
    """Shares per setting, one dot a seed."""
    tables = [v["shares"] for v in values]
    names = list(tables[0])  # type: ignore[arg-type]
    canvas, axis = figure(size=(5.6, 2.8))
    for place, name in enumerate(names):
        axis.plot([t[name] for t in tables], [place] * len(tables), "o", color="#c1272d" if "not" in name else "#0072b2")  # type: ignore[index,call-overload]
    axis.axvline(float(values[0]["chance"]), color="grey", ls="--", lw=1)  # type: ignore[arg-type]
    axis.annotate("chance", (float(values[0]["chance"]), -0.45), fontsize=8, color="grey")  # type: ignore[arg-type]
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set(xlim=(0, 1.03), xlabel="share of rows whose bin the label party finds", title="Noise attack on replies")
    save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="S6",
            title="Replies betray nothing but the sums",
            paper="1911.11997",
            where="ours",
            statement="A label party that divides a reply's noise by its upload's noise finds the feature party's bins "
            "no better than by guessing.",
            criterion="Sanitised replies: within four standard errors of chance; the same attack on unsanitised replies "
            "finds at least 99 %.",
            tolerance="Four standard errors of a binomial share.",
        ),
        {"smoke": Attack(seeds=1), "small": Attack(), "full": Attack(seeds=20)},
        measure,
        judge,
        draw,
    )
]
