"""The rule of claim N15, bar by bar, and its cases; the limits of N16."""

import numpy as np
import pytest
import torch

from claimkit.experiment import Job
from photonet.claims.cost import large
from photonet.claims.light import known
from photonet.colour.grades import below
from photonet.samples import photograph

KINDS = [f"{view}, {light}" for light in known.LIGHTS for view in known.VIEWS]
NAMES = ("mk", "matched", "regions")


def values(**changed):
    """Ten photographs and pairs where the matched matrix meets every bar, and what is changed of it."""
    noise = np.linspace(0.98, 1.02, 10)
    level = {"content": 30, "mk": 20, "matched": 12, "regions": 15, "regions given": 14}
    rows = {
        "edges": {"mk": 0.9, "matched": 0.9, "regions": 0.7},
        "style": {"mk": 0.5, "matched": 0.5, "regions": 0.5},
        "halo": {"mk": 0.05, "matched": 0.05, "regions": 0.05},
        "banding": {"mk": 0.01, "matched": 0.01, "regions": 0.01},
        "seconds": {"mk": 1.0, "matched": 6.0, "regions": 60.0},
    }
    errors = {k: {n: (x * noise).tolist() for n, x in level.items()} for k in KINDS}
    for where, value in changed.items():
        kind, _, name = where.partition("_")
        if kind == "errors":
            for k in KINDS if name != "light" else KINDS[-1:]:
                errors[k]["content" if name == "control" else "matched"] = (value * noise).tolist()
        else:
            rows[kind]["matched"] = value
    found = {k: {n: (x * noise).tolist() for n, x in row.items()} for k, row in rows.items()}
    return {**found, "errors": errors, "longest": 192, "square": 512, "encoders": "An encoder."}


def test_the_rule_takes_what_meets_every_bar():
    verdict = known.judge_known([values()])
    assert verdict.kind == "reproduced" and "The rule chooses matched" in verdict.reason
    assert verdict.effect.value == pytest.approx(-8) and verdict.effect.name == "error to the truth, matched - matrix"


@pytest.mark.parametrize(
    ("changed", "bar"),
    [
        ({"errors": 16.5}, "truth"),
        ({"errors_light": 20.5}, "no light worse"),
        ({"errors": 15.5}, "regions"),
        ({"edges": 0.87}, "edges"),
        ({"style": 0.56}, "style"),
        ({"halo": 0.17}, "halo"),
        ({"banding": 0.03}, "banding"),
        ({"seconds": 11.0}, "time"),
    ],
)
def test_one_bar_that_is_missed_keeps_the_matrix(changed, bar):
    verdict = known.judge_known([values(**changed)])
    assert verdict.kind == "direction reproduced" and "The rule chooses mk" in verdict.reason
    missed = verdict.reason.split("matched: ")[1].split(";")[0]
    assert bar in missed


def test_without_its_control_it_decides_nothing():
    assert known.judge_known([values(errors_control=19)]).kind == "not run"


def test_cases_show_the_same_grade_to_content_and_style():
    """Where both views see the same place, the style is the truth; halves have nothing in common."""
    picture = photograph("coffee", 96)
    found = {kind: rest for _, kind, *rest in known.cases([picture], 0)}
    assert set(found) == set(KINDS)
    width = picture.shape[2]
    for kind, (content, style, truth, (mine, theirs)) in found.items():
        n = content.shape[2]
        assert content.shape == truth.shape and style.shape[2] == n and mine.shape[2] == n
        assert n == round((0.5 if kind.startswith("apart") else 2 / 3) * width)
        if kind.startswith("near"):
            common = 2 * n - width
            assert torch.equal(truth[:, :, n - common :], style[:, :, :common])
        assert bool(theirs.any()) == ("whole" not in kind)
    assert torch.equal(found["near, above and below"][3][0], below(*picture.shape[1:])[:, :, : round(2 / 3 * width)])


def test_errors_are_those_of_the_content_where_nothing_is_done():
    s = known.Known(photographs=1, grades=2, longest=64)
    use = {n: known.PhotoStylizer(method=n) for n in ("mk", "matched")}
    found = known.errors(known.photographs(s, Job(3)), 3, s.grades, use)
    wanted = [
        255 * float((content - truth).square().mean().sqrt())
        for _, kind, content, _, truth, _ in known.cases(known.photographs(s, Job(3)), 3, 2)
        if kind == "apart, pool"
    ]
    assert found["apart, pool"]["content"] == pytest.approx([np.mean(wanted)])
    assert found["near, whole"]["regions given"] == found["near, whole"]["mk"]


def test_a_large_picture_unasked_has_two_limits():
    def verdict(memory, used):
        row = {"memory_gb": memory, "before_gb": 0.5, "seconds": 9.0, "cpu_seconds": used}
        return large.judge_unasked([{"methods": {"default": row}, "size": "3840 x 2160", "threads": 2}]).kind

    assert [verdict(2, 5), verdict(2.6, 5), verdict(2, 7), verdict(3, 7)] == [
        "reproduced",
        "direction reproduced",
        "direction reproduced",
        "not reproduced",
    ]
