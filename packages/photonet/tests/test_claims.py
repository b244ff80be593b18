"""Every claim runs at preset smoke; judges say what their criterion says, on values made up for it."""

import os

import numpy as np
import pytest
import torch

from claimkit.experiment import Job
from claimkit.runner import reproduce
from photonet.claims import EXPERIMENTS
from photonet.claims.common import artistic_pairs, feature_distance, photo_pairs, style_distance, training_photographs
from photonet.claims.cost import kernel, large, ratios, speed
from photonet.claims.light import added, default, graded
from photonet.claims.pictures import ablation, artistic, preserved, sharp, video
from photonet.network.architecture import PRESETS
from photonet.samples import photograph

MINE = [f"N{i}" for i in range(1, 15)]
ENCODERS = "made up"


@pytest.mark.slow
def test_every_claim_runs_at_smoke(tmp_path):
    outcomes = {o.claim: o for o in reproduce("photonet", MINE, preset="smoke", out=tmp_path)}
    assert list(outcomes) == MINE
    assert not [o.error for o in outcomes.values() if o.record is None]
    for o in outcomes.values():
        assert o.record.evidence is not None, o.record.verdict.reason
        assert "encoder" in o.record.verdict.reason, "every result says which encoder it used"
        assert (o.record.picture is None) or (tmp_path / o.record.picture).stat().st_size > 5_000


def test_every_claim_is_measured_at_small_but_that_of_photographs_nobody_had_looked_at():
    assert [e.claim.id for e in EXPERIMENTS if "small" not in e.presets] == ["N19", "N20", "N21"]


_draw = np.random.default_rng(0)


def spread(mean, n=8):
    """Values that vary a little around exactly this mean."""
    noise = _draw.standard_normal(n)
    return list(mean + 0.01 * (noise - noise.mean()))


@pytest.mark.parametrize(
    ("sharpness", "gain", "style", "kind"),
    [
        (0.9, 0.0, 0.30, "reproduced"),
        (0.9, 0.3, 0.30, "direction reproduced"),
        (0.9, 0.0, 0.50, "direction reproduced"),
        (0.5, 0.0, 0.30, "not reproduced"),
    ],
)
def test_sharpness_needs_no_smoothing_and_no_less_style(sharpness, gain, style, kind):
    edges = {"PhotoNet": sharpness, sharp.SMOOTHED: sharpness + gain, "PhotoWCT": 0.6, "PhotoWCT + guided filter": 0.7}
    styles = {"PhotoNet": style, "PhotoWCT + matting": 0.3}
    value = {
        "edges": {n: spread(v) for n, v in edges.items()},
        "style": {n: spread(v) for n, v in styles.items()},
        "encoders": ENCODERS,
    }
    assert sharp.judge_sharp([value]).kind == kind


@pytest.mark.parametrize(
    ("insl", "bfa", "many", "kind"),
    [
        (0.1, 0.1, 0.1, "reproduced"),
        (0.1, 0.0, 0.1, "direction reproduced"),
        (0.1, -0.1, 0.0, "not reproduced"),
    ],
)
def test_each_part_has_its_own_measure(insl, bfa, many, kind):
    edges = {n: [0.8, 0.82, 0.79, 0.81] for n in ablation.REMOVED}
    style = {n: [0.3, 0.32, 0.29, 0.31] for n in ablation.REMOVED}
    edges["without INSL"] = [x - insl * f for x, f in zip(edges["PhotoNet"], (0.9, 1, 1.1, 1), strict=True)]
    edges["without BFA"] = [x - bfa * f for x, f in zip(edges["PhotoNet"], (0.9, 1, 1.1, 1), strict=True)]
    style["one transfer"] = [x + many * f for x, f in zip(style["PhotoNet"], (0.9, 1, 1.1, 1), strict=True)]
    value = {"edges": edges, "style": style, "steps": 1, "encoders": ENCODERS}
    assert ablation.judge_ablation([value]).kind == kind


def test_variants_lack_what_they_are_called_after():
    assert ablation.variant("PhotoNet") == PRESETS["photonet"]
    assert ablation.variant("without BFA").aggregated == () and ablation.variant("without INSL").skips == ()
    assert ablation.variant("one transfer").transfers == ("stage1.T",)
    without_norm = ablation.variant("skips without norm")
    assert without_norm.skips == (4, 3, 2, 1) and len(without_norm) == len(PRESETS["photonet"]) - 4


