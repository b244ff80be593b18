"""Second stage of the shipped weights: python training/style.py DATA FIRST OUT [--steps N] [--resume].

FIRST is the folder of the stage before. Losses are measured on true VGG-19 to relu3_1 and the compressed VGG-19's relu4_1.
"""

import argparse
from pathlib import Path

import torch

from claimkit.photographs import part_of
from styleproj.networks.teachers import CompressedTeacher, Teacher
from styleproj.networks.weights import load_network
from styleproj.training.decoder import TrainingSettings, train

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("first", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=TrainingSettings.steps)
    parser.add_argument("--style-weight", type=float, default=TrainingSettings.style_weight)
    parser.add_argument("--kl-weight", type=float, default=TrainingSettings.kl_weight)
    parser.add_argument("--identity-weight", type=float, default=TrainingSettings.identity_weight)
    parser.add_argument("--learning-rate", type=float, default=TrainingSettings.learning_rate)
    parser.add_argument("--batch", type=int, default=TrainingSettings.batch)
    parser.add_argument("--sample-every", type=int, default=TrainingSettings.sample_every)
    parser.add_argument("--style-crops", type=int, default=TrainingSettings.style_crops)
    parser.add_argument("--cheap", type=int, default=2, help="steps with the compressed teacher to each with VGG-19")
    parser.add_argument("--resume", action="store_true")
    given = parser.parse_args()
    weights = given.data / "weights"
    compressed = weights / "vgg19_distilled16x.pt"
    cheap, true = CompressedTeacher(compressed), Teacher(weights / "vgg19_normalised_conv3_1.pt", compressed)
    weighted = ("style_weight", "kl_weight", "identity_weight")
    chosen = ("steps", "learning_rate", *weighted, "batch", "sample_every", "style_crops")
    settings = TrainingSettings(bf16=True, **{k: getattr(given, k) for k in chosen})
    train(
        load_network(given.first / "network.safetensors"),
        [t.to(memory_format=torch.channels_last) for t in (*[cheap] * given.cheap, true)],
        part_of(given.data, "photos"),
        part_of(given.data, "paintings"),
        given.out,
        settings,
        given.resume,
    )
