"""The weights of the first stages against the network they learned from; only with the development data at hand."""

import os
import statistics
from pathlib import Path

import pytest
import torch

from claimkit.photographs import part_of
from claimkit.style.images import read_image
from claimkit.style.metrics import psnr, ssim
from claimkit.style.padding import crop, pad_to_multiple
from styleproj.networks.teachers import CompressedTeacher, Teacher, compressed_pair
from styleproj.networks.weights import load_network

DATA = os.environ.get("CLAIMKIT_DATA")
pytestmark = [pytest.mark.data, pytest.mark.skipif(not DATA, reason="CLAIMKIT_DATA is not set")]


@pytest.fixture
def weights():
    return Path(str(DATA)) / "weights"


@torch.inference_mode()
def test_reconstruction_is_at_least_that_of_the_compressed_vgg(weights):
    files = part_of(Path(str(DATA)), "photos", "eval")
    found = {"psnr": [], "ssim": []}
    networks = load_network(Path("slim")), compressed_pair(weights / "vgg19_distilled16x.pt")
    for file in files[::10]:
        image = read_image(file)
        padded = pad_to_multiple(image[None], 8)
        results = [crop(n.decode(n.encode(padded)), *image.shape[1:])[0].clamp(0, 1) for n in networks]
        for name, metric in (("psnr", psnr), ("ssim", ssim)):
            found[name].append([metric(r, image) for r in results])
    for name, rows in found.items():
        ours, theirs = (statistics.mean(column) for column in zip(*rows, strict=True))
        assert ours >= theirs, name


@torch.inference_mode()
def test_the_teachers_agree_on_what_both_see(weights):
    vgg, compressed = weights / "vgg19_normalised_conv3_1.pt", weights / "vgg19_distilled16x.pt"
    image = torch.rand(1, 3, 64, 64)
    true, cheap = Teacher(vgg, compressed)(image), CompressedTeacher(compressed)(image)
    assert [f.shape for f in true] == [f.shape for f in cheap]
    assert torch.equal(true[3], cheap[3])
    assert torch.corrcoef(torch.stack([true[0].flatten(), cheap[0].flatten()]))[0, 1] > 0.9