@pytest.mark.parametrize("name", list(ablation.REMOVED))
def test_variants_inherit_what_they_have_of_the_network(name, network):
    net = network("photonet")
    child = ablation.inherited(net.decoder, ablation.variant(name))
    levels = net.encode(torch.rand(1, 3, 48, 32))
    if name in ("PhotoNet", "one transfer"):
        torch.testing.assert_close(child(levels), net.decoder(levels))
    if name == "without BFA":
        expected = torch.nn.functional.conv2d(levels[5], net.decoder.pyramid.weight[:, :8], net.decoder.pyramid.bias)
        torch.testing.assert_close(child.bottleneck(levels), expected)
    if name == "without INSL":
        widest = net.decoder.conv17.weight
        assert child.conv17.weight.shape == (8, 8, 3, 3) and torch.equal(child.conv17.weight, widest[:, :8])
    assert torch.equal(child.conv18.weight, net.decoder.conv18.weight)


@pytest.mark.parametrize(
    ("fewer", "lost", "style", "kind"),
    [
        (0.1, 0.1, 0.3, "reproduced"),
        (0.1, -0.1, 0.3, "direction reproduced"),
        (0.1, 0.1, 0.6, "direction reproduced"),
        (-0.1, 0.1, 0.3, "not reproduced"),
    ],
)
def test_artefacts_are_judged_at_equal_style(fewer, lost, style, kind):
    value = {
        "artefacts": {"ArtNet": spread(0.2), "WCT": spread(0.2 + fewer)},
        "lost": {"ArtNet": spread(0.2), "WCT": spread(0.2 + lost)},
        "style": {"ArtNet": spread(style), "WCT": spread(0.3)},
        "encoders": ENCODERS,
    }
    assert artistic.judge_artistic([value]).kind == kind


def test_artefacts_are_contrasts_that_neither_picture_has():
    content, style = photograph("china", 128), photograph("rocket", 128)
    assert artistic.artefacts(content, content, style) <= 0.02
    assert artistic.artefacts(style, content, style) <= 0.02
    checkered = content.clone()
    checkered[:, ::2, ::2] += 0.5
    assert artistic.artefacts(checkered, content, style) > 0.5
    assert artistic.artefacts(torch.zeros_like(content), content, style) == 0


@pytest.mark.parametrize(
    ("student", "ssim", "kind"),
    [(0.2, 0.9, "reproduced"), (0.45, 0.9, "direction reproduced"), (0.7, 0.9, "not reproduced")],
)
def test_a_student_goes_at_least_half_of_the_way(student, ssim, kind):
    value = {
        "ssim": {"PhotoNAS": spread(ssim), "content": spread(0.5), "PhotoWCT": spread(0.5)},
        "features": {"PhotoNAS": [student] * 8, "content": spread(0.6), "PhotoWCT": spread(0.6)},
        "encoders": ENCODERS,
    }
    assert preserved.judge_preserved([value]).kind == kind


@pytest.mark.parametrize(
    ("mean", "kind"), [(33.0, "reproduced"), (29.999, "direction reproduced"), (25.0, "not reproduced")]
)
def test_the_bar_of_identity_is_thirty_decibels(mean, kind):
    assert preserved.judge_own([{"psnr": {"PhotoNet": spread(mean)}}]).kind == kind


def seconds(mine, bare, matting):
    t = {n: [1.0] * 3 for n in ("WCT2", "PhotoNet", speed.FOUND, "guided filter", "PhotoWCT, SVD in double precision")}
    t |= {f"{n}, convolutions": [0.5] * 3 for n in ("PhotoNAS", speed.FOUND, "PhotoNet", "PhotoWCT", "WCT2")}
    return t | {
        "PhotoNAS": [mine] * 3,
        "PhotoWCT": [bare] * 3,
        "PhotoWCT, style cached": [bare] * 3,
        "matting": [matting] * 3,
    }


@pytest.mark.parametrize(
    ("bare", "matting", "kind"),
    [(4.0, 20.0, "reproduced"), (2.0, 20.0, "direction reproduced"), (0.5, 20.0, "not reproduced")],
)
def test_speed_has_two_bars(bare, matting, kind):
    value = {"seconds": {"64 x 64": seconds(1.0, bare, matting)}, "threads": 1}
    assert speed.judge_speed([value]).kind == kind
    parts = speed.decomposed(value["seconds"]["64 x 64"])
    assert parts["PhotoWCT + matting"] == {
        "convolutions": 0.5,
        "transform": bare - 0.5 if bare > 0.5 else 0,
        "smoothing": matting,
    }


