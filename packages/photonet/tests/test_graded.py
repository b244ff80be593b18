"""Training on grades with a truth, with the transfer in the loop and without, and claim N21."""

import json

import numpy as np
import pytest
import torch

from claimkit.errors import InputError
from claimkit.runner import reproduce
from claimkit.style.images import write_image
from claimkit.training.crops import Crops
from photonet.claims.light import in_loop
from photonet.colour.grades import Grade
from photonet.training.graded import Graded, examples, train_graded
from photonet.weights import load_network


@pytest.fixture
def files(picture, tmp_path):
    for k in range(2):
        write_image(tmp_path / f"photos/{k}.png", picture(120, 130, seed=k)[0])
    return sorted((tmp_path / "photos").iterdir())


def test_content_and_style_share_half_and_the_truth_is_the_content_graded(files):
    settings = Graded(batch=3, crop=64, seed=4)
    content, style, truth = examples(Crops(files, seed=4), settings, 9)
    assert content.shape == style.shape == truth.shape == (3, 3, 64, 64)
    assert torch.equal(style[..., :32], truth[..., 32:]), "the style is the other half of the picture under the same grade"
    rng = np.random.default_rng([4, 9])
    for x, y in zip(content[:2], truth[:2], strict=True):
        assert torch.allclose(Grade.draw(rng)(x), y, atol=1e-6)
    again = examples(Crops(files, seed=4), settings, 9)
    assert all(torch.equal(a, b) for a, b in zip((content, style, truth), again, strict=True))


@pytest.mark.parametrize("in_loop", [True, False])
def test_training_lowers_its_losses_trains_the_decoder_alone_and_goes_on(in_loop, network, files, tmp_path):
    net, settings = network("stylenas"), Graded(in_loop=in_loop, batch=2, crop=64, learning_rate=2e-3)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    train_graded(net, net.encoder, files, tmp_path / "run", 4, settings)
    path = train_graded(net, net.encoder, files, tmp_path / "run", 60, settings, resume=True)
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert log[-1]["total"] < log[0]["total"]
    changed = {k.split(".")[0] for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"decoder"}
    assert load_network("graded", path).architecture == net.architecture


def test_the_decoder_is_given_what_the_transfer_leaves(network, files, tmp_path, monkeypatch):
    """Where content and style are one picture, a transfer changes nothing and the twins see the same; else they differ."""
    seen: dict[bool, list[torch.Tensor]] = {}
    for loop in (True, False):
        net = network("stylenas")
        inner = net.decoder.forward
        kept = seen.setdefault(loop, [])
        monkeypatch.setattr(
            net.decoder, "forward", lambda levels, kept=kept, inner=inner: kept.append(levels[1]) or inner(levels)
        )
        train_graded(net, net.encoder, files, tmp_path / f"{loop}", 1, Graded(in_loop=loop, batch=2, crop=64))
    moved, plain = seen[True][0], seen[False][0]
    assert moved.shape == plain.shape and not torch.allclose(moved, plain, atol=1e-2)


def test_a_transfer_inside_the_decoder_is_refused(network, files, tmp_path):
    with pytest.raises(InputError, match="before stages"):
        train_graded(network("photonas"), network("photonas").encoder, files, tmp_path / "run", 1, Graded())


def value(edges=0.85, halo=0.5, style=0.40, banding=0.02, error=14.0):
    noise = np.linspace(0.99, 1.01, 12)
    rows = {
        "edges": {in_loop.WITH: edges, in_loop.WITHOUT: 0.80},
        "halo": {in_loop.WITH: halo, in_loop.WITHOUT: 0.9},
        "style": {in_loop.WITH: style, in_loop.WITHOUT: 0.40, in_loop.CONTENT: 0.7},
        "banding": {in_loop.WITH: banding, in_loop.WITHOUT: 0.02},
        "errors": {in_loop.WITH: error, in_loop.WITHOUT: 16.0},
    }
    made = {k: {n: (x * noise).tolist() for n, x in row.items()} for k, row in rows.items()}
    errors = {"near, whole": made.pop("errors")}
    return {**made, "errors": errors, "steps": 1, "longest": 64, "encoders": "An encoder."}


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({}, "reproduced"),
        ({"style": 0.43}, "direction reproduced"),
        ({"banding": 0.04}, "direction reproduced"),
        ({"edges": 0.79}, "not reproduced"),
        ({"halo": 0.95}, "not reproduced"),
        ({"error": 16.5}, "not run"),
    ],
)
def test_the_transfer_in_the_loop_needs_drawing_halo_style_and_a_training_that_took_hold(changed, kind):
    assert in_loop.judge_loop([value(**changed)]).kind == kind


def test_trainings_are_averaged_pair_by_pair():
    verdict = in_loop.judge_loop([value(edges=0.9), value(edges=0.7)])
    assert verdict.kind == "not reproduced" and verdict.effect is not None and abs(verdict.effect.value) < 1e-9


@pytest.mark.slow
def test_the_claim_runs_at_smoke(tmp_path):
    (outcome,) = reproduce("photonet", ["N21"], preset="smoke", out=tmp_path)
    assert outcome.record is not None and outcome.record.evidence is not None, outcome.error
    values = outcome.record.evidence.seeds[0].values
    assert set(values["edges"]) == {"mk", "matched", "before", "with", "without"} and len(values["halo"]["with"]) == 2
    assert [line["step"] for line in values["logs"]["with"]] == [2]
