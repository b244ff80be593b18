"""Claim N19: how photographs are drawn, what is measured on them, and its bars."""

import hashlib

import numpy as np
import pytest
import torch

from claimkit.errors import InputError
from claimkit.experiment import Job
from claimkit.style.images import write_image
from photonet.claims.light import unseen
from photonet.claims.light.known import LIGHTS, VIEWS
from photonet.stylizer import METHOD

KINDS = [f"{view}, {light}" for light in LIGHTS for view in VIEWS]


@pytest.fixture
def folder(tmp_path):
    """Four photographs, one of them twice, one too small, one that is none, and a text."""
    generator = torch.Generator().manual_seed(0)
    for name in "abcd":
        write_image(tmp_path / f"{name}.jpg", torch.rand(3, 480, 500, generator=generator))
    (tmp_path / "again.JPEG").write_bytes((tmp_path / "a.jpg").read_bytes())
    write_image(tmp_path / "small.jpg", torch.rand(3, 479, 900, generator=generator))
    (tmp_path / "none.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    return tmp_path


def test_what_is_drawn_is_a_matter_of_the_bytes_alone(folder):
    contents = [(folder / f"{n}.jpg").read_bytes() for n in "abcd"]
    order = sorted(contents, key=lambda d: hashlib.sha256(unseen.SALT + d).digest())
    found = list(unseen.draw(folder, 4, 100))
    assert [digest for digest, _ in found] == [hashlib.sha256(d).hexdigest() for d in order]
    assert all(x.shape == (3, 96, 100) for _, x in found)
    assert [d for d, _ in unseen.draw(folder, 2, 100)] == [d for d, _ in found[:2]]
    with pytest.raises(InputError, match="has 4 photographs of 480 pixels and more: this needs 5"):
        list(unseen.draw(folder, 5, 100))


def test_the_first_half_are_contents_and_the_second_styles(folder, tmp_path):
    job = Job(0)
    job.assets.folder = folder.parent
    folder.rename(folder.parent / unseen.FOLDER)
    found = unseen.pairs(unseen.Unseen(drawn=2, longest=50), job)
    digests = [d for d, _ in unseen.draw(folder.parent / unseen.FOLDER, 4, 50)]
    assert [n for n, *_ in found] == [f"{digests[0]}|{digests[2]}", f"{digests[1]}|{digests[3]}"]


def values(**changed):
    noise = np.linspace(0.98, 1.02, 10)
    rows = {
        "edges": {"mk": 0.9, METHOD: 0.9},
        "style": {"mk": 0.5, METHOD: 0.5},
        "halo": {"mk": 0.05, METHOD: 0.05},
        "banding": {"mk": 0.01, METHOD: 0.01},
        "seconds": {"mk": 1.0, METHOD: 6.0},
    }
    level = {"content": 30, "mk": 20, METHOD: 12}
    errors = {k: {n: (x * noise).tolist() for n, x in level.items()} for k in KINDS}
    untouched = 0.8
    for where, value in changed.items():
        if where in ("errors", "light"):
            for k in KINDS if where == "errors" else KINDS[-1:]:
                errors[k][METHOD] = (value * noise).tolist()
        elif where == "untouched":
            untouched = value
        else:
            rows[where][METHOD] = value
    found = {k: {n: (x * noise).tolist() for n, x in row.items()} for k, row in rows.items()}
    about = {"longest": 512, "square": 512, "encoders": "An encoder."}
    return {**found, "untouched": (untouched * noise).tolist(), "errors": errors, **about}


@pytest.mark.parametrize(
    ("changed", "kind", "missed"),
    [
        ({}, "reproduced", "none"),
        ({"errors": 16.5}, "direction reproduced", "truth"),
        ({"errors": 21.0}, "not reproduced", "truth, no light worse"),
        ({"light": 20.5}, "direction reproduced", "no light worse"),
        ({"edges": 0.87}, "direction reproduced", "edges"),
        ({"style": 0.56}, "direction reproduced", "style"),
        ({"halo": 0.17}, "direction reproduced", "halo"),
        ({"banding": 0.03}, "direction reproduced", "banding"),
        ({"seconds": 11.0}, "direction reproduced", "time"),
        ({"untouched": 0.4}, "not run", "none"),
    ],
)
def test_every_bar_counts(changed, kind, missed):
    verdict = unseen.judge_unseen([values(**changed)])
    assert verdict.kind == kind
    assert f"Bars missed by {METHOD}: {missed}." in verdict.reason


def test_the_classical_methods_and_the_default_are_measured():
    s = unseen.Unseen(contents=1, styles=2, longest=48, grades=1, square=32, clocked=1)
    found = unseen.measure(s, Job(0))
    assert set(found["style"]) == {"mk", "reinhard", "idt", "histogram", METHOD}
    assert len(found["pairs"]) == len(found["untouched"]) == 2 and len(found["errors"][KINDS[0]]["mk"]) == 1