@pytest.mark.parametrize(
    ("eager", "apart", "kind"),
    [(2.0, 1e-6, "reproduced"), (1.5, 1e-6, "direction reproduced"), (2.0, 1e-3, "not reproduced")],
)
def test_lazy_is_faster_and_the_same(eager, apart, kind):
    t = {f"{n}, {way}": [1.0] * 3 for n in ("PhotoNAS", "PhotoNet") for way in ("lazy", "lazy with the style's share")}
    t |= {"PhotoNAS, eager": [eager] * 3, "PhotoNet, eager": [1.0] * 3}
    value = {"seconds": {"64 x 64": t}, "largest difference": {"PhotoNAS, 64 x 64": apart}, "threads": 1}
    assert speed.judge_lazy([value]).kind == kind


def test_lazy_and_eager_agree_and_what_has_no_transfers_keeps_its_weights(network):
    net = network("photonas")
    ways, apart = speed.both_ways(net, torch.rand(1, 3, 48, 64), torch.rand(1, 3, 32, 32))
    assert apart < 1e-4 and list(ways) == ["eager", "lazy", "lazy with the style's share"]
    bare = speed.without_transfers(net)
    assert bare.architecture.transfers == ()
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(bare(x, x), net.reconstruct(x))


@pytest.mark.parametrize(
    ("faster", "residual", "kind"),
    [(5.0, 1e-6, "reproduced"), (2.0, 1e-6, "direction reproduced"), (5.0, 1e-2, "not reproduced")],
)
def test_the_kernel_is_judged_where_channels_are_many(faster, residual, kind):
    names = {"64 x 8 x 8": 1.0, "256 x 8 x 8": faster}
    t = {n: {"SVD in double precision": [f] * 3, "ours": [1.0] * 3, "ours, style kept": [0.5] * 3} for n, f in names.items()}
    value = {"seconds": t, "residual": {"a": residual}, "residual of features": {"a": 0.1}, "condition": 1e7, "threads": 1}
    assert kernel.judge_kernel([value]).kind == kind


def test_generated_features_are_as_hard_as_they_are_called():
    x = kernel.features(16, 64, 1e4, torch.Generator().manual_seed(0))[0].double().flatten(1)
    assert 3e3 < torch.linalg.cond(x.cov()) < 3e4


def test_memory_is_that_of_the_full_network():
    networks = {"photonet": {"memory_gb": 4.1, "before_gb": 0.4, "seconds": 1.0}}
    value = {"networks": networks, "size": "1 x 1", "threads": 1}
    assert large.judge_large([value]).kind == "not reproduced"
    networks["photonet"]["memory_gb"] = 3.9
    assert large.judge_large([value]).kind == "reproduced"


@pytest.mark.parametrize(
    ("plain", "averaged", "kind"),
    [(0.5, 0.4, "reproduced"), (0.5, 0.5, "direction reproduced"), (1.5, 0.4, "not reproduced")],
)
def test_videos_are_steadier_than_the_cascades(plain, averaged, kind):
    noise = np.random.default_rng(1).uniform(0.98, 1.02, 8)
    levels = dict(zip(video.METHODS, (averaged, plain, 0.5, 1.0), strict=True))
    rows = {n: list(v * (noise if n == video.METHODS[3] else 1 / noise)) for n, v in levels.items()}
    assert video.judge_video([{"pan": rows, "noise": rows, "encoders": ENCODERS}]).kind == kind


def test_a_pan_shows_the_same_again_and_noise_does_not():
    s = video.Moving(frames=4, speed=3)
    picture = torch.rand(3, 8, 40)
    frames = video.pan(picture, s)
    assert {f.shape for f in frames} == {(3, 8, 31)} and video.changes(frames, 3) == 0
    assert video.changes(video.noisy(picture, s, torch.Generator().manual_seed(0)), 0) > 0
    assert video.changes(frames, 0) > 0.1


def test_distances_are_relative():
    f = [torch.rand(1, 3, 4, 4), torch.rand(1, 5, 2, 2)]
    assert feature_distance(f, f) == 0 and style_distance(f, f) == 0
    assert feature_distance([2 * x for x in f], f) == pytest.approx(1)
    assert style_distance([2 * x for x in f], f) == pytest.approx(3)


@pytest.mark.data
@pytest.mark.skipif(not os.environ.get("CLAIMKIT_DATA"), reason="CLAIMKIT_DATA is not set")
def test_development_data_have_the_pairs_and_keep_what_is_measured_out_of_training(tmp_path):
    s, job = sharp.Sharp(longest=64, development=True), Job(0)
    pairs = photo_pairs(s, job)
    assert len(pairs) == 47 and all(max(x.shape[1:]) == 64 for _, *both in pairs for x in both)
    measured = {name.split("|")[0] for name, *_ in artistic_pairs(artistic.Artistic(longest=64, development=True), job)}
    assert len(measured) == 9
    assert not {p.name for p in training_photographs(s, job, tmp_path)} & {name.split("/")[-1] for name in measured}


