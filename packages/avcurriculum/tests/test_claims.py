"""Claims run at smoke; judges say what their criterion says, on values made up for it."""

import numpy as np
import pytest

from avcurriculum.claims import (
    EXPERIMENTS,
    assignment,
    convergence,
    counting,
    filmed,
    folds,
    localization,
    order,
    representation,
    separation,
)
from avcurriculum.claims.common import crossed_interval
from claimkit.runner import reproduce

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers():
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.mark.slow
def test_every_claim_runs_at_smoke(tmp_path):
    outcomes = {o.claim: o for o in reproduce("avcurriculum", preset="smoke", out=tmp_path)}
    assert list(outcomes) == ["E1", "E1b", "E2", "E3", "E3b", "E4", "E4b", "E5", "E5b", "E6", "E7", "E7b"]
    assert not [o.error for o in outcomes.values() if o.record is None]
    assert {outcomes[c].record.verdict.kind for c in ("E7", "E7b")} == {"not run"}, "their clips are the user's"
    for o in outcomes.values():
        assert (o.record.picture is None) or (tmp_path / o.record.picture).stat().st_size > 5_000


def test_presets_are_missing_where_they_need_films_or_hours():
    assert {e.claim.id for e in EXPERIMENTS if "full" not in e.presets} == {"E4b"}
    assert {e.claim.id for e in EXPERIMENTS if not {"smoke", "small"} <= set(e.presets)} == {"E3b", "E7", "E7b"}


def test_the_claims_on_the_order_share_their_measurement_at_small_and_criterion():
    one, six = order.EXPERIMENTS
    assert one.presets["small"] == six.presets["small"] and one.claim.criterion == six.claim.criterion
    assert one.presets["full"].architecture.backbone == "pretrained" and six.presets["full"].architecture.backbone == "small"


def test_crossed_interval_is_wider_than_either_alone_and_covers_the_mean():
    table = RNG.standard_normal((5, 1)) + RNG.standard_normal((1, 60)) + 2
    e = crossed_interval(table, "x")
    assert e.low < table.mean() < e.high
    assert e.high - e.low > 3 * table.mean(0).std() / np.sqrt(60)


def orders(pair, iou, first, seeds=4, n=80):
    def arm(p, i, step):
        validation = [[s, 0.0, 0.7 if s >= step else 0.5] for s in (50, 100, 150)]
        hits = {"pair": list(map(int, RNG.uniform(size=n) < p)), "iou@0.3": list(map(float, RNG.uniform(size=n) < i))}
        return {"validation": validation, "k3": hits}

    arms = {"direct": (0.5, 0.2, 100), "easy_to_hard": (0.5 + pair, 0.2 + iou, first)}
    arms |= {"mixed": arms["easy_to_hard"], "hard_to_easy": arms["direct"]}
    return [{"arms": {name: arm(*x) for name, x in arms.items()}} for _ in range(seeds)]


@pytest.mark.parametrize(
    ("pair", "iou", "first", "kind"),
    [
        (0.4, 0.5, 50, "reproduced"),
        (0.4, 0.5, 150, "direction reproduced"),
        (-0.4, 0.5, 50, "not reproduced"),
        (0.4, -0.2, 50, "not reproduced"),
    ],
)
def test_order_needs_both_scores_and_speed(pair, iou, first, kind):
    verdict = order.judge(orders(pair, iou, first))
    assert verdict.kind == kind and "mixed" in verdict.reason and "hard_to_easy" in verdict.reason
    assert order.judge(orders(pair, iou, first, seeds=1)).kind == "not run"


def test_clusters_must_beat_every_baseline():
    def values(worst):
        def rows(p):
            return {n: list(map(float, RNG.uniform(size=80) < p)) for n in ("iou@0.3", "pointing")}

        others = (*localization.UNLEARNED, *localization.HEADS, "grid bound")
        return [
            {
                f"k{k}": {
                    "clusters": rows(0.6),
                    "grey": grey,
                    **{o: rows(worst if o == "center" else 0.1) for o in others},
                }
                for k in (2, 3)
            }
            for _ in range(3)
        ]

    grey = {"iou@0.3": {"true": 0.11, "chance": 0.12}, "pointing": {"true": 0.26, "chance": 0.25}}

    verdict = localization.judge(values(0.1))
    assert verdict.kind == "reproduced"
    assert "IoU@0.3 0.110, chance 0.120; pointing 0.260, chance 0.250 between the tiles" in verdict.reason
    assert localization.judge(values(0.7)).kind == "not reproduced"


