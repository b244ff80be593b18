"""Claim N20 and the compressed pair that it compares with."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from claimkit.errors import InputError
from claimkit.experiment import Job
from photonet.baselines.compressed import FILE, CompressedPair
from photonet.claims.pictures import decoded


def test_the_pair_is_its_convolutions_one_after_another(tmp_path, teachers, picture):
    teachers(tmp_path / "weights")
    path = tmp_path / "weights" / FILE
    state = torch.load(path, weights_only=True)

    def layer(x, name, pad=1):
        x = F.pad(x, (pad,) * 4, mode="reflect") if pad else x
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"])

    image = picture(32, 48)
    x = layer(image, "SE5.conv0", 0)
    for block, n in enumerate((2, 2, 4, 4, 1), start=1):
        x = F.max_pool2d(x, 2) if block > 1 else x
        for i in range(1, n + 1):
            x = F.relu(layer(x, f"SE5.conv{block}{i}"))
    for block in (5, 4, 3, 2, 1):
        x = F.relu(layer(x, f"SD5.conv{block}1"))
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3) if block > 1 else x
    assert torch.allclose(CompressedPair(path).reconstruct(image), x, atol=1e-5) and x.shape == image.shape
    for part, said in (("SD5", "has no decoder"), ("SE5", "not the compressed VGG-19")):
        torch.save({k: t for k, t in state.items() if not k.startswith(part)}, path)
        with pytest.raises(InputError, match=said):
            CompressedPair(path)


@pytest.mark.parametrize(
    ("artnet", "style", "small", "kind"),
    [
        (0.505, 0.24, 0.4, "reproduced"),
        (0.505, 0.26, 0.4, "direction reproduced"),
        (0.499, 0.24, 0.4, "not reproduced"),
        (0.505, 0.24, 0.6, "not run"),
    ],
)
def test_the_verdict_asks_for_drawing_and_style(artnet, style, small, kind):
    noise = np.linspace(-0.01, 0.01, 12)
    edges = {
        decoded.ARTNET: (artnet - noise).tolist(),
        decoded.PAIR: (0.5 + 0 * noise).tolist(),
        decoded.SMALL: [small] * 12,
    }
    about = {"longest": 256, "encoders": "An encoder."}
    value = {"edges": edges, "style": {decoded.ARTNET: [style] * 3, "WCT": [0.2] * 3}, **about}
    assert decoded.judge_decoded([value]).kind == kind


def test_a_wide_interval_does_not_decide():
    noise = np.linspace(-0.1, 0.1, 12)
    edges = {decoded.ARTNET: (0.505 + noise).tolist(), decoded.PAIR: [0.5] * 12, decoded.SMALL: [0.2] * 12}
    value = {"edges": edges, "style": {decoded.ARTNET: [0.2], "WCT": [0.2]}, "longest": 256, "encoders": ""}
    assert decoded.judge_decoded([value]).kind == "not reproduced"


def test_what_is_measured_is_the_shipped_decoder_and_a_blur():
    found = decoded.measure(decoded.Decoded(contents=1, styles=1, longest=64), Job(0))
    assert {n: len(x) for n, x in found["edges"].items()} == {decoded.ARTNET: 1, decoded.PAIR: 1, decoded.SMALL: 1}
    assert set(found["style"]) == {decoded.ARTNET, "WCT"} and found["photographs"] == ["china"]
    flat = torch.full((1, 3, 16, 16), 0.3)
    assert torch.allclose(decoded.an_eighth(flat), flat, atol=1e-5)