GOOD = {"edges": 0.9, "style": 0.3, "halo": 0.2, "banding": 0.01, "seconds": 0.05}


def default_values(**changes):
    """The matrix, and a network with one quantity changed."""
    matrix = {"edges": 0.9, "style": 0.4, "halo": 0.2, "banding": 0.01, "seconds": 0.01}
    rows = {
        k: {
            n: [v] * 8
            for n, v in ((default.MATRIX, matrix[k]), (default.KEPT, matrix[k]), ("photonas, ot", (GOOD | changes)[k]))
        }
        for k in matrix
    }
    rows["style"] = {n: spread(v[0]) for n, v in rows["style"].items()}
    regions = {k: {"whole": []} for k in ("edges", "style", "halo", "banding")}
    return {**rows, "regions": regions, "control": spread(0.8), "longest": 96, "encoders": ENCODERS}


@pytest.mark.parametrize(
    ("change", "missed", "kind"),
    [
        ({}, None, "reproduced"),
        ({"edges": 0.87}, "edges", "direction reproduced"),
        ({"halo": 0.4}, "halo", "direction reproduced"),
        ({"banding": 0.03}, "banding", "direction reproduced"),
        ({"seconds": 0.2}, "time", "direction reproduced"),
        ({"style": 0.37}, "style", "direction reproduced"),
        ({"style": 0.45}, "style", "not reproduced"),
    ],
)
def test_the_rule_chooses_a_network_only_if_it_misses_no_bar(change, missed, kind):
    value = default_values(**change)
    verdict = default.judge_default([value])
    assert verdict.kind == kind
    bars = default.passes({k: value[k] for k in GOOD}, "photonas, ot")
    assert [bar for bar, good in bars.items() if not good] == ([missed] if missed else [])
    assert f"The rule chooses {default.KEPT if missed else 'photonas, ot'}" in verdict.reason


def test_a_judge_that_does_not_see_a_transfer_decides_nothing():
    assert default.judge_default([default_values() | {"control": spread(0.4)}]).kind == "not run"


@pytest.mark.parametrize(
    ("found", "whole", "given", "kind"),
    [
        (7, 10, 5, "reproduced"),
        (9, 10, 5, "direction reproduced"),
        (7, 12, 5, "direction reproduced"),
        (10.5, 10, 5, "not reproduced"),
        (7, 10, 10.5, "not run"),
    ],
)
def test_regions_are_judged_by_the_error_to_the_truth(found, whole, given, kind):
    light = {"mk": spread(10), graded.FOUND: spread(found), graded.GIVEN: spread(given)}
    rows = {"mk": spread(10), graded.FOUND: spread(whole), graded.GIVEN: spread(10)}
    assert graded.judge_graded([{"light": light, "whole": rows, "longest": 96}]).kind == kind


@pytest.mark.parametrize(
    ("changes", "truth", "kind"),
    [
        ({}, (9, 9), "reproduced"),
        ({}, (9, 10.5), "direction reproduced"),
        ({}, (11.5, 9), "direction reproduced"),
        ({"halo": 0.4}, (9, 9), "direction reproduced"),
        ({"style": 0.45}, (9, 9), "not reproduced"),
    ],
)
def test_what_a_network_adds_meets_every_bar_or_is_no_default(changes, truth, kind):
    value = default_values(**changes)
    rows = {k: {added.ADDED if n == "photonas, ot" else n: v for n, v in value[k].items()} for k in added.KINDS}
    errors = {k: {default.KEPT: spread(10), added.ADDED: spread(e)} for k, e in zip(("whole", "light"), truth, strict=True)}
    verdict = added.judge_added([value | rows | {"truth": errors, "square": 64}])
    assert verdict.kind == kind and verdict.effect.name.startswith("Gram distance, local")


@pytest.mark.parametrize(
    ("matting", "bare", "again", "kind"),
    [
        (60, 4, 1.0, "reproduced"),
        (60, 2, 1.0, "direction reproduced"),
        (15, 4, 1.0, "direction reproduced"),
        (60, 0.9, 1.0, "not reproduced"),
        (60, 4, 1.3, "not run"),
    ],
)
def test_one_pass_is_judged_by_intervals_of_cpu_seconds(matting, bare, again, kind):
    each = {"matrix": 0.1, ratios.AGAIN: again, "PhotoWCT": bare, "PhotoWCT, SVD": 9, "guided filter": 1, "matting": matting}
    seconds = {n: [x * t for t in (0.99, 1.0, 1.01)] for n, x in each.items()} | {ratios.MINE: [1.0, 0.995, 1.005]}
    verdict = ratios.judge([{"seconds": seconds, "size": "64 x 64"}])
    assert verdict.kind == kind and "the matrix 0.1," in verdict.reason