@pytest.mark.parametrize(
    ("gain", "control", "random", "kind"),
    [
        (8, 0.12, 60, "reproduced"),
        (8, 0.3, 60, "direction reproduced"),
        (-3, 0.12, 60, "not reproduced"),
        (0, 0.1, 99, "not run"),
    ],
)
def test_representation_is_judged_with_its_control(gain, control, random, kind):
    accuracy = {"random": [random + x for x in (0.0, 0.5, -0.5)], "mel": [50.0] * 3}
    accuracy["learned"] = [x + gain + d for x, d in zip(accuracy["random"], (0.1, 0.0, -0.1), strict=True)]
    retrieval = {"learned": [0.5, 0.5, 0.5, 0.5], "shuffled pairs": [control] * 4}
    assert representation.judge([{"accuracy": accuracy, "retrieval": retrieval, "chance": 0.125}]).kind == kind


@pytest.mark.parametrize(
    ("seen", "label", "kind"),
    [(3.0, 4.0, "reproduced"), (1.2, 4.0, "direction reproduced"), (0.0, 4.0, "not reproduced"), (0.0, 0.1, "not run")],
)
def test_separation_needs_half_a_decibel_and_half_of_the_labels_gain(seen, label, kind):
    def values():
        means = {"audiovisual": seen, "blind": 0.0, "random-visual": 0.1, "one-hot": label, "nmf": 3.0}
        return {"arms": {a: {"nsdr": list(m + 0.2 * RNG.standard_normal(60))} for a, m in means.items()}}

    assert separation.judge([values() for _ in range(3)]).kind == kind


@pytest.mark.parametrize(
    ("assigned", "order", "labels", "blank", "error", "kind"),
    [
        (3.0, 1.0, 4.0, 1.0, 1e-6, "reproduced"),
        (3.0, 1.0, 4.0, 1.0, 1e-4, "direction reproduced"),  # stems that do not sum to the mixture
        (1.5, 1.0, 4.0, 1.0, 1e-6, "direction reproduced"),  # less than half of what labels give
        (3.0, 3.0, 4.0, 3.0, 1e-6, "not reproduced"),  # no better than in random order
        (3.0, 1.0, 0.4, 1.0, 1e-6, "not run"),  # labels give nothing
        (3.0, 1.0, 4.0, 2.0, 1e-6, "not run"),  # who has learned nothing assigns rightly, too
    ],
)
def test_blind_stems_need_half_of_the_labels_gain_and_a_network_that_listens(assigned, order, labels, blank, error, kind):
    means = {"told": 1.0, "assigned": assigned, "random order": order, "better order": 5.0, "one-hot": labels}
    means |= {"assigned by an untrained network": blank, "ideal ratio mask": 13.0}

    def values(seed):
        off = {"assigned": 0.01, "one-hot": 0.02, "assigned by an untrained network": 0.03}
        return {"gain": {a: [m + off.get(a, 0.0) * (-1) ** seed] * 4 for a, m in means.items()}, "sum": error}

    verdict = assignment.judge([values(seed) for seed in range(4)])
    assert verdict.kind == kind and "ideal ratio mask 13.00" in verdict.reason
    assert verdict.effect.value == pytest.approx(assigned - labels / 2, abs=0.01)
    assert assignment.judge([values(0)]).kind == "not run"


@pytest.mark.parametrize(
    ("easy", "end", "shuffled", "kind"),
    [
        (0.8, 0.9, 0.5, "reproduced"),
        (0.715, 0.9, 0.5, "direction reproduced"),  # a mean above zero whose interval is not
        (0.6, 0.9, 0.5, "not reproduced"),
        (0.8, 0.59, 0.5, "not run"),  # nothing was learned
        (0.8, 0.9, 0.56, "not run"),  # and yet pairs that say nothing teach something
    ],
)
def test_convergence_is_judged_by_the_area_and_not_by_the_end(easy, end, shuffled, kind):
    def curve(area, seed, end):
        off = 0.03 * (-1) ** seed
        return [[5, area + off], [10, 3 * area + off - (area + off) - end], [15, end]]  # mean: area + off / 3

    def values(seed):
        means = {"easy_to_hard": easy, "direct": 0.7, "mixed": 0.75, "shuffled pairs": shuffled}
        signs = {"easy_to_hard": seed}
        return {"curves": {arm: curve(m, signs.get(arm, seed + 1), end) for arm, m in means.items()}}

    verdict = convergence.judge([values(seed) for seed in range(4)])
    assert verdict.kind == kind and verdict.effect.value == pytest.approx(easy - 0.7)
    assert convergence.judge([values(0)]).kind == "not run"


def test_the_area_of_the_whole_curve_decides_where_the_ends_are_alike():
    assert convergence.area([[5, 0.5], [10, 1.0]]) == 0.75 < convergence.area([[5, 0.9], [10, 1.0]])


