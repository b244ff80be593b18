"""The separator, ideal masks, and the factorisation; annotations of the three data sets."""

import json

import numpy as np
import pytest
import torch

from avcurriculum import annotations, nmf
from avcurriculum.metrics import si_sdr
from avcurriculum.mixing import constant_conditions, draw_mix, stems, train_separator, visual_conditions
from avcurriculum.model import Architecture, build
from avcurriculum.pools import fill, solo_sounds
from avcurriculum.scenes import Composer
from avcurriculum.separate import (
    Separator,
    SeparatorSettings,
    analyse,
    ideal_masks,
    load_separator,
    mask_loss,
    save_separator,
    synthesise,
    unwarp,
    warp,
)
from claimkit.errors import InputError

TINY = SeparatorSettings(condition=8, depth=3, ngf=4, channels=4, rows=64)


def waves(batch=2, samples=16_000):
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(0))


def test_analysis_and_synthesis_give_the_sound_back():
    x = waves()
    spec = analyse(x)
    again = synthesise(spec.stft, torch.ones(2, 1, *spec.stft.shape[1:]), x.shape[-1])[:, 0]
    torch.testing.assert_close(again, x, atol=1e-5, rtol=0)


def test_unwarping_inverts_warping_of_what_is_smooth():
    rows = torch.linspace(0, 1, 512)[None, :, None].expand(1, 512, 5)
    torch.testing.assert_close(unwarp(warp(rows, 128)), rows, atol=1e-3, rtol=0)
    assert warp(rows, 128)[0, [0, -1], 0].tolist() == pytest.approx([0, 1], abs=1e-6)


@pytest.mark.parametrize("cond", ["linear", "film"])
def test_masks_follow_their_conditions_and_any_length_is_taken(cond):
    torch.manual_seed(0)
    separator = Separator(SeparatorSettings(8, 3, 4, 4, 64, cond)).eval()
    z = torch.randn(2, 3, 8)
    out = separator.separate(waves(samples=9_999), z)
    assert out.shape == (2, 3, 9_999)
    torch.testing.assert_close(separator.separate(waves(samples=9_999), z.flip(1)), out.flip(1), atol=1e-5, rtol=1e-4)


def test_mask_loss_by_hand_and_the_better_order_counts_when_blind():
    mixture = torch.full((1, 2, 1), 2.0)
    sources = torch.tensor([[[[2.0], [0.0]], [[0.0], [2.0]]]])
    logits = 50.0 * torch.tensor([[[[1.0], [-1.0]], [[-1.0], [1.0]]]])
    assert mask_loss(logits, sources, mixture).item() == pytest.approx(0, abs=1e-6)
    assert mask_loss(logits.flip(1), sources, mixture).item() == pytest.approx(50 * np.log(3), rel=1e-5)
    assert mask_loss(logits.flip(1), sources, mixture, free=True).item() == pytest.approx(0, abs=1e-6)


def test_ideal_masks_and_the_factorisation_separate(packs):
    net = build(Architecture(widths=(4, 8, 8, 8), dim=8))
    shown = fill(Composer(packs["train"], 1), 40, net)
    mixes = [draw_mix(packs["train"], shown, np.random.default_rng(i)) for i in range(3)]
    s = stems(packs["train"], mixes)
    before = si_sdr(s.numpy(), s.sum(1, keepdim=True).numpy())
    for kind in ("ratio", "binary"):
        assert (si_sdr(s.numpy(), ideal_masks(s, kind).numpy()) - before).mean() > 8
    dictionaries = nmf.learn(packs["train"], components=4)
    found = nmf.separate(dictionaries, s.sum(1), [m.classes for m in mixes])
    torch.testing.assert_close(found.sum(1), s.sum(1), atol=1e-3, rtol=0)
    assert (si_sdr(s.numpy(), found.numpy()) - before).mean() > 3


