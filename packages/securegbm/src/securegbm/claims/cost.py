"""S3, S4: bytes and time against the sampled share, and the slowdown against LightGBM as the table grows."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from claimkit.claims import Claim, Estimate, Values, Verdict
from claimkit.experiment import Experiment, Job, Settings
from claimkit.figures import figure, save
from claimkit.statistics import mean_interval
from securegbm.config import TrainConfig
from securegbm.feature_party.party import FeatureParty
from securegbm.feature_party.policy import FeaturePolicy
from securegbm.label_party.party import LabelParty, TreeReport
from securegbm.model.parity import lightgbm_settings
from securegbm.tables.binning import BinConfig
from securegbm.tables.table import Table
from securegbm.trees.growth import GrowthConfig
from securegbm.wire.channel import LocalChannel


@dataclass(frozen=True)
class Payload(Settings):
    """Rows, sampled shares and trees."""

    seeds: int = 3
    rows: int = 4000
    shares: tuple[float, ...] = (1.0, 0.3, 0.1)
    trees: int = 2
    workers: int = 0


@dataclass(frozen=True)
class Slowdown(Settings):
    """Table sizes and trees."""

    seeds: int = 3
    rows: tuple[int, ...] = (1000, 2000, 4000)
    trees: int = 2
    workers: int = 0


def make_table(n_rows: int, seed: int, own: int = 16, other: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Dense columns of both parties, and labels that need both."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_rows, own + other))
    score = values @ rng.normal(size=own + other) / 2
    return values, (rng.random(n_rows) < 1 / (1 + np.exp(-score))).astype(float)


def train(
    values: np.ndarray,
    labels: np.ndarray,
    config: TrainConfig,
    own: int = 16,
    workers: int = 0,
    on_tree: Callable[[TreeReport], None] = lambda report: None,
) -> list[TreeReport]:
    """Train both parties in this process (the same bytes as over the network); what each tree cost."""
    names = [f"b{i}" for i in range(values.shape[1] - own)]
    policy = FeaturePolicy(allow_plain=True, workers=workers)
    party = FeatureParty(Table.of(values[:, own:], names), policy)
    reports: list[TreeReport] = []

    def keep(report: TreeReport) -> None:
        reports.append(report)
        on_tree(report)

    LabelParty(Table.of(values[:, :own]), labels, config, LocalChannel(party), workers=workers, on_tree=keep).train()
    party.close()
    return reports


def settings(trees: int, share: float = 1.0) -> TrainConfig:
    """31 leaves, 32 bins, standard encryption."""
    return TrainConfig(n_estimators=trees, growth=GrowthConfig(31), bins=BinConfig(32), row_fraction=share)


def payload(s: Payload, job: Job) -> Values:
    """Megabytes and seconds per tree for every sampled share."""
    values, labels = make_table(s.rows, job.seed)
    megabytes, seconds = {}, {}
    for share in s.shares:
        reports = train(values, labels, settings(s.trees, share), workers=s.workers)
        megabytes[str(share)] = float(np.mean([r.bytes_sent + r.bytes_received for r in reports]) / 1e6)
        seconds[str(share)] = float(np.median([r.seconds for r in reports]))
    return {"megabytes": dict(megabytes), "seconds": dict(seconds), "rows": s.rows}


def judge_payload(values: Sequence[Values]) -> Verdict:
    """Both fall with the sampled share, and at 10 % the bytes are at most half."""
    bytes_, seconds = ([v[name] for v in values] for name in ("megabytes", "seconds"))
    ratios = [t["0.1"] / t["1.0"] for t in bytes_]  # type: ignore[index,call-overload]
    order = list(bytes_[0])  # type: ignore[arg-type]
    falls = all(
        np.mean([t[a] for t in table]) > np.mean([t[b] for t in table])  # type: ignore[index,call-overload]
        for table in (bytes_, seconds)
        for a, b in pairwise(order)
    )
    ratio = mean_interval(ratios, "bytes at 10 % over bytes at 100 %") if len(ratios) > 1 else Estimate("ratio", ratios[0])
    faster = np.mean([t["1.0"] / t["0.1"] for t in seconds])  # type: ignore[index,call-overload]
    kind = "reproduced" if falls and ratio.value <= 0.5 else ("direction reproduced" if falls else "not reproduced")
    return Verdict(kind, f"A tree on 10 % of the rows takes {1 / faster:.2f} of the time.", ratio)


def draw_payload(values: Sequence[Values], path: Path) -> None:
    """Megabytes and seconds per tree against the share."""
    canvas, axes = figure(1, 2, (4.2, 3.2))
    for axis, name, unit in zip(axes, ("megabytes", "seconds"), ("MB a tree", "s a tree"), strict=True):
        shares = [float(share) for share in values[0][name]]  # type: ignore[union-attr]
        table = np.array([list(v[name].values()) for v in values])  # type: ignore[union-attr]
        axis.errorbar(shares, table.mean(0), yerr=table.std(0), fmt="o-", color="#0072b2", capsize=3)
        axis.set(xlabel="share of the rows each tree sees", ylabel=unit, ylim=(0, None), xlim=(0, 1.05))
    canvas.suptitle(f"Stochastic mode, {values[0]['rows']} rows, 16 + 16 columns, 31 leaves")
    save(canvas, path)


def slowdown(s: Slowdown, job: Job) -> Values:
    """Seconds per iteration of both, and their ratio, per table size."""
    import lightgbm

    ratio, secure, plain = {}, {}, {}
    for n_rows in s.rows:
        values, labels = make_table(n_rows, job.seed)
        config = settings(s.trees)
        secure[str(n_rows)] = float(np.median([r.seconds for r in train(values, labels, config, workers=s.workers)]))
        data = lightgbm.Dataset(values, labels)
        options = lightgbm_settings(config) | {"objective": "binary"}
        lightgbm.train(options, data, 2)
        begun = time.perf_counter()
        lightgbm.train(options, data, 20)
        plain[str(n_rows)] = (time.perf_counter() - begun) / 20
        ratio[str(n_rows)] = secure[str(n_rows)] / plain[str(n_rows)]
    return {"slowdown": dict(ratio), "secure_seconds": dict(secure), "lightgbm_seconds": dict(plain)}


def judge_slowdown(values: Sequence[Values]) -> Verdict:
    """All sizes within the paper's range."""
    tables = [v["slowdown"] for v in values]
    means = {name: float(np.mean([t[name] for t in tables])) for name in tables[0]}  # type: ignore[index,union-attr,call-overload]
    sizes = list(means)
    falls = means[sizes[-1]] < means[sizes[0]]
    inside = all(3 <= value <= 64 for value in means.values())
    listed = ", ".join(f"{value:.0f}x at {name} rows" for name, value in means.items())
    reason = f"{listed}; the ratio {'falls' if falls else 'does not fall'} as the table grows."
    return Verdict("reproduced" if inside else "not reproduced", reason, Estimate("slowdown", means[sizes[-1]], unit="x"))


