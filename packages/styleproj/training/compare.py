"""Our encoder against the teacher's at equal budget: python training/compare.py DATA OUT.json [--steps N] [--seeds N].

Two decoders of one shape are made, for the shipped slim encoder and for the compressed VGG-19's: a
closed-form start on the same crops, then as many steps on the same pairs with the same losses. Both are measured on true
VGG-19, on photographs and paintings held out. About 8 minutes of one core a seed with 300 steps.
"""

import argparse
import json
import statistics
import tempfile
from itertools import islice
from pathlib import Path

import torch
from evaluate import reconstruction, square, stylisation

from claimkit.files import write_atomic
from claimkit.photographs import part_of
from claimkit.style.encoders import load_vgg19
from claimkit.style.images import read_image
from claimkit.training.crops import Crops
from styleproj.networks.closed_form import start_decoder
from styleproj.networks.network import Decoder, StyleNetwork
from styleproj.networks.teachers import CompressedTeacher, Teacher, compressed_pair
from styleproj.networks.weights import load_network
from styleproj.training.decoder import TrainingSettings, train


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--photos", type=int, default=79)
    parser.add_argument("--pairs", type=int, default=64)
    given = parser.parse_args()
    weights = given.data / "weights"
    photos, paintings = part_of(given.data, "photos"), part_of(given.data, "paintings")
    vgg, compressed = weights / "vgg19_normalised_conv3_1.pt", weights / "vgg19_distilled16x.pt"
    judges = [CompressedTeacher(compressed), CompressedTeacher(compressed), Teacher(vgg, compressed)]
    shown, styles = part_of(given.data, "photos", "eval"), part_of(given.data, "paintings", "eval")
    images = [read_image(p) for p in shown[: given.photos]]
    mixed = ((square(p), square(styles[i % len(styles)])) for i, p in enumerate(shown))
    pairs = list(islice(((a, b) for a, b in mixed if a.shape == b.shape), given.pairs))
    runs = []
    for seed in range(given.seeds):
        crops = torch.cat([Crops(photos, seed=seed).draw(40, 96), Crops(paintings, seed=seed).draw(20, 96)])
        encoders = {
            "ours": load_network().encoder,
            "compressed VGG-19": compressed_pair(compressed).encoder,
        }
        for name, encoder in encoders.items():
            network = StyleNetwork(encoder, Decoder(encoder.channels, encoder.convolutions[:-1], (3, 4), (0, 0, 2)))
            start_decoder(network, crops)
            settings = TrainingSettings(steps=given.steps, style_crops=400, sample_every=0, bf16=True, seed=seed)
            with tempfile.TemporaryDirectory() as folder:
                train(network, judges, photos, paintings, Path(folder) / "run", settings, device="cpu")
            with torch.inference_mode():
                found = stylisation(network, pairs, load_vgg19(vgg)) | reconstruction(network, images)
            runs.append({"encoder": name, "seed": seed, **found})
    mean = {
        name: {
            k: statistics.mean(r[k] for r in runs if r["encoder"] == name)
            for k in ("style", "content", "kl", "psnr", "ssim")
        }
        for name in ("ours", "compressed VGG-19")
    }
    ratio = {k: mean["ours"][k] / mean["compressed VGG-19"][k] for k in mean["ours"]}
    result = {
        "steps": given.steps,
        "pairs": len(pairs),
        "photographs": len(images),
        "mean": mean,
        "ratio": ratio,
        "runs": runs,
    }
    write_atomic(given.out, json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
