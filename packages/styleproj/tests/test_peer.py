"""MicroAST computes what its published code computes, and the claims beside it say what their criterion says."""

import math

import numpy as np
import pytest
import torch

from claimkit.assets import Assets
from claimkit.errors import NotAvailableError
from claimkit.experiment import Job
from styleproj.claims.peer import DEEP, EXPERIMENTS, OURS, PEER, Beside, couples, judge, measure
from styleproj.claims.weights import COLOURS, MEASURES
from styleproj.networks.microast import MicroAST


def wave(shape, at):
    """Numbers that any program makes alike."""
    return (torch.arange(math.prod(shape), dtype=torch.float64) * 0.7 + at).sin().reshape(shape).float()


def made_up():
    """Weights in the order of the published file, so that ``wave`` gives them the values its own code was run with."""
    encoder = {
        "enc1.0": (16, 3, 9),
        "enc1.2": (32, 1, 3),
        "enc1.4": (32, 32, 1),
        "enc1.6": (64, 1, 3),
        "enc1.8": (64, 64, 1),
    }
    block = (64, 64, 3)
    encoder |= {f"{n}.conv{i}": block for n in ("enc1.10", "enc2.0") for i in (1, 2)}
    modulator = {f"{kind}{n}.0": (64, 1, 3) for n in (1, 2) for kind in ("weight", "bias")}
    decoder = {f"{n}.conv{i}": block for n in ("dec1", "dec2") for i in (1, 2)}
    decoder |= {
        "dec3.1": (32, 2, 3),
        "dec3.3": (32, 32, 1),
        "dec3.6": (16, 2, 3),
        "dec3.8": (16, 16, 1),
        "dec3.10": (3, 16, 9),
    }
    parts = {"content_encoder": encoder, "style_encoder": encoder, "modulator": modulator, "decoder": decoder}
    weights = {}
    for part, layers in parts.items():
        for i, (name, (outputs, inputs, side)) in enumerate(layers.items()):
            shape = (outputs, inputs, side, side)
            weights[f"{part}.{name}.conv_layer.weight"] = wave(shape, 2 * i) * (4 / math.prod(shape[1:])) ** 0.5
            weights[f"{part}.{name}.conv_layer.bias"] = 0.1 * wave((outputs,), 2 * i + 1)
    weights["decoder.dec3.10.conv_layer.bias"] += 0.5
    return weights


PUBLISHED = (  # what the published code makes of made_up(), every fifth row and seventh column
    ((0.3857, 0.4202, 0.3862), (0.3970, 0.3918, 0.3968), (0.3897, 0.3681, 0.3811), (0.3763, 0.3557, 0.3613)),
    ((0.4174, 0.3745, 0.4422), (0.4115, 0.4039, 0.4147), (0.4151, 0.4596, 0.4227), (0.4207, 0.5314, 0.4429)),
    ((0.4616, 0.4917, 0.4238), (0.4593, 0.4759, 0.4547), (0.4612, 0.4159, 0.4582), (0.4661, 0.3203, 0.4478)),
)


def test_microast_computes_what_its_published_code_computes():
    content, style = ((wave(shape, at) + 1) / 2 for shape, at in (((3, 16, 20), 0), ((3, 12, 16), 5)))
    picture = MicroAST(made_up()).stylize(content, style)
    expected = torch.tensor(PUBLISHED)
    torch.testing.assert_close(picture[:, ::5, ::7], expected, rtol=0, atol=1e-4)


def test_a_style_may_be_prepared_and_sides_need_be_no_multiples_of_four():
    peer, content, style = MicroAST(made_up()), (wave((3, 17, 19), 0) + 1) / 2, (wave((3, 12, 16), 5) + 1) / 2
    picture = peer.stylize(content, peer.prepare(style))
    assert picture.shape == content.shape
    assert torch.equal(picture, peer.stylize(content, style))


def values(**changes):
    """Sixteen styles, two pairs each: as the criterion asks, but for what is changed."""
    rng = np.random.default_rng(0)
    base = {"style": 0.2, "Gram": 0.3, "content": 0.7, "raw content": 0.8, "edges": 0.45, "weave": 1.1, "foreign": 0.04}
    base |= {"clipped": 0.02}
    ours = base | {"style": 0.18, "Gram": 0.28, "content": 0.69, "edges": 0.55, "foreign": 0.005} | changes
    rows = {OURS: ours, DEEP: ours, PEER: base, COLOURS: base | {"Gram": 0.5}}
    noise = 1 + 0.01 * rng.standard_normal((len(rows), len(MEASURES), 32))
    found = {
        n: {m: (row[m] * noise[i, k]).tolist() for k, m in enumerate(MEASURES)} for i, (n, row) in enumerate(rows.items())
    }
    return [{"measures": found, "styles": [f"s{i // 2}" for i in range(32)], "contents": ["c"] * 32}]


def test_the_verdict_is_that_of_the_criterion():
    assert judge(values()).kind == "reproduced"
    assert judge(values(style=0.2)).kind == "reproduced", "one of the two distances may be equal"
    assert judge(values(style=0.22)).kind == "direction reproduced"
    assert judge(values(style=0.2, Gram=0.3)).kind == "not reproduced"
    for worse in ({"content": 0.75}, {"edges": 0.49}, {"weave": 1.3}, {"foreign": 0.02}, {"clipped": 0.04}):
        assert judge(values(**worse)).kind == "direction reproduced", worse
        assert f"Missed: {next(iter(worse))}." in judge(values(**worse)).reason


def test_a_judge_who_sees_no_style_decides_nothing():
    blind = values()
    blind[0]["measures"][COLOURS]["Gram"] = [0.2] * 32
    assert judge(blind).kind == "not run"


def test_without_the_peers_weights_the_claim_says_what_it_needs(tmp_path):
    with pytest.raises(NotAvailableError, match="needs the data set"):
        measure(Beside(), Job(0, assets=Assets(tmp_path)))


def test_every_style_gets_as_many_contents_and_no_pair_comes_twice(tmp_path):
    for kind, count in (("content", 11), ("style", 20)):
        (tmp_path / "unseen" / kind).mkdir(parents=True)
        for i in range(count):
            (tmp_path / "unseen" / kind / f"{i:02}.jpg").write_bytes(b"")
    pairs = couples(EXPERIMENTS[1].presets["full"], Job(0, assets=Assets(tmp_path)))
    assert len(pairs) == len(set(pairs)) == 30
    assert {sum(t == style for _, t in pairs) for _, style in pairs} == {2}
    assert all(len({c for c, _ in pairs[i : i + 11]}) == 11 for i in (0, 11)), "all contents come in turn"