def test_counting_is_judged_by_its_worst_seed():
    scores = {a: {"pair": 0.5, "iou@0.3": 0.1} for a in ("true", "estimated", "direct")}
    row = {"confusion": np.eye(3, dtype=int).tolist(), "scores": scores}
    assert counting.judge([row | {"correlation": c} for c in (0.8, 0.6)]).kind == "reproduced"
    assert counting.judge([row | {"correlation": c} for c in (0.8, 0.4)]).kind == "not reproduced"


@pytest.mark.parametrize(
    ("counter", "plain", "shuffled", "kind"),
    [
        (0.7, 0.2, 0.1, "reproduced"),
        (0.4, 0.2, 0.1, "direction reproduced"),
        (0.7, 0.8, 0.1, "not reproduced"),
        (0.7, 0.2, 0.5, "not run"),
    ],
)
def test_counting_over_folds_is_judged_by_intervals_its_baseline_and_its_control(counter, plain, shuffled, kind):
    confusion = np.eye(3, dtype=int).tolist()
    values = []
    for i, d in enumerate((0.02, 0.0, -0.02, 0.01, -0.01)):
        sign = (-1) ** i  # a control counts by its size, whatever its sign
        found = {"counter": counter + d, "spread": plain - d, "shuffled": sign * shuffled, "loudness": 0.8}
        values.append({"confusion": confusion, "correlation": found})
    assert folds.judge(values).kind == kind and folds.judge(values[:1]).kind == "not run"


def test_seeds_draw_sounds_windows_and_scenes_anew():
    from claimkit.experiment import Job

    settings = folds.FoldSettings(scenes=24, held_out=12)
    one, two = (folds.measure(settings, Job(seed)) for seed in (0, 1))
    assert one == folds.measure(settings, Job(0))
    assert all(one["correlation"][name] != two["correlation"][name] for name in ("spread", "loudness"))


@pytest.mark.parametrize(
    ("gain", "pointing", "rank", "clips", "kind"),
    [
        (0.2, 0.5, 0.3, 30, "reproduced"),
        (0.2, 0.5, 0.5, 30, "direction reproduced"),
        (0.2, 0.0, 0.3, 30, "not reproduced"),
        (-0.2, 0.5, 0.1, 30, "not reproduced"),
        (0.2, 0.5, 0.3, 19, "not run"),
    ],
)
def test_filmed_clips_need_more_than_the_centre_and_a_sound_that_is_heard(gain, pointing, rank, clips, kind):
    noise = 0.01 * np.arange(clips) / clips
    still = {"cIoU": [0.4] * clips, "pointing": [0.5] * clips}
    model = {"cIoU": list(0.4 + gain + noise), "pointing": list(0.5 + pointing + noise - noise.mean())}
    paired = {"model": model, **dict.fromkeys(("center", "saliency", "whole picture"), still)}
    verdict = filmed.judge([{"paired": paired, "rank": rank, "missing": 0}])
    better = {"cIoU": [0.9] * clips, "pointing": [1.0] * clips}
    centred = filmed.judge([{"paired": paired | {"center": better}, "rank": 0.0, "missing": 0}])
    assert centred.kind != "reproduced", "the centre decides, not the saliency"
    assert verdict.kind == kind and (kind == "not run" or f"Mean rank of the own sound {rank:.2f}" in verdict.reason)


def test_films_are_measured_clip_by_clip_beside_what_does_not_listen(clip, tmp_path):
    """Two clips with boxes and one that is missing: one value a clip and candidate, the missing one is counted."""
    import json
    import shutil

    from claimkit.assets import Assets
    from claimkit.experiment import Job

    (tmp_path / "filmed").mkdir()
    for name in "ab":
        shutil.copy(clip, tmp_path / "filmed" / f"{name}.mp4")
    boxes = [{"file": name, "class": name, "bbox": [[0.0, 0.0, 0.5, 1.0]]} for name in "abc"]
    (tmp_path / "filmed" / "boxes.json").write_text(json.dumps(boxes))
    values = filmed.measure(filmed.FilmedSettings(), Job(0, assets=Assets(tmp_path)))
    assert values["missing"] == 1 and values["rank"] == 0.5 and set(values["paired"]) >= {"model", "center"}
    assert values["paired"]["whole picture"] == {"cIoU": [0.5, 0.5], "pointing": [0.5, 0.5]}
    (tmp_path / "filmed" / "development.json").write_text('["c"]')
    unseen = filmed.measure_unseen(filmed.FilmedSettings(), Job(0, assets=Assets(tmp_path)))
    assert unseen["missing"] == 0 and len(unseen["paired"]["model"]["cIoU"]) == 2, "the third one helped to choose"
    assert (
        unseen["paired"]["center"] == values["paired"]["center"] and unseen["paired"]["model"] != values["paired"]["model"]
    )
