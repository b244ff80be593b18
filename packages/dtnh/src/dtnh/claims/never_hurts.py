"""C1, C2, C5: the guard never hurts, helps most where the regulariser hurts, and how.

C15 to C17 are the same at full with feature maps of MobileNetV2 at the layers that DELTA takes, which C1 missed.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from claimkit.claims import Claim, Estimate, Preset, Values, Verdict
from claimkit.claims.power import power
from claimkit.experiment import Experiment
from claimkit.statistics import CONFIDENCE, paired_difference
from dtnh.claims import grid
from dtnh.claims.grid import Cell, Grid, cells, chosen_on_validation, collect, named, strongest

MARGIN = 0.5
"""Percentage points of test accuracy that count as no loss; fixed before any run."""
ALIGNED = 1 - 1e-4
"""Least admissible ``<d, g> / <g, g>``, one up to rounding in float32."""
DECREASES = 0.95
"""Share of conflicts in which the same batch's loss must be no larger after the guarded step."""


def interval(difference: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Mean of paired differences with its two-sided t interval; exact where all are equal."""
    from scipy.stats import t

    mean, n = float(difference.mean()), len(difference)
    if n < 2 or np.ptp(difference) == 0:
        return mean, mean, mean
    half = float(t.ppf((1 + confidence) / 2, n - 1) * difference.std(ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def judge_non_inferior(values: Sequence[Values]) -> Verdict:
    """C1: in every cell the lower bound of guard minus base is above minus the margin."""
    from scipy.stats import binomtest

    if len(values) < 2:
        return Verdict("not run", "One seed has no interval: run two or more.")
    found = cells(values)
    bounds = {cell: interval(x["guard"] - x["plain"]) for cell, x in found.items()}
    worst = min(bounds, key=lambda c: bounds[c][1])
    below = [named(c) for c, (_, low, _) in bounds.items() if low <= -MARGIN]
    negative = [named(c) for c, (mean, _, _) in bounds.items() if mean < 0]
    surely = [named(c) for c, (_, _, high) in bounds.items() if high < 0]
    signs = [mean for mean, _, _ in bounds.values() if mean != 0]
    p = binomtest(sum(m > 0 for m in signs), len(signs)).pvalue if signs else 1.0
    against = {c: interval(x["guard"] - x["l2"]) for c, x in found.items()}
    ahead = sum(low > 0 for _, low, _ in against.values())
    behind = sum(high < 0 for _, _, high in against.values())
    tuned = {how: np.mean(list(chosen_on_validation(values, how).values())) for how in ("plain", "guard", "l2")}
    reason = (
        f"{len(bounds) - len(below)} of {len(bounds)} cells are non-inferior to the base; the lower bound fails in "
        f"{len(below)}{_listed(below)}; the mean is negative in {len(negative)}{_listed(negative)}, sign test "
        f"p = {p:.2g}; the whole interval is below zero in {len(surely)}{_listed(surely)}. "
        f"Against plain L2 the guard is ahead in {ahead} cells and behind in {behind}; with weights chosen on validation: "
        f"L2 {tuned['l2']:.1f}, base {tuned['plain']:.1f}, guard {tuned['guard']:.1f}."
    )
    effect = Estimate(f"worst cell, guard - base ({named(worst)})", *bounds[worst], "points of test accuracy")
    if not below:
        return Verdict("reproduced", reason, effect)
    kind = "direction reproduced" if all(mean >= -MARGIN for mean, _, _ in bounds.values()) else "not reproduced"
    return Verdict(kind, reason, effect)


def _listed(names: Sequence[str], most: int = 3) -> str:
    """Some of the names in brackets, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f" ({'; '.join(names[:most])}{more})" if names else ""


def judge_gain(values: Sequence[Values]) -> Verdict:
    """C2: the gain is larger for mismatched sources, and larger at the larger weight."""
    if len(values) < 2:
        return Verdict("not run", "One seed has no interval: run two or more.")
    gain = {cell: x["guard"] - x["plain"] for cell, x in cells(values).items()}
    top = strongest(gain)
    tasks = {c[0] for c in top if c[1] != "appropriate"}
    fits, mismatched = (
        np.mean([gain[c] for c in top if c[0] in tasks and (c[1] == "appropriate") == good], axis=0)
        for good in (True, False)
    )
    weak = [min((c for c in gain if c[:3] == t[:3]), key=lambda c: c[3]) for t in top]
    mismatch = paired_difference(mismatched, fits, "gain, mismatched - appropriate source", "points")
    strength = paired_difference(
        np.mean([gain[c] for c in top], axis=0),
        np.mean([gain[c] for c in weak], axis=0),
        "gain, large - small weight",
        "points",
    )
    each = "; ".join(f"{named(c)} {gain[c].mean():+.2f}" for c in top)
    reason = f"{strength}. Gains at the largest weights: {each}."
    both = (mismatch, strength)
    if all((e.low or 0.0) > 0 for e in both):
        return Verdict("reproduced", reason, mismatch)
    return Verdict("direction reproduced" if all(e.value > 0 for e in both) else "not reproduced", reason, mismatch)


def judge_mechanism(values: Sequence[Values]) -> Verdict:
    """C5: ``<d, g> >= <g, g>``, the same batch's loss falls no less, and training ends lower."""
    alignment = min(float(x["guard"].min()) for x in collect(values, "alignment").values())
    differences = np.concatenate([d for x in collect_lists(values).values() for d in x])
    rates = {c: float(x["guard"].mean()) for c, x in collect(values, "conflict").items()}
    if not len(differences):
        return Verdict("not run", "The regulariser never opposed the loss: no gap at this scale.")
    share = float((differences <= 0).mean())
    losses = collect(values, "train_loss")
    higher = [named(c) for c in strongest(losses) if (losses[c]["guard"] - losses[c]["plain"]).mean() >= 0]
    rarest, commonest = min(rates, key=lambda c: rates[c]), max(rates, key=lambda c: rates[c])
    reason = (
        f"Least <d, g>/<g, g> {alignment:.6f}; of {len(differences)} conflicts looked at, the batch's loss is no larger "
        f"after the guarded step in {share:.1%}; conflict rate {rates[rarest]:.0%} ({named(rarest)}) to "
        f"{rates[commonest]:.0%} ({named(commonest)}); final training loss lower than the base's in "
        f"{len(strongest(losses)) - len(higher)} of {len(strongest(losses))} cells at the largest weight."
    )
    ok = alignment >= ALIGNED and share >= DECREASES and not higher
    effect = Estimate("no larger loss after the guarded step", 100 * share, unit="% of conflicts")
    return Verdict("reproduced" if ok else "not reproduced", reason, effect)


def collect_lists(values: Sequence[Values]) -> dict[Cell, list[np.ndarray]]:
    """The differences of same-batch losses of every guarded run by cell."""
    found: dict[Cell, list[np.ndarray]] = {}
    for v in values:
        for r in v["runs"]:
            if "differences" in r:
                found.setdefault((r["task"], r["source"], r["base"], r["alpha"]), []).append(np.array(r["differences"]))
    return found


def draw_gain(values: Sequence[Values], path: Path) -> None:
    """Gain against weight, by source."""
    from dtnh import plots

    plots.gains({c: x["guard"] - x["plain"] for c, x in cells(values).items()}, path)


def draw_mechanism(values: Sequence[Values], path: Path) -> None:
    """Conflict rate over training, and differences of same-batch losses."""
    from dtnh import plots

    curves: dict[Cell, list[list[float]]] = {}
    for v in values:
        for r in v["runs"]:
            if "conflict_curve" in r:
                curves.setdefault((r["task"], r["source"], r["base"], r["alpha"]), []).append(r["conflict_curve"])
    differences = {c: np.concatenate(d) for c, d in collect_lists(values).items()}
    plots.mechanism({c: np.mean(curves[c], axis=0) for c in strongest(curves)}, differences, path)


PRESETS: dict[Preset, Grid] = {
    "smoke": Grid(seeds=2, tasks={"digits": ("appropriate", "inappropriate")}, steps=4),
    "small": Grid(seeds=8),
    "full": Grid(
        seeds=5,
        tasks={"tiny-imagenet": ("appropriate", "other domain", "inappropriate"), "flowers": ("appropriate",)},
        alphas={"l2sp": (0.03, 0.3), "featmap": (1e-3, 1e-2)},
        steps=80,
        batch=16,
        learning_rates={"tiny-imagenet": 0.03, "flowers": 0.001},
    ),
}
EXPERIMENTS = [
    Experiment(
        Claim(
            id="C1",
            title="The guard never hurts its regulariser",
            paper="1911.07489",
            where="abstract: a new descent direction that does not hurt the empirical loss minimisation",
            statement="A guarded regulariser is at least as accurate as the same regulariser added plainly, whether the "
            "source is appropriate, of another domain or inappropriate, and whatever its weight.",
            reported="0.1 % - 7 % higher accuracy in all experiments (abstract)",
            criterion="In every cell of task, source, regulariser and weight the lower bound of the two-sided 95 % t "
            "interval of guard - base, paired by seed, is above -0.5 points of test accuracy; one cell below refutes it. "
            "Direction reproduced: no cell's mean is below -0.5 points.",
            tolerance="Half a point is about half the binomial standard error of one test set of 700 images.",
        ),
        PRESETS,
        grid.measure,
        judge_non_inferior,
        grid.draw,
    ),
    Experiment(
        Claim(
            id="C2",
            title="The guard helps most where the regulariser hurts",
            paper="1911.07489",
            where="introduction: even when transferring from inappropriate networks; dependence on the weight: derived",
            statement="The gain of the guard over its base grows with the mismatch of the source and with the weight.",
            criterion="At the largest weights the mean gain over mismatched sources exceeds that over the appropriate one, "
            "and the mean gain at the largest weight exceeds that at the smallest; both with 95 % intervals (paired "
            "bootstrap over seeds) above zero. Direction reproduced: both means above zero.",
            tolerance="The intervals are the tolerance. Judged on the runs of C1.",
        ),
        PRESETS,
        grid.measure,
        judge_gain,
        draw_gain,
    ),
    Experiment(
        Claim(
            id="C5",
            title="How the guard works",
            paper="1911.07489",
            where="abstract: derivatives of both terms are computed separately; the inequality is derived",
            statement="The guarded direction keeps the whole gradient of the loss, lowers the same batch's loss no less "
            "than the plain sum does, and training ends at a lower loss than with the base.",
            criterion="<d, g> >= (1 - 1e-4) <g, g> at every step looked at (each tenth); in at least 95 % of the conflicts "
            "among them the batch's loss after a step of the initial rate is no larger than after the unguarded step; mean "
            "final training loss below the base's in every cell at the largest weight. Conflict rates are reported.",
            tolerance="The inequality is exact up to float32; the decrease is of first order, so that curvature may reverse "
            "a few steps of finite size. Judged on the runs of C1.",
        ),
        PRESETS,
        grid.measure,
        judge_mechanism,
        draw_mechanism,
    ),
]


def _again(number: int, before: Experiment, asks: float, spread: float, of: str, unit: str) -> Experiment:
    """The same claim with the power that it lacked, from the five seeds of its record at full."""
    seen = power(asks, spread, {"full": PRESETS["full"].seeds}, f"{of} over the 5 seeds of C1 at full", unit)
    title = f"{before.claim.title}, at the layers that DELTA takes"
    claim = replace(before.claim, id=f"C{number}", title=title, power=seen)
    return replace(before, claim=claim, presets={p: PRESETS[p] for p in ("smoke", "full")})


EXPERIMENTS += [
    _again(15, EXPERIMENTS[0], MARGIN, 5.94, "guard - base of the widest of the 16 cells", "points"),
    _again(16, EXPERIMENTS[1], 0.75, 1.07, "the wider of the two differences; the effect is that at small", "points"),
    _again(17, EXPERIMENTS[2], 0.013, 0.094, "final loss, guard - base, in the widest of 8 cells; asked: the clearest", ""),
]