def test_a_separator_learns_is_saved_and_says_the_same(packs, tmp_path):
    torch.manual_seed(0)
    net = build(Architecture(widths=(4, 8, 8, 8), dim=8)).eval()
    shown, solo = fill(Composer(packs["train"], 1), 60, net), solo_sounds(Composer(packs["train"], 1), net)
    separator = Separator(TINY)
    by_class = constant_conditions(torch.eye(8), True)
    fixed = [draw_mix(packs["train"], shown, np.random.default_rng([1, i])) for i in range(8)]
    sources = analyse(stems(packs["train"], fixed).flatten(0, 1), 64).magnitude.unflatten(0, (-1, 2))
    magnitude = analyse(stems(packs["train"], fixed).sum(1), 64).magnitude

    def loss():
        with torch.inference_mode():
            z = by_class(fixed, torch.zeros(0))
            return mask_loss(separator.train()(magnitude, z), sources, magnitude).item()

    before = loss()
    assert len(train_separator(separator, packs["train"], shown, by_class, 40, 4, 5e-3)) == 40
    assert loss() < 0.95 * before
    separator.eval()
    mixes = [draw_mix(packs["train"], shown, np.random.default_rng(9))]
    mixture = stems(packs["train"], mixes).sum(1)
    for heard in (True, False):
        z = visual_conditions(net, shown, solo, heard)(mixes, mixture)
        assert z.shape == (1, 2, 8) and torch.isfinite(z).all()
    save_separator(separator, tmp_path / "s.pt", half=True)
    again = load_separator(tmp_path / "s.pt")
    with torch.inference_mode():
        torch.testing.assert_close(again.separate(mixture, z), separator.separate(mixture, z), atol=2e-3, rtol=0)
    torch.save({}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="not a separator"):
        load_separator(tmp_path / "x.pt")
    with pytest.raises(InputError, match="shorter than one window"):
        separator.separate(torch.zeros(1, 99), z)
    with pytest.raises(InputError, match=r"expected \(batch, samples\)"):
        separator.separate(mixture, torch.zeros(1, 2, 5))
    with pytest.raises(InputError, match="rows must be a multiple"):
        SeparatorSettings(rows=100)


def test_flickr_xml_is_read_and_what_is_broken_is_skipped(tmp_path):
    box = "<bbox><annotator>{}</annotator><xmin>64</xmin><ymin>0</ymin><xmax>192</xmax><ymax>128</ymax></bbox>"
    (tmp_path / "a.xml").write_text(f"<annotation>{''.join(box.format(i) for i in range(3))}</annotation>")
    (tmp_path / "b.xml").write_text("<annotation>")
    (tmp_path / "c.xml").write_text("<annotation></annotation>")
    entries, skipped = annotations.flickr_xml(tmp_path)
    assert [e.name for e in entries] == ["a"] and [s.split()[0] for s in skipped] == ["b.xml", "c.xml"]
    truth = entries[0].truth(224, 224)
    assert truth.max() == 1 and truth.sum() == 112 * 112 and truth[0, 56] == 1 and truth[0, 55] == 0
    single = annotations.Annotated("x", entries[0].boxes[:1], agree=2)
    assert single.truth(8, 8).max() == 0.5
    with pytest.raises(InputError, match=r"lacks 1 file\(s\) of the list, first z\.xml"):
        annotations.flickr_xml(tmp_path, ["a", "z"])


def test_vggss_and_dsol_are_read(tmp_path):
    v = tmp_path / "v.json"
    entries = [{"file": f"clip{i}", "class": "dog", "bbox": [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]} for i in range(3)]
    v.write_text(json.dumps(entries))
    read = annotations.vggss_json(v)
    assert len(read) == 3 and read[0].truth(4, 4).sum() == 8 and read[0].classes == ("dog", "dog")
    d = tmp_path / "d.json"
    box = {"box": [0, 0, 9, 9], "normbox": [0.5, 0, 0.5, 1], "category_id": 3}
    frames = {f"v/frame_{i}/x.jpg": {"bbox": [box, box | {"category_id": 5}], "wdith": 18, "height": 9} for i in range(3)}
    d.write_text(json.dumps(frames))
    read = annotations.dsol_json(d)
    assert len(read) == 3 and set(read[0].class_masks(4, 4)) == {"3", "5"} and read[0].truth(4, 4)[:, 2:].all()
    v.write_text(json.dumps([{"file": "x"}]))
    with pytest.raises(InputError, match="entry 0: expected file, class and bbox"):
        annotations.vggss_json(v)
    for reader in (annotations.vggss_json, annotations.dsol_json):
        with pytest.raises(InputError, match="expected a"):
            reader(d if reader is annotations.vggss_json else v)
    v.write_text("no json")
    with pytest.raises(InputError, match="is not JSON"):
        annotations.vggss_json(v)