def draw_slowdown(values: Sequence[Values], path: Path) -> None:
    """The ratio against the number of rows, with the paper's range."""
    canvas, axis = figure(size=(5.6, 3.4))
    rows = [int(name) for name in values[0]["slowdown"]]  # type: ignore[union-attr]
    for v in values:
        axis.loglog(rows, list(v["slowdown"].values()), "o-", color="#c1272d", alpha=0.7)  # type: ignore[union-attr]
    axis.axhspan(3, 64, color="#0072b2", alpha=0.2)
    axis.set_xticks(rows, [f"{n:,}" for n in rows])
    axis.minorticks_off()
    axis.annotate("the paper's 3x to 64x", (rows[0], 12), fontsize=8, color="#0072b2")
    axis.set(xlabel="rows", ylabel="time per iteration over LightGBM's", ylim=(1, None), title="Slowdown against LightGBM")
    save(canvas, path)


EXPERIMENTS = [
    Experiment(
        Claim(
            id="S3",
            title="Sampling rows cuts payload and time",
            paper="1911.11997",
            where="abstract",
            statement="Stochastic approximation (a random part of the rows per iteration) cuts the communication payload "
            "and speeds training up.",
            reported="no figures in the abstract",
            criterion="Bytes and seconds per tree fall from 100 % over 30 % to 10 % of the rows, and bytes at 10 % are at "
            "most half of those at 100 %.",
            tolerance="Half: with the best stride, bytes grow with the square root of the rows, not with the rows.",
        ),
        {
            "smoke": Payload(seeds=1, rows=500, trees=1),
            "small": Payload(),
            "full": Payload(rows=32_768, workers=2),
        },
        payload,
        judge_payload,
        draw_payload,
    ),
    Experiment(
        Claim(
            id="S4",
            title="3x to 64x slower than LightGBM",
            paper="1911.11997",
            where="abstract (IEEE version)",
            statement="An iteration takes 3x to 64x the time of a LightGBM iteration.",
            reported="3x to 64x",
            criterion="The ratio of times per iteration is within 3 to 64 at every table size.",
            tolerance="The paper's own range; its machines, cores and parameters are not known to us.",
        ),
        {
            "smoke": Slowdown(seeds=1, rows=(300, 600), trees=1),
            "small": Slowdown(),
            "full": Slowdown(rows=(2048, 8192, 32_768), workers=2),
        },
        slowdown,
        judge_slowdown,
        draw_slowdown,
    ),
]
